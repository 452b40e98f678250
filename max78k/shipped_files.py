"""Where the files lie that are not Python modules: firmware sources, networks, YAML models.

In an installed wheel they are inside the package (``max78k/shipped``); in a source checkout they
stand beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """Folder "firmware", "networks" or "yaml_models"."""
    for folder in (_PACKAGE / "shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the shipped folder {name} is missing from this installation")
