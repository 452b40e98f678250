"""Writing a complete C project for one network.

The project needs nothing of this package to be built::

    src/        boot, drivers, link server, linker script: the same for every network
    generated/  register header, link protocol, and the tables of the network
    Makefile    for arm-none-eabi-gcc; ``max78k build`` works too
    max78k-project.json   what was written, to tell it from what a user has added or edited
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from max78k.codegen import c_text, tables
from max78k.codegen.layer_lines import layer_lines
from max78k.compiler.image import Image
from max78k.errors import InputError
from max78k.files import write_bytes
from max78k.shipped_files import shipped_folder

MANIFEST = "max78k-project.json"
_SOURCE_SUFFIXES = (".c", ".h", ".ld", ".flags")


def write_project(
    image: Image,
    folder: Path,
    *,
    class_names: tuple[str, ...] = (),
    overwrite: bool = False,
) -> Path:
    """Write the C project of ``image`` into ``folder`` and return the folder.

    The same image gives the same bytes. A project that stands in the folder is replaced; files
    that a user has added to it stay. Nothing is written if an error is raised.

    Args:
        image: what the accelerator needs.
        folder: the project's folder; made with its parents.
        class_names: names of the outputs, for programs that want to show them.
        overwrite: write even into a folder with foreign files, or over edited ones.

    Raises:
        InputError: the image does not fit the firmware, or the folder holds something else.
    """
    tables.require_buildable(image)
    if class_names and len(class_names) != tables.output_values(image):
        raise InputError(
            "E-BUILD-CLASSES",
            f"network {image.name}: {len(class_names)} class names for "
            f"{tables.output_values(image)} outputs.",
            "give one name per output, or none.",
        )
    files = _project_files(image, class_names)
    previous = _previous_files(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        fresh = Path(scratch) / "project"
        for name, content in files.items():
            write_bytes(fresh / name, content)
        _put_in_place(fresh, folder, files, previous)
    return folder


def _project_files(image: Image, class_names: tuple[str, ...]) -> dict[PurePosixPath, bytes]:
    """All files of a project by their path in it, the manifest last."""
    firmware = shipped_folder("firmware")
    files: dict[PurePosixPath, bytes] = {
        PurePosixPath("Makefile"): (firmware / "Makefile").read_bytes(),
        PurePosixPath("README.md"): _readme(image).encode("utf-8"),
    }
    for path in sorted(firmware.iterdir()):
        if path.suffix in _SOURCE_SUFFIXES:
            files[PurePosixPath("src", path.name)] = path.read_bytes()
    for path in sorted((firmware / "generated").glob("*.h")):
        files[PurePosixPath("generated", path.name)] = path.read_bytes()
    generated = {
        "network.h": tables.network_header(image),
        "network.c": tables.network_source(image, class_names),
        "weights.c": tables.weights_source(image),
        "sample.c": tables.sample_source(image),
    }
    for name, text in generated.items():
        files[PurePosixPath("generated", name)] = text.encode("ascii")
    manifest = {
        "network": image.name,
        "network_id": f"{tables.network_id(image):08x}",
        "files": {str(name): zlib.crc32(content) for name, content in files.items()},
    }
    files[PurePosixPath(MANIFEST)] = (json.dumps(manifest, indent=1) + "\n").encode("utf-8")
    return files


def _previous_files(folder: Path, overwrite: bool) -> set[PurePosixPath]:
    """Files of a project that stands in ``folder``; InputError if it must not be replaced."""
    if folder.exists() and not folder.is_dir():
        raise InputError("E-PROJECT-FOLDER", f"{folder} is not a folder.", "give another path.")
    if not folder.exists() or not any(folder.iterdir()):
        return set()
    recorded = _read_manifest(folder)
    if recorded is None:
        if overwrite:
            return set()
        raise InputError(
            "E-PROJECT-FOREIGN",
            f"{folder} is not empty and holds no project of max78k.",
            "an empty folder, or allow overwriting.",
        )
    edited = [name for name, crc in recorded.items() if _differs(folder / name, crc)]
    if edited and not overwrite:
        raise InputError(
            "E-PROJECT-EDITED",
            f"{folder}: {', '.join(map(str, edited))} changed since the project was written.",
            "another folder, or allow overwriting.",
        )
    return set(recorded)


def _read_manifest(folder: Path) -> dict[PurePosixPath, int] | None:
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        recorded = {PurePosixPath(name): int(crc) for name, crc in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    outside = any(name.is_absolute() or ".." in name.parts for name in recorded)
    return None if outside else recorded


def _differs(path: Path, crc: int) -> bool:
    return path.is_file() and zlib.crc32(path.read_bytes()) != crc


def _put_in_place(
    fresh: Path,
    folder: Path,
    files: dict[PurePosixPath, bytes],
    previous: set[PurePosixPath],
) -> None:
    """Rename the whole folder if nothing is in the way, else replace file by file."""
    if not folder.exists() or not any(folder.iterdir()):
        if folder.exists():
            folder.rmdir()
        fresh.rename(folder)
        return
    for program in (folder / "build").glob("firmware.*"):
        program.unlink()
    for name in previous - set(files):
        (folder / name).unlink(missing_ok=True)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / name, folder / name)  # noqa: PTH105 (rename does not replace on Windows)


def _readme(image: Image) -> str:
    lines = "\n".join(f"* {c_text.comment(line)}" for line in layer_lines(image))
    return f"""# Firmware for the network {c_text.comment(image.name)}

Generated by max78k for the MAX78000FTHR board. Network number {tables.network_id(image):08x}.

{lines}

Build: `max78k build .`, or `make` where arm-none-eabi-gcc is installed. The results are
`build/firmware.elf`, `.hex` and `.bin`.

The program answers requests on the console UART (115200 baud, 8N1, binary frames):
`max78k bench` speaks to it. The green LED is lit while the accelerator runs.

`src/` is the same for every network and may be edited; more `.c` files there are compiled too.
`generated/` is rewritten by `max78k synthesize`.
"""
