"""WDT0 and WDT1: interrupt and reset when they are not fed in time, or too early."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import Clock, Event
from max78k.simulator.peripherals import Block

_EN = mcu.WDT_CTRL.field("EN").mask
_INT_EN, _RST_EN = mcu.WDT_CTRL.field("INT_EN").mask, mcu.WDT_CTRL.field("RST_EN").mask
_INT_LATE, _RST_LATE = mcu.WDT_CTRL.field("INT_LATE").mask, mcu.WDT_CTRL.field("RST_LATE").mask
_WIN_EN = mcu.WDT_CTRL.field("WIN_EN").mask
_INT_EARLY, _RST_EARLY = mcu.WDT_CTRL.field("INT_EARLY").mask, mcu.WDT_CTRL.field("RST_EARLY").mask
_FLAGS = _INT_LATE | _INT_EARLY | _RST_LATE | _RST_EARLY
_CLKRDY = mcu.WDT_CTRL.field("CLKRDY").mask
_SOURCE = mcu.WDT_CLKSEL.field("SOURCE")
_FEED = (0xA5, 0x5A)


class Watchdog(Block):
    """Counts a clock; ``request_reset`` is called when the reset time is over.

    ``period`` gives the femtoseconds of one count for the value of CLKSEL.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        period: Callable[[int], int],
        set_irq: Callable[[bool], None],
        request_reset: Callable[[], None],
    ) -> None:
        super().__init__(name, always_set={mcu.WDT_CTRL.offset: _CLKRDY})
        self._clock = clock
        self._period_of = period
        self._set_irq = set_irq
        self._request_reset = request_reset
        self._events: list[Event] = []
        self._fed_at = 0
        self._feeding = 0
        self.writers[mcu.WDT_CTRL.offset] = self._write_ctrl
        self.writers[mcu.WDT_RST.offset] = self._write_rst
        self.readers[mcu.WDT_CNT.offset] = self._count

    def reset(self) -> None:
        """Stop; the flag that names the watchdog as the cause of a reset is kept."""
        cause = self.words.get(mcu.WDT_CTRL.offset, 0) & (_RST_LATE | _RST_EARLY)
        super().reset()
        self.words[mcu.WDT_CTRL.offset] = cause
        self._schedule()
        self._set_irq(False)

    def forget(self) -> None:
        """Power-on: the reset cause is lost too."""
        self.words.clear()

    def _period(self) -> int:
        return self._period_of(_SOURCE.get(self.words.get(mcu.WDT_CLKSEL.offset, 0)))

    def _count(self) -> int:
        enabled = self.words.get(mcu.WDT_CTRL.offset, 0) & _EN
        return (self._clock.now - self._fed_at) // self._period() if enabled else 0

    def _write_ctrl(self, value: int) -> None:
        before = self.words.get(mcu.WDT_CTRL.offset, 0)
        self.words[mcu.WDT_CTRL.offset] = value
        self._set_irq(bool(value & (_INT_LATE | _INT_EARLY) and value & _INT_EN))
        if (before ^ value) & ~_FLAGS:
            self._schedule()

    def _write_rst(self, value: int) -> None:
        self._feeding = self._feeding + 1 if value == _FEED[self._feeding] else 0
        if self._feeding == len(_FEED):
            self._feeding = 0
            if self.words.get(mcu.WDT_CTRL.offset, 0) & _WIN_EN:
                self._check_window()
            self._schedule()

    def _check_window(self) -> None:
        """Fed before a window has begun: interrupt, or reset."""
        fields, count = mcu.WDT_CTRL.unpack(self.words[mcu.WDT_CTRL.offset]), self._count()
        if not fields["EN"]:
            return
        if count < 1 << 31 - fields["RST_EARLY_VAL"]:
            self._expire(_RST_EARLY)
        if count < 1 << 31 - fields["INT_EARLY_VAL"]:
            self._interrupt(_INT_EARLY)

    def _schedule(self) -> None:
        """Begin to count from 0."""
        for event in self._events:
            self._clock.cancel(event)
        self._events = []
        self._fed_at = self._clock.now
        word = self.words.get(mcu.WDT_CTRL.offset, 0)
        fields = mcu.WDT_CTRL.unpack(word)
        if not word & _EN:
            return
        for late, action in (
            (fields["INT_LATE_VAL"], self._interrupt),
            (fields["RST_LATE_VAL"], self._expire),
        ):
            delay = (1 << 31 - late) * self._period()
            self._events.append(self._clock.schedule(delay, action))

    def _interrupt(self, flag: int = _INT_LATE) -> None:
        self.words[mcu.WDT_CTRL.offset] |= flag
        self._set_irq(bool(self.words[mcu.WDT_CTRL.offset] & _INT_EN))

    def _expire(self, flag: int = _RST_LATE) -> None:
        if self.words[mcu.WDT_CTRL.offset] & _RST_EN:
            self.words[mcu.WDT_CTRL.offset] |= flag
            self._request_reset()
