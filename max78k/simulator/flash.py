"""FLC: erasing and programming flash.

An operation takes its time. Code that runs from flash waits for it, as the core cannot fetch
meanwhile; code in RAM goes on, and sees the busy bits until the end. The times are those that the
data sheets of the family name: 20 ms for an erase, 42 us for a word.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from max78k.chip import addresses
from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.cpu import Cpu
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block

ERASE_TIME = SECOND * 20 // 1000
WRITE_TIME = SECOND * 42 // 1_000_000

_CTRL = mcu.FLC_CTRL
_UNLOCKED, _ERASE_PAGE, _ERASE_ALL = 2, 0x55, 0xAA
_WRITE_BYTES = 16
_DONE, _FAILED = mcu.FLC_INTR.field("DONE").mask, mcu.FLC_INTR.field("AF").mask
_ACTIONS = sum(_CTRL.field(name).mask for name in ("WR", "ME", "PGE"))
_PENDING = _CTRL.field("PEND").mask
_PAGE = addresses.FLASH_PAGE_BYTES
_FLASH = range(addresses.FLASH_BASE, addresses.FLASH_BASE + addresses.FLASH_BYTES)
_CLOCK_HZ, _CLOCK_TOLERANCE = 1_000_000, 0.1


class FlashController(Block):
    """Pages of 8 KiB, written in aligned units of 128 or 32 bits that must have been erased.

    Args:
        set_irq: drives the interrupt line.

    Attributes:
        failing_pages: they keep their content whatever the controller does.
    """

    def __init__(
        self, cpu: Cpu, clock: Clock, log: FindingLog, set_irq: Callable[[bool], None]
    ) -> None:
        super().__init__("FLC", {mcu.FLC_CLKDIV.offset: mcu.FLC_RESET_VALUES["CLKDIV"]})
        self._cpu = cpu
        self._clock = clock
        self._log = log
        self._set_irq = set_irq
        self._event: Event | None = None
        self.failing_pages: frozenset[int] = frozenset()
        self.writers[mcu.FLC_CTRL.offset] = self._write_ctrl
        self.writers[mcu.FLC_INTR.offset] = self._write_flags  # cleared by writing 0
        for register in mcu.FLC_WELR:
            self.writers[register.offset] = partial(self._lock, register.offset)

    def reset(self) -> None:
        """An operation is broken off: what it would have changed stays."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._set_irq(False)

    def _word(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def _lock(self, offset: int, value: int) -> None:
        self.words[offset] = self._word(offset) | value  # until the next reset

    def _write_ctrl(self, value: int) -> None:
        busy = self._word(_CTRL.offset) & (_ACTIONS | _PENDING) if self._event else 0
        self.words[_CTRL.offset] = value & ~(_ACTIONS | _PENDING) | busy
        if not value & _ACTIONS & ~busy:
            return
        fields = _CTRL.unpack(value)
        reason = "busy" if busy else self._refusal(fields)
        if reason:
            address = self._word(mcu.FLC_ADDR.offset)
            self._log.add("E-BOARD-FLASH", f"the flash controller refuses: {reason}", address)
            self._write_flags(self._word(mcu.FLC_INTR.offset) | _FAILED)
            return
        self._check_clock()
        self._begin(value & _ACTIONS, fields)

    def _refusal(self, fields: dict[str, int]) -> str:
        """Why an operation is not carried out; empty if it is."""
        address = self._word(mcu.FLC_ADDR.offset)
        code = _ERASE_PAGE if fields["PGE"] else _ERASE_ALL
        if fields["UNLOCK"] != _UNLOCKED:
            return "locked"
        if not fields["WR"] and fields["ERASE_CODE"] != code:
            return "wrong erase code"
        if fields["ME"]:
            locked = any(self._word(register.offset) for register in mcu.FLC_WELR)
            return "a page is write-protected" if locked else ""
        if address >= addresses.FLASH_BYTES and address not in _FLASH:
            return "the address is not in flash"
        group, page = divmod(self._offset // _PAGE, 32)
        protected = self._word(mcu.FLC_WELR[group].offset) >> page & 1
        return "the page is write-protected" if protected else ""

    @property
    def _offset(self) -> int:
        return self._word(mcu.FLC_ADDR.offset) % addresses.FLASH_BYTES

    def _check_clock(self) -> None:
        divider = self._word(mcu.FLC_CLKDIV.offset) & mcu.FLC_CLKDIV.field("CLKDIV").mask
        hertz = SECOND / self._clock.period / max(divider, 1)
        if abs(hertz / _CLOCK_HZ - 1) > _CLOCK_TOLERANCE:
            message = f"the flash controller's clock is {hertz / 1e6:.2f} MHz, it must be 1 MHz"
            self._log.add("E-BOARD-FLASH-CLOCK", message)

    def _begin(self, action: int, fields: dict[str, int]) -> None:
        time = WRITE_TIME if fields["WR"] else ERASE_TIME
        self.words[_CTRL.offset] |= action | _PENDING
        self._event = self._clock.schedule(time, lambda: self._end(fields))
        if self._cpu.get("PC") in _FLASH:
            self._cpu.stall(-(-time // self._clock.period))

    def _end(self, fields: dict[str, int]) -> None:
        self._event = None
        self.words[_CTRL.offset] &= ~(_ACTIONS | _PENDING)
        offset = self._offset
        if fields["ME"]:
            for page in range(addresses.FLASH_BYTES // _PAGE):
                self._erase(page)
        elif fields["PGE"]:
            self._erase(offset // _PAGE)
        elif offset // _PAGE not in self.failing_pages:  # worn-out cells do it without a word
            self._write(offset, fields)
        self._cpu.forget_code()
        self._write_flags(self._word(mcu.FLC_INTR.offset) | _DONE)

    def _erase(self, page: int) -> None:
        if page not in self.failing_pages:
            self._cpu.write_memory(addresses.FLASH_BASE + page * _PAGE, b"\xff" * _PAGE)

    def _write(self, offset: int, fields: dict[str, int]) -> None:
        words = [self._word(register.offset) for register in mcu.FLC_DATA]
        size = 4 if fields["WDTH"] else _WRITE_BYTES
        start = addresses.FLASH_BASE + (offset & ~(size - 1))
        data = struct.pack("<4I", *words)[:size]
        old = self._cpu.read_memory(start, size)
        if any(new & ~before for new, before in zip(data, old, strict=True)):
            self._log.add("E-BOARD-FLASH-WRITE", "flash is written without an erase", start)
        merged = bytes(a & b for a, b in zip(old, data, strict=True))
        self._cpu.write_memory(start, merged)

    def _write_flags(self, word: int) -> None:
        self.words[mcu.FLC_INTR.offset] = word
        self._set_irq(bool(word & word >> 8 & (_DONE | _FAILED)))
