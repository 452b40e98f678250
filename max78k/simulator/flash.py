"""FLC: erasing and programming flash. Operations take no virtual time."""

from __future__ import annotations

import struct
from collections.abc import Callable

from max78k.chip import addresses
from max78k.chip import mcu_registers as mcu
from max78k.simulator.cpu import Cpu
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block

_CTRL = mcu.FLC_CTRL
_UNLOCKED, _ERASE_PAGE, _ERASE_ALL = 2, 0x55, 0xAA
_WRITE_BYTES = 16
_DONE, _FAILED = mcu.FLC_INTR.field("DONE").mask, mcu.FLC_INTR.field("AF").mask


class FlashController(Block):
    """Pages of 8 KiB, written in aligned units of 128 bits that must have been erased.

    ``failing_pages`` keep their content whatever the controller does.
    """

    def __init__(self, cpu: Cpu, log: FindingLog, set_irq: Callable[[bool], None]) -> None:
        super().__init__("FLC", {mcu.FLC_CLKDIV.offset: mcu.FLC_RESET_VALUES["CLKDIV"]})
        self._cpu = cpu
        self._log = log
        self._set_irq = set_irq
        self.failing_pages: frozenset[int] = frozenset()
        self.writers[mcu.FLC_CTRL.offset] = self._write_ctrl
        self.writers[mcu.FLC_INTR.offset] = self._write_intr

    def _write_ctrl(self, value: int) -> None:
        fields = _CTRL.unpack(value)
        actions = _CTRL.field("WR").mask | _CTRL.field("ME").mask | _CTRL.field("PGE").mask
        self.words[mcu.FLC_CTRL.offset] = value & ~actions
        if not value & actions:
            return
        done = fields["UNLOCK"] == _UNLOCKED and self._act(fields)
        if not done:
            self._log.add(
                "E-BOARD-FLASH", "the flash controller refuses: locked, or a wrong erase code"
            )
        flags = self.words.get(mcu.FLC_INTR.offset, 0)
        self._write_flags(flags | (_DONE if done else _FAILED))

    def _act(self, fields: dict[str, int]) -> bool:
        address = self.words.get(mcu.FLC_ADDR.offset, 0) % addresses.FLASH_BYTES
        if address // addresses.FLASH_PAGE_BYTES in self.failing_pages:
            return True  # as worn-out cells do: without a word
        if fields["PGE"]:
            page = address & ~(addresses.FLASH_PAGE_BYTES - 1)
            return self._erase(page, addresses.FLASH_PAGE_BYTES, fields, _ERASE_PAGE)
        if fields["ME"]:
            return self._erase(0, addresses.FLASH_BYTES, fields, _ERASE_ALL)
        start = addresses.FLASH_BASE + (address & ~(_WRITE_BYTES - 1))
        data = struct.pack("<4I", *(self.words.get(r.offset, 0) for r in mcu.FLC_DATA))
        old = self._cpu.read_memory(start, _WRITE_BYTES)
        if old != b"\xff" * _WRITE_BYTES:
            self._log.add("E-BOARD-FLASH-WRITE", "flash is written without an erase", start)
        merged = bytes(a & b for a, b in zip(old, data, strict=True))
        self._cpu.write_memory(start, merged)
        self._cpu.forget_code()
        return True

    def _erase(self, offset: int, size: int, fields: dict[str, int], code: int) -> bool:
        if fields["ERASE_CODE"] == code:
            self._cpu.write_memory(addresses.FLASH_BASE + offset, b"\xff" * size)
            self._cpu.forget_code()
        return fields["ERASE_CODE"] == code

    def _write_intr(self, value: int) -> None:
        self._write_flags(value)  # the flags are cleared by writing 0

    def _write_flags(self, word: int) -> None:
        self.words[mcu.FLC_INTR.offset] = word
        self._set_irq(bool(word & word >> 8 & (_DONE | _FAILED)))
