"""Reading a program file: what goes into flash, and the names of addresses.

An ELF file is known by its first bytes, an Intel HEX file by its colon; anything else is the
content of flash from its first byte on. Only an ELF file has names.
"""

from __future__ import annotations

import binascii
import bisect
from dataclasses import dataclass, field
from pathlib import Path

from max78k.chip import addresses
from max78k.errors import InputError, ToolError
from max78k.simulator.findings import UNKNOWN

_DATA, _END, _SEGMENT, _LINEAR = 0, 1, 2, 4  # record types of Intel HEX; 3 and 5 are entry points
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


def read_program(path: Path) -> Program:
    """Read an ELF, HEX or BIN file.

    Raises:
        InputError: E-BOARD-ELF; no such file, not a program for this chip, or not all in flash.
        ToolError: E-BOARD-UNICORN; pyelftools is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError("E-BOARD-ELF", f"{path}: {error.strerror}") from error
    if content.startswith(b"\x7fELF"):
        return _read_elf(path)
    if content.startswith(b":"):
        segments = _hex_segments(path, content)
    else:
        segments = [(addresses.FLASH_BASE, content)]
    for start, data in segments:
        _check_in_flash(path, start, len(data))
    if not any(start == addresses.FLASH_BASE and len(data) >= 8 for start, data in segments):
        raise InputError(
            "E-BOARD-ELF",
            f"{path} has no vector table at 0x{addresses.FLASH_BASE:08x}",
            "an ELF, HEX or BIN file linked to the start of flash",
        )
    return Program(tuple(segments), {})


def _hex_segments(path: Path, content: bytes) -> list[tuple[int, bytes]]:
    segments: list[tuple[int, bytearray]] = []
    base = 0
    for number, line in enumerate(content.split(), 1):
        try:
            record = binascii.unhexlify(line[1:]) if line[:1] == b":" else b""
        except binascii.Error:
            record = b""
        if len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
            raise InputError("E-BOARD-ELF", f"{path}: line {number} is not an Intel HEX record")
        kind, data = record[3], record[4:-1]
        if kind == _END:
            break
        if kind in (_SEGMENT, _LINEAR):
            base = int.from_bytes(data, "big") << (16 if kind == _LINEAR else 4)
        elif kind == _DATA:
            start = base + int.from_bytes(record[1:3], "big")
            if segments and segments[-1][0] + len(segments[-1][1]) == start:
                segments[-1][1].extend(data)
            else:
                segments.append((start, bytearray(data)))
    return [(start, bytes(data)) for start, data in segments]


def _read_elf(path: Path) -> Program:
    """Read a 32-bit little-endian ARM executable.

    Raises:
        InputError: E-BOARD-ELF; not such an ELF, or a segment outside flash.
        ToolError: E-BOARD-UNICORN; pyelftools is not installed.
    """
    try:
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
    except InputError:
        raise
    except Exception as error:  # a broken file makes pyelftools raise errors of any kind
        raise InputError("E-BOARD-ELF", f"{path} is not a usable ELF file: {error}") from error


def _program(path: Path, elf: object) -> Program:
    if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32:  # type: ignore[index, attr-defined]
        raise InputError(
            "E-BOARD-ELF", f"{path} is not a 32-bit ARM program", "build it for the Cortex-M4"
        )
    segments = []
    for segment in elf.iter_segments():  # type: ignore[attr-defined]
        if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]:
            start, data = _checked(path, segment), bytes(segment.data())
            if len(data) < segment["p_filesz"]:
                raise ValueError("it ends inside a segment")
            segments.append((start, data))
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
    _check_in_flash(path, start, size)
    return start


def _check_in_flash(path: Path, start: int, size: int) -> None:
    if not addresses.FLASH_BASE <= start <= start + size <= _FLASH_END:
        raise InputError(
            "E-BOARD-ELF",
            f"{path}: {size} bytes at 0x{start:08x} lie outside flash",
            "use the linker script of the chip",
        )
