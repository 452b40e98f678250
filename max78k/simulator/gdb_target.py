"""What GDB is told of the target: its registers by GDB's numbers, and its memory."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import addresses
from max78k.simulator.debug import CORE, FLOATING_POINT, SYSTEM

_XPSR_NUMBER = 25  # GDB's number; those of the others before it count from 0
_TYPES = {"SP": "data_ptr", "MSP": "data_ptr", "PSP": "data_ptr", "PC": "code_ptr"}


@dataclass(frozen=True)
class Register:
    """A register by the emulator's name, and its width."""

    name: str
    bits: int = 32

    def encoded(self, value: int) -> str:
        """The bytes in memory order."""
        return value.to_bytes(self.bits // 8, "little").hex()


def _numbered() -> dict[int, Register]:
    numbers = {n: Register(name) for n, name in enumerate(CORE[:-1])}
    numbers[_XPSR_NUMBER] = Register(CORE[-1])
    following = [Register(name, 64 if name[0] == "D" else 32) for name in FLOATING_POINT]
    following += [Register(name) for name in SYSTEM]
    return numbers | dict(enumerate(following, _XPSR_NUMBER + 1))


REGISTERS = _numbered()


def _feature(name: str, registers: tuple[str, ...]) -> str:
    lines = []
    for number, register in REGISTERS.items():
        if register.name in registers:
            kind = "ieee_double" if register.bits == 64 else _TYPES.get(register.name, "int")
            lines.append(
                f'<reg name="{register.name.lower()}" bitsize="{register.bits}" '
                f'regnum="{number}" type="{kind}"/>'
            )
    return f'<feature name="org.gnu.gdb.arm.{name}">{"".join(lines)}</feature>'


DESCRIPTION = (
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target>'
    "<architecture>arm</architecture>"
    + _feature("m-profile", CORE)
    + _feature("vfp", FLOATING_POINT)
    + _feature("m-system", SYSTEM)
    + "</target>"
)


def _region(kind: str, start: int, size: int, inside: str = "") -> str:
    head = f'<memory type="{kind}" start="{start:#x}" length="{size:#x}"'
    return f"{head}>{inside}</memory>" if inside else f"{head}/>"


MEMORY_MAP = (
    '<?xml version="1.0"?><!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN"'
    ' "http://sourceware.org/gdb/gdb-memory-map.dtd"><memory-map>'
    + _region(
        "flash",
        addresses.FLASH_BASE,
        addresses.FLASH_BYTES,
        f'<property name="blocksize">{addresses.FLASH_PAGE_BYTES:#x}</property>',
    )
    + _region("rom", 0x1080_0000, 0x4000)  # the information block
    + _region("ram", addresses.SRAM_BASE, addresses.SRAM_BYTES)
    + _region("ram", 0x4000_0000, 0x2000_0000)  # devices
    + _region("ram", 0xE000_0000, 0x10_0000)  # devices of the core
    + "</memory-map>"
)
