"""What a linked program puts where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from max78k.errors import ToolError

_ERASED = b"\xff"
_WRITABLE, _ALLOCATED = 1, 2  # section flags


@dataclass(frozen=True)
class Segment:
    """A part of the program: the bytes ``content`` lie at ``load_address`` in flash."""

    load_address: int
    content: bytes


def load_segments(elf: Path) -> list[Segment]:
    """What ``elf`` puts into flash, by address; raises ToolError if it is no ELF file."""
    with _open(elf) as program:
        segments = [
            Segment(part["p_paddr"], part.data())
            for part in program.iter_segments("PT_LOAD")
            if part["p_filesz"]
        ]
    return sorted(segments, key=lambda segment: segment.load_address)


def section_sizes(elf: Path) -> tuple[int, int, int]:
    """Bytes of code and constants, of initialized variables, of variables that begin as zeros."""
    text = data = bss = 0
    with _open(elf) as program:
        for section in program.iter_sections():
            flags = section["sh_flags"]
            if not flags & _ALLOCATED:
                continue
            if section["sh_type"] == "SHT_NOBITS":
                bss += section["sh_size"]
            elif flags & _WRITABLE:
                data += section["sh_size"]
            else:
                text += section["sh_size"]
    return text, data, bss


@contextmanager
def _open(elf: Path) -> Iterator[Any]:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise ToolError(
            "E-BUILD-ELFTOOLS",
            "the package pyelftools is missing.",
            "pip install 'max78k[board]'.",
        ) from error
    try:
        with elf.open("rb") as stream:
            yield ELFFile(stream)
    except (OSError, ELFError) as error:
        raise ToolError("E-BUILD-ELF", f"{elf} cannot be read: {error}.", "") from error


def plain_binary(segments: list[Segment]) -> bytes:
    """The content from the first to the last byte in flash; gaps as in erased flash."""
    image = bytearray()
    for segment in segments:
        gap = segment.load_address - segments[0].load_address - len(image)
        image += _ERASED * gap + segment.content
    return bytes(image)
