"""Writing a C project for programs that use the chip vendor's SDK.

The files and functions have the names that such programs expect; all of it is compiled by the
SDK's own make files. To move a program to new weights, replace ``cnn.c``, ``cnn.h``, ``weights.h``
and ``sampleoutput.h``; ``main.c``, ``project.mk`` and ``Makefile`` belong to the user once they
are edited.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from max78k.chip import addresses
from max78k.codegen import msdk_cnn, msdk_data, msdk_main, tables
from max78k.codegen.msdk_options import MsdkOptions
from max78k.codegen.project_folder import ProjectFiles, put
from max78k.compiler.image import Image
from max78k.errors import InputError
from max78k.network import Network
from max78k.shipped_files import shipped_folder

_FOR_USER = frozenset(map(PurePosixPath, ("main.c", "project.mk", "Makefile")))
_COPIED = ("softmax.c", "Makefile")


def write_msdk_project(
    image: Image,
    network: Network,
    folder: Path,
    *,
    options: MsdkOptions | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the project of ``image`` into ``folder`` and return the folder.

    The same image and options give the same bytes. Nothing is written if an error is raised.

    Args:
        image: what the accelerator needs.
        network: the network that it was made from: layers and shapes for the comments and for
            the message of a failed test.
        folder: made with its parents.
        options: what the program does; the defaults of :class:`MsdkOptions`.
        overwrite: write even into a folder with foreign files, or over edited ones.

    Raises:
        InputError: the options do not fit the network, or the folder holds something else.
    """
    options = options or MsdkOptions()
    tables.require_reachable_input(image)
    if options.softmax and not tables.is_vector(image):
        raise InputError(
            "E-BUILD-SOFTMAX",
            f"network {network.name}: its output is no vector of one value per class.",
            "leave out --softmax.",
        )
    _require_flash(image, options)
    texts = {
        "cnn.c": msdk_cnn.source(image, network, options),
        "cnn.h": msdk_cnn.header(image, network, options),
        "weights.h": msdk_data.weights(image, network, options),
        "sampledata.h": msdk_data.sample_data(image, network),
        "main.c": msdk_main.source(image, network, options),
        "project.mk": _settings(network, options),
    }
    if options.check:
        texts["sampleoutput.h"] = msdk_data.sample_output(image, network, options.checked_words)
    files = {PurePosixPath(name): text.encode("ascii") for name, text in texts.items()}
    shipped = shipped_folder("firmware") / "msdk"
    for name in _COPIED:
        files[PurePosixPath(name)] = (shipped / name).read_bytes()
    facts = {"network": image.name, "network_id": f"{tables.network_id(image):08x}"}
    put(ProjectFiles(files, facts, _FOR_USER), folder, overwrite=overwrite)
    return folder


def _require_flash(image: Image, options: MsdkOptions) -> None:
    """Refuse what no linker could place: constants alone that are larger than the flash."""
    size = msdk_data.constant_bytes(image, options)
    if size > addresses.FLASH_BYTES:
        output = 4 * msdk_data.output_words(image)
        raise InputError(
            "E-BUILD-FLASH",
            f"network {image.name}: weights, sample input and expected output take {size:,} bytes, "
            f"{output:,} of them the output; the flash has {addresses.FLASH_BYTES:,}.",
            "--max-checklines WORDS compares a part of the output, --no-kat none of it.",
        )


def _settings(network: Network, options: MsdkOptions) -> str:
    return (
        "# Settings of this project; see the Makefile for their names. The command line and the\n"
        "# environment go first: make BOARD=EvKit_V1\n"
        f"PROJECT ?= {options.name or network.name}\n"
        f"BOARD ?= {options.board}\n"
    )
