"""Writing a complete C project for one network.

The project needs nothing of this package to be built::

    src/        boot, drivers, link server, linker script: the same for every network
    generated/  register header, link protocol, and the tables of the network
    Makefile    for arm-none-eabi-gcc; ``max78k build`` works too
    max78k-project.json   what was written, to tell it from what a user has added or edited
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from max78k.codegen import c_text, tables
from max78k.codegen.camera import CameraPlan, camera_header
from max78k.codegen.layer_lines import layer_lines
from max78k.codegen.output_places import OutputPlace
from max78k.codegen.project_folder import ProjectFiles, put
from max78k.compiler.image import Image
from max78k.errors import InputError
from max78k.shipped_files import shipped_folder

_SOURCE_SUFFIXES = (".c", ".h", ".ld", ".flags")
# Without these the rest of the firmware is what every application needs.
_LINK_APPLICATION = frozenset(
    ("main.c", "server.c", "server.h", "stream.c", "stream.h", "csi.c", "csi.h")
)


def write_project(
    image: Image,
    folder: Path,
    *,
    class_names: tuple[str, ...] = (),
    places: Sequence[OutputPlace] = (),
    camera: CameraPlan | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the C project of ``image`` into ``folder`` and return the folder.

    The same image gives the same bytes. A project that stands in the folder is replaced; files
    that a user has added to it stay. Nothing is written if an error is raised.

    Args:
        image: what the accelerator needs.
        folder: the project's folder; made with its parents.
        class_names: names of the outputs, for programs that want to show them.
        places: layer and channel of every output run, for the comments in the tables.
        camera: write the application with a camera, for these sizes, instead of the one that
            answers a host.
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
    put(_project_files(image, class_names, places, camera), folder, overwrite=overwrite)
    return folder


def _project_files(
    image: Image,
    class_names: tuple[str, ...],
    places: Sequence[OutputPlace],
    camera: CameraPlan | None,
) -> ProjectFiles:
    """All files of a project."""
    firmware = shipped_folder("firmware")
    files: dict[PurePosixPath, bytes] = {
        PurePosixPath("Makefile"): (firmware / "Makefile").read_bytes(),
        PurePosixPath("README.md"): _readme(image, camera).encode("utf-8"),
    }
    for path in _sources(firmware, camera is not None):
        files[PurePosixPath("src", path.name)] = path.read_bytes()
    for path in sorted((firmware / "generated").glob("*.h")):
        files[PurePosixPath("generated", path.name)] = path.read_bytes()
    generated = {
        "network.h": tables.network_header(image),
        "network.c": tables.network_source(image, class_names, places),
        "weights.c": tables.weights_source(image),
        "sample.c": tables.sample_source(image, places),
    }
    if camera is not None:
        generated["camera.h"] = camera_header(camera, class_names)
    for name, text in generated.items():
        files[PurePosixPath("generated", name)] = text.encode("ascii")
    facts = {"network": image.name, "network_id": f"{tables.network_id(image):08x}"}
    return ProjectFiles(files, facts)


def _sources(firmware: Path, camera: bool) -> list[Path]:
    """The files of an application, in order of their names."""
    paths = [path for path in firmware.iterdir() if path.suffix in _SOURCE_SUFFIXES]
    if camera:
        paths = [path for path in paths if path.name not in _LINK_APPLICATION]
        paths += (firmware / "camera").iterdir()
    return sorted(paths, key=lambda path: path.name)


_LINK_TEXT = """\
The program answers requests on the console UART (115200 baud, 8N1, binary frames):
`max78k bench` speaks to it. The green LED is lit while the accelerator runs."""
_CAMERA_TEXT = """\
The program asks the camera for pictures, the network for answers, and shows them by the LED and a
line of text on the console UART (115200 baud, 8N1). SW1 or the character s starts and stops, SW2 or
r sends the picture that follows: `max78k camera` makes a file of it."""


def _readme(image: Image, camera: CameraPlan | None) -> str:
    lines = "\n".join(f"* {c_text.comment(line)}" for line in layer_lines(image))
    return f"""# Firmware for the network {c_text.comment(image.name)}

Generated by max78k for the MAX78000FTHR board. Network number {tables.network_id(image):08x}.

{lines}

Build: `max78k build .`, or `make` where arm-none-eabi-gcc is installed. The results are
`build/firmware.elf`, `.hex` and `.bin`.

{_LINK_TEXT if camera is None else _CAMERA_TEXT}

`src/` is the same for every network and may be edited; more `.c` files there are compiled too.
`generated/` is rewritten by `max78k synthesize`.
"""
