"""Reading a firmware file (ELF, Intel HEX, .bin) as untrusted data: what it would put where.

Only segments inside the flash of the MAX78000 are accepted, so that a wrong file (for another
chip, or linked for another address) is refused before anything is written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.chip.addresses import FLASH_BASE, FLASH_BYTES, SRAM_BASE, SRAM_BYTES
from max78k.errors import InputError
from max78k.host.intel_hex import intel_hex

_FLASH_END = FLASH_BASE + FLASH_BYTES
_FILE_LIMIT = 64 << 20  # an ELF with debug information has a few MB

_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIIIIIII")
_PT_LOAD = 1
_EM_ARM = 40
_UNIT = 16


@dataclass(frozen=True)
class FirmwareImage:
    """Contents of the flash: ``segments`` are (address, bytes), ordered and without overlap."""

    path: Path
    kind: str
    segments: tuple[tuple[int, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes to be programmed."""
        return sum(len(data) for _, data in self.segments)

    def to_hex(self) -> bytes:
        """The same contents as an Intel HEX file."""
        return intel_hex(self.segments).encode("ascii")

    def to_bin(self) -> bytes:
        """The same contents from the start of flash, gaps and the last 16 bytes filled with 0xFF.

        The flash is written 16 bytes (128 bits) at a time; 0xFF is what erased flash reads.
        """
        last, data = self.segments[-1]
        length = last + len(data) - FLASH_BASE
        content = bytearray(b"\xff" * (-(-length // _UNIT) * _UNIT))
        for address, part in self.segments:
            content[address - FLASH_BASE : address - FLASH_BASE + len(part)] = part
        return bytes(content)


def read_firmware(path: Path) -> FirmwareImage:
    """Read and check a firmware file.

    Raises InputError: ``E-FLASH-FILE`` (cannot be read), ``E-FLASH-FORMAT`` (not ELF, HEX or
    .bin, or damaged), ``E-FLASH-RANGE`` (a segment outside 0x10000000 ... 0x1007FFFF, or an
    overlap), ``E-FLASH-VECTORS`` (no plausible vector table at the start of flash).
    """
    try:
        size = path.stat().st_size
        if size > _FILE_LIMIT:
            raise InputError(
                "E-FLASH-FORMAT", f"{path} has {size} bytes, no firmware of this chip is as long."
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            "E-FLASH-FILE", f"{path}: {error.strerror}.", "name the file that `max78k build` made"
        ) from error
    kind, parse = _format(path, data)
    segments = sorted(segment for segment in parse(path, data) if segment[1])
    _check_range(path, segments)
    _check_vectors(path, segments)
    return FirmwareImage(path, kind, tuple(segments))


def _format(
    path: Path, data: bytes
) -> tuple[str, Callable[[Path, bytes], list[tuple[int, bytes]]]]:
    if data.startswith(b"\x7fELF"):
        return "elf", _elf_segments
    if data.startswith(b":"):
        return "hex", _hex_segments
    if path.suffix.lower() == ".bin":
        return "bin", lambda path, data: [(FLASH_BASE, data)]
    raise InputError(
        "E-FLASH-FORMAT",
        f"{path} is neither an ELF nor an Intel HEX file, nor named .bin.",
        "name the .elf, .hex or .bin file that `max78k build` made",
    )


def _damaged(path: Path, what: str) -> InputError:
    return InputError("E-FLASH-FORMAT", f"{path}: {what}.", "build the firmware anew")


def _elf_segments(path: Path, data: bytes) -> list[tuple[int, bytes]]:
    """Load segments at their physical (flash) address; those without bytes (.bss) are empty."""
    if len(data) < _ELF_HEADER.size or data[4:6] != b"\x01\x01":
        raise _damaged(path, "not a 32-bit little-endian ELF file")
    fields = _ELF_HEADER.unpack_from(data)
    machine, table, entry_bytes, count = fields[2], fields[5], fields[9], fields[10]
    if machine != _EM_ARM:
        raise _damaged(path, f"built for ELF machine {machine}, the Cortex-M4 is {_EM_ARM}")
    if entry_bytes != _PROGRAM_HEADER.size or table + count * entry_bytes > len(data):
        raise _damaged(path, "the program headers lie outside the file")
    segments = []
    for index in range(count):
        kind, offset, _, address, length, *_ = _PROGRAM_HEADER.unpack_from(
            data, table + index * entry_bytes
        )
        if kind != _PT_LOAD:
            continue
        if offset + length > len(data):
            raise _damaged(path, f"segment {index} lies outside the file")
        segments.append((address, data[offset : offset + length]))
    return segments


def _hex_segments(path: Path, data: bytes) -> list[tuple[int, bytes]]:
    """Data records, joined where one begins at the end of the one before."""
    segments: list[tuple[int, bytearray]] = []
    base = 0
    for number, line in enumerate(data.split(), 1):
        address, kind, content = _hex_fields(path, number, line)
        if kind == 0:
            here = base + address
            if segments and segments[-1][0] + len(segments[-1][1]) == here:
                segments[-1][1].extend(content)
            else:
                segments.append((here, bytearray(content)))
        elif kind == 1:
            return [(start, bytes(content)) for start, content in segments]
        elif kind in (2, 4) and len(content) == 2:
            base = int.from_bytes(content, "big") << (4 if kind == 2 else 16)
        elif kind not in (3, 5):  # 3 and 5 name a start address, which a vector table makes moot
            raise _damaged(path, f"record type {kind} in line {number} is unknown")
    raise _damaged(path, "the end record is missing: the file is cut off")


def _hex_fields(path: Path, number: int, line: bytes) -> tuple[int, int, bytes]:
    """Address, type and contents of one record."""
    try:
        if not line.startswith(b":"):
            raise ValueError
        record = bytes.fromhex(line[1:].decode("ascii"))
    except ValueError:
        raise _damaged(path, f"line {number} is no Intel HEX record") from None
    if len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
        raise _damaged(path, f"length or checksum of line {number} is wrong")
    return int.from_bytes(record[1:3], "big"), record[3], record[4:-1]


def _check_range(path: Path, segments: list[tuple[int, bytes]]) -> None:
    end = FLASH_BASE
    for address, data in segments:
        if address < FLASH_BASE or address + len(data) > _FLASH_END:
            raise InputError(
                "E-FLASH-RANGE",
                f"{path}: {len(data)} bytes at 0x{address:08X} lie outside the flash,"
                f" 0x{FLASH_BASE:08X} ... 0x{_FLASH_END - 1:08X}.",
                "link it for the MAX78000, as `max78k build` does",
            )
        if address < end:
            raise InputError("E-FLASH-RANGE", f"{path}: two segments overlap at 0x{address:08X}.")
        end = address + len(data)


def _check_vectors(path: Path, segments: list[tuple[int, bytes]]) -> None:
    """The core starts with the stack pointer and the reset vector in the first two words."""
    if segments and segments[0][0] == FLASH_BASE and len(segments[0][1]) >= 8:
        stack, reset = struct.unpack_from("<II", segments[0][1])
        stack_ok = SRAM_BASE < stack <= SRAM_BASE + SRAM_BYTES and stack % 4 == 0
        if stack_ok and reset & 1 and FLASH_BASE <= reset < _FLASH_END:
            return
    raise InputError(
        "E-FLASH-VECTORS",
        f"{path}: no vector table at 0x{FLASH_BASE:08X} (stack pointer in SRAM, reset vector in"
        " flash).",
        "link it for the MAX78000, as `max78k build` does",
    )
