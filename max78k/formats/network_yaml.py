"""Network descriptions in YAML: read, join to weights, write.

The public face of the modules ``yaml_description``, ``yaml_bind`` and ``yaml_write``.
"""

from max78k.formats.yaml_bind import bind, input_shape_of
from max78k.formats.yaml_description import Description, LayerDescription, read_yaml
from max78k.formats.yaml_write import write_yaml, yaml_text

__all__ = [
    "Description",
    "LayerDescription",
    "bind",
    "input_shape_of",
    "read_yaml",
    "write_yaml",
    "yaml_text",
]
