"""TMR0-5: one 32-bit timer or two halves of 16 bits, counting virtual time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from max78k.chip import mcu_registers as mcu
from max78k.chip.registers import Register
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block

_CASCADE = mcu.TMR_CTRL1.field("CASCADE").mask
_CTRL0_HALF = {
    name: mcu.TMR_CTRL0.field(f"{name}_A") for name in ("MODE", "CLKDIV", "CLKEN", "EN", "RST")
}
_CTRL1_HALF = {name: mcu.TMR_CTRL1.field(f"{name}_A") for name in ("CLKSEL", "IE")}
_CLKEN_FLAG = mcu.TMR_CTRL1.field("CLKEN_A").mask
_CLKRDY_FLAG = mcu.TMR_CTRL1.field("CLKRDY_A").mask
_IRQ_FLAG = mcu.TMR_INTFL.field("IRQ_A").mask
_WRDONE = mcu.TMR_INTFL.field("WRDONE_A").mask | mcu.TMR_INTFL.field("WRDONE_B").mask
_RESTARTS = (mcu.TMR_MODE_CONTINUOUS, 3)  # continuous and PWM begin again at 1
_COMPARE = 5  # goes on counting after a match


class Counter:
    """A counter of 16 or 32 bits that counts up to a compare value."""

    def __init__(self, clock: Clock, match: Callable[[], None]) -> None:
        self._clock = clock
        self._match = match
        self._event: Event | None = None
        self._running = False
        self._anchor = 0
        self.value = 0
        self.compare = 0
        self.mode = 0
        self.period = 1
        self.mask = 0xFFFF_FFFF

    @property
    def count(self) -> int:
        """The count at this moment."""
        ticks = (self._clock.now - self._anchor) // self.period if self._running else 0
        return (self.value + ticks) & self.mask

    def settle(self) -> None:
        """Bring ``value`` up to date."""
        if self._running:
            ticks = (self._clock.now - self._anchor) // self.period
            self.value = (self.value + ticks) & self.mask
            self._anchor += ticks * self.period

    def configure(self, running: bool) -> None:
        """Call after ``settle`` and any change: starts, stops, and sets the time of the match."""
        if running and not self._running:
            self._anchor = self._clock.now
        self._running = running
        self._clock.cancel(self._event)
        self._event = None
        if running:
            ticks = ((self.compare - self.value) & self.mask) + 1
            due = self._anchor + ticks * self.period - self._clock.now
            self._event = self._clock.schedule(due, self._matched)

    def _matched(self) -> None:
        self._event = None
        self.settle()
        if self.mode != _COMPARE:
            self.value = 1
        if self.mode not in _RESTARTS and self.mode != _COMPARE:
            self._running = False
        self._match()


class Timer(Block):
    """One timer block; the modes that count pins or capture are not modelled and count PCLK.

    Args:
        set_irq: drives the interrupt line.
        periods: gives the periods of the four clock sources in femtoseconds.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        set_irq: Callable[[bool], None],
        periods: Callable[[], tuple[int, int, int, int]],
    ) -> None:
        super().__init__(name)
        self._set_irq = set_irq
        self._periods = periods
        self._counters = tuple(Counter(clock, partial(self._matched, half)) for half in (0, 1))
        self.readers |= {
            mcu.TMR_CNT.offset: self._read_count,
            mcu.TMR_INTFL.offset: lambda: self._word(mcu.TMR_INTFL) | _WRDONE,
            mcu.TMR_CTRL1.offset: self._read_ctrl1,
        }
        self.writers |= {
            mcu.TMR_CNT.offset: self._write_count,
            mcu.TMR_INTFL.offset: self._write_flags,
            mcu.TMR_CTRL0.offset: self._write_ctrl0,
        }

    def reset(self) -> None:
        """Stop counting, all registers 0."""
        super().reset()
        for counter in self._counters:
            counter.settle()
            counter.value = 0
            counter.configure(running=False)
        self._set_irq(False)

    def write(self, offset: int, value: int) -> None:
        """Registers take effect at once."""
        self.clock_changes()
        super().write(offset, value)
        self.clock_changed()

    def clock_changes(self) -> None:
        """Call before a clock changes."""
        for counter in self._counters:
            counter.settle()

    def clock_changed(self) -> None:
        """Call after a clock has changed."""
        for half, counter in enumerate(self._counters):
            self._configure(half, counter)

    def _word(self, register: Register) -> int:
        return self.words.get(register.offset, 0)

    @property
    def _cascade(self) -> bool:
        return bool(self._word(mcu.TMR_CTRL1) & _CASCADE)

    def _configure(self, half: int, counter: Counter) -> None:
        shift = 16 * half
        ctrl0, ctrl1 = self._word(mcu.TMR_CTRL0) >> shift, self._word(mcu.TMR_CTRL1) >> shift
        divider = 1 << min(_CTRL0_HALF["CLKDIV"].get(ctrl0), 12)
        period = self._periods()[_CTRL1_HALF["CLKSEL"].get(ctrl1)] * divider
        counter.period = period
        counter.mode = _CTRL0_HALF["MODE"].get(ctrl0)
        counter.mask = 0xFFFF_FFFF if self._cascade else 0xFFFF
        compare = self._word(mcu.TMR_CMP)
        counter.compare = compare if self._cascade else compare >> shift & 0xFFFF
        enabled = bool(_CTRL0_HALF["CLKEN"].get(ctrl0) and _CTRL0_HALF["EN"].get(ctrl0))
        counter.configure(enabled and not (half and self._cascade))

    def _matched(self, half: int) -> None:
        shift, counter = 16 * half, self._counters[half]
        offset = mcu.TMR_CTRL0.offset
        if counter.mode not in (*_RESTARTS, _COMPARE):
            self.words[offset] &= ~(_CTRL0_HALF["EN"].mask << shift)
        flags = self._word(mcu.TMR_INTFL) | _IRQ_FLAG << shift
        self.words[mcu.TMR_INTFL.offset] = flags
        self._configure(half, counter)
        self._update_irq()

    def _update_irq(self) -> None:
        flags, enables = self._word(mcu.TMR_INTFL), self._word(mcu.TMR_CTRL1)
        enable = _CTRL1_HALF["IE"].mask
        self._set_irq(
            any(flags >> s & _IRQ_FLAG and enables >> s & enable for s in (0, 16)),
        )

    def _read_count(self) -> int:
        low, high = self._counters
        return low.count if self._cascade else low.count & 0xFFFF | high.count << 16

    def _write_count(self, value: int) -> None:
        low, high = self._counters
        low.value, high.value = (value, 0) if self._cascade else (value & 0xFFFF, value >> 16)

    def _write_flags(self, value: int) -> None:
        self.words[mcu.TMR_INTFL.offset] = self._word(mcu.TMR_INTFL) & ~value
        self._update_irq()

    def _write_ctrl0(self, value: int) -> None:
        for half, counter in enumerate(self._counters):
            if value >> 16 * half & _CTRL0_HALF["RST"].mask:
                counter.value = 0
        resets = _CTRL0_HALF["RST"].mask
        self.words[mcu.TMR_CTRL0.offset] = value & ~(resets | resets << 16)

    def _read_ctrl1(self) -> int:
        value, ctrl0 = self._word(mcu.TMR_CTRL1), self._word(mcu.TMR_CTRL0)
        value &= ~((_CLKEN_FLAG | _CLKRDY_FLAG) * 0x1_0001)
        for shift in (0, 16):
            value |= _CLKRDY_FLAG << shift if ctrl0 >> shift & _CTRL0_HALF["CLKEN"].mask else 0
            value |= _CLKEN_FLAG << shift if ctrl0 >> shift & _CTRL0_HALF["EN"].mask else 0
        return value


def standard_periods(peripheral: int) -> tuple[int, int, int, int]:
    """Clock sources of TMR0-3 for a PCLK period."""
    return (peripheral, SECOND // mcu.ISO_HZ, SECOND // mcu.IBRO_HZ, SECOND // mcu.ERTCO_HZ)


def low_power_periods() -> tuple[int, int, int, int]:
    """Clock sources of TMR4-5; code 3 is reserved."""
    inro = SECOND // mcu.INRO_HZ
    return (SECOND // mcu.IBRO_HZ, SECOND // mcu.ERTCO_HZ, inro, inro)
