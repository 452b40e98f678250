"""From a training run to everything that the later steps read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.compiler.arrange import arrange
from max78k.compiler.placement import Placement
from max78k.flows.models import ONNX_FILE, VENDOR_FILE, YAML_FILE
from max78k.flows.weight_sources import NETWORK_FILE
from max78k.formats.network_yaml import write_yaml
from max78k.formats.onnx_export import export_onnx
from max78k.formats.vendor_checkpoint import write_vendor_float, write_vendor_q
from max78k.network import Network

DEFAULT_FORMATS = ("onnx", "yaml", "vendor")
VENDOR_FLOAT = "network.pth.tar"


@dataclass(frozen=True)
class Export:
    """What was written."""

    network: Network
    placement: Placement
    files: tuple[Path, ...]


def export(network: Network, folder: Path, formats: tuple[str, ...] = ()) -> Export:
    """Write a model folder: the integer network, ONNX, YAML and a vendor ``-q`` checkpoint.

    Args:
        network: the network; layers that only copy are added where the chip needs them, layers
            stream where data memory is too small without, and it is refused with all broken rules
            if the chip cannot run it even so.
        folder: made if need be; files in it are replaced one by one, each whole.
        formats: some of "onnx", "yaml", "vendor", "vendor-float"; empty: all but the last, which
            refuses integers that the vendor's rule does not give. ``network.npz`` is always
            written.
    """
    network, placement = arrange(network)
    writers: dict[str, tuple[str, Callable[[Path], None]]] = {
        "onnx": (ONNX_FILE, lambda path: export_onnx(network, path)),
        "yaml": (YAML_FILE, lambda path: write_yaml(network, placement, path)),
        "vendor": (VENDOR_FILE, lambda path: write_vendor_q(network, path, arch=network.name)),
        "vendor-float": (VENDOR_FLOAT, lambda path: write_vendor_float(network, path)),
    }
    files = [folder / NETWORK_FILE]
    network.save(files[0])
    for name, (file_name, write) in writers.items():
        if name in (formats or DEFAULT_FORMATS):
            write(folder / file_name)
            files.append(folder / file_name)
    return Export(network, placement, tuple(files))
