"""Reading an ELF file: what goes into which memory, and the names of addresses."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from pathlib import Path

from max78k.chip import addresses
from max78k.errors import InputError, ToolError
from max78k.simulator.findings import UNKNOWN

_FLASH_END = addresses.FLASH_BASE + addresses.FLASH_BYTES


@dataclass(frozen=True)
class Program:
    """A linked program.

    Attributes:
        segments: (load address, bytes), each inside flash.
        symbols: value by name; functions without the Thumb bit.
    """

    segments: tuple[tuple[int, bytes], ...]
    symbols: dict[str, int]
    _starts: list[int] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)

    def name_of(self, address: int) -> str:
        """``function+offset`` for a code address, UNKNOWN where no function is known."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0 or address - self._starts[index] > addresses.FLASH_BYTES:
            return UNKNOWN
        offset = address - self._starts[index]
        return f"{self._names[index]}+0x{offset:x}" if offset else self._names[index]


def read_elf(path: Path) -> Program:
    """Read a 32-bit little-endian ARM executable.

    Raises:
        InputError: E-BOARD-ELF; no such file, not such an ELF, or a segment outside flash.
        ToolError: E-BOARD-UNICORN; pyelftools is not installed.
    """
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise ToolError(
            "E-BOARD-UNICORN", "the package pyelftools is missing", "pip install 'max78k[board]'"
        ) from error
    try:
        with path.open("rb") as stream:
            return _program(path, ELFFile(stream))
    except OSError as error:
        raise InputError("E-BOARD-ELF", f"{path}: {error.strerror}") from error
    except (ELFError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise InputError("E-BOARD-ELF", f"{path} is not a usable ELF file: {error}") from error


def _program(path: Path, elf: object) -> Program:
    if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32:  # type: ignore[index, attr-defined]
        raise InputError(
            "E-BOARD-ELF", f"{path} is not a 32-bit ARM program", "build it for the Cortex-M4"
        )
    segments = []
    for segment in elf.iter_segments():  # type: ignore[attr-defined]
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
            segments.append((_checked(path, segment), bytes(segment.data())))
    if not any(start == addresses.FLASH_BASE for start, _ in segments):
        raise InputError(
            "E-BOARD-ELF",
            f"{path} has no vector table at 0x{addresses.FLASH_BASE:08x}",
            "link the vectors to the start of flash",
        )
    symbols: dict[str, int] = {}
    functions: list[tuple[int, str]] = []
    table = elf.get_section_by_name(".symtab")  # type: ignore[attr-defined]
    for symbol in table.iter_symbols() if table else ():
        kind, value = symbol["st_info"]["type"], symbol["st_value"]
        if kind == "STT_FUNC":
            value &= ~1
            functions.append((value, symbol.name))
        symbols[symbol.name] = value
    functions.sort()
    starts, names = [start for start, _ in functions], [name for _, name in functions]
    return Program(tuple(segments), symbols, starts, names)


def _checked(path: Path, segment: object) -> int:
    start: int = segment["p_paddr"]  # type: ignore[index]
    size: int = segment["p_filesz"]  # type: ignore[index]
    if not addresses.FLASH_BASE <= start <= start + size <= _FLASH_END:
        raise InputError(
            "E-BOARD-ELF",
            f"{path}: {size} bytes at 0x{start:08x} lie outside flash",
            "use the linker script of the chip",
        )
    return start
