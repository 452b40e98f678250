"""TMR0-5: one 32-bit timer or two halves of 16 bits, counting virtual time or their input pin.

Modes: one-shot, continuous, counter, PWM, capture, compare, gated, capture and compare, dual edge,
inverted gated. The levels of output pins are not modelled; what firmware sees of them, the flags
at both transitions of PWM, is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from max78k.chip import mcu_registers as mcu
from max78k.chip.registers import Register
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block

_CASCADE = mcu.TMR_CTRL1.field("CASCADE").mask
_CTRL0_HALF = {
    name: mcu.TMR_CTRL0.field(f"{name}_A")
    for name in ("MODE", "CLKDIV", "POL", "CLKEN", "EN", "RST")
}
_CTRL1_HALF = {name: mcu.TMR_CTRL1.field(f"{name}_A") for name in ("CLKSEL", "IE")}
_CLKEN_FLAG = mcu.TMR_CTRL1.field("CLKEN_A").mask
_CLKRDY_FLAG = mcu.TMR_CTRL1.field("CLKRDY_A").mask
_SOFTWARE_EVENT = mcu.TMR_CTRL1.field("SW_CAPEVENT_A").mask
_IRQ_FLAG = mcu.TMR_INTFL.field("IRQ_A").mask
_WRDONE = mcu.TMR_INTFL.field("WRDONE_A").mask | mcu.TMR_INTFL.field("WRDONE_B").mask
_ONE_SHOT, _COUNTER, _PWM, _CAPTURE, _COMPARE = 0, 2, 3, 4, 5
_GATED, _CAPTURE_COMPARE, _DUAL_EDGE, _INVERTED_GATED = 6, 7, 8, 14
_STOPS = (_ONE_SHOT, _CAPTURE_COMPARE)  # at a match; the others begin again at 1
_CAPTURES = (_CAPTURE, _CAPTURE_COMPARE, _DUAL_EDGE)


class Counter:
    """A counter of 16 or 32 bits that counts up to a compare value.

    Args:
        match: called when the count has passed ``compare``, in PWM also when it has passed
            ``pulse``.
    """

    def __init__(self, clock: Clock, match: Callable[[], None]) -> None:
        self._clock = clock
        self._match = match
        self._event: Event | None = None
        self._running = False
        self._anchor = 0
        self.value = 0
        self.compare = 0
        self.pulse = 0
        self.mode = 0
        self.period = 1
        self.mask = 0xFFFF_FFFF

    @property
    def count(self) -> int:
        """The count at this moment."""
        ticks = (self._clock.now - self._anchor) // self.period if self._running else 0
        return (self.value + ticks) & self.mask

    def settle(self) -> None:
        """Bring ``value`` up to date; a match that is due and not carried out yet is not lost."""
        if self._event is not None and self._event.time <= self._clock.now:
            self._clock.cancel(self._event)
            self._matched()
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
            ticks = self._ticks_to(self.compare)
            if self.mode == _PWM:
                ticks = min(ticks, self._ticks_to(self.pulse))
            due = self._anchor + ticks * self.period - self._clock.now
            self._event = self._clock.schedule(due, self._matched)

    def step(self) -> None:
        """Count one edge of the pin."""
        if self.value == self.compare:
            self._passed()
        else:
            self.value = (self.value + 1) & self.mask

    def _ticks_to(self, value: int) -> int:
        return ((value - self.value) & self.mask) + 1

    def _matched(self) -> None:
        self._event = None
        self.settle()
        if self.mode == _PWM and self.value != (self.compare + 1) & self.mask:
            self._match()
        else:
            self._passed()

    def _passed(self) -> None:
        if self.mode != _COMPARE:
            late = max(self.value - self.compare - 1, 0)  # ticks since the match
            self.value = 1 + late % max(self.compare, 1)
        if self.mode in _STOPS:
            self._running = False
            self.value = 1
        self._match()


class Timer(Block):
    """One timer block.

    Its input pin belongs to the first half, and to the whole 32-bit timer.

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
        self._pin = True
        self._began = False  # capture and compare: the first edge has come
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
            mcu.TMR_CTRL1.offset: self._write_ctrl1,
        }

    def reset(self) -> None:
        """Stop counting, all registers 0."""
        super().reset()
        self._began = False
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
        shift = 0 if self._cascade else shift
        counter.compare = self._word(mcu.TMR_CMP) >> shift & counter.mask
        counter.pulse = self._word(mcu.TMR_PWM) >> shift & counter.mask
        enabled = bool(_CTRL0_HALF["CLKEN"].get(ctrl0) and _CTRL0_HALF["EN"].get(ctrl0))
        counter.configure(enabled and not (half and self._cascade) and self._counts(counter.mode))

    def _counts(self, mode: int) -> bool:
        """Whether the clock counts in this mode, as the pin stands."""
        if mode in (_GATED, _INVERTED_GATED):
            return self._pin == (mode == _GATED)
        return mode != _COUNTER and (mode != _CAPTURE_COMPARE or self._began)

    # -- the input pin

    def move_pin(self, level: bool) -> None:
        """The input pin has got another level."""
        self.clock_changes()
        self._pin = level
        enabled = self._word(mcu.TMR_CTRL0) & _CTRL0_HALF["EN"].mask
        counter, polarity = self._counters[0], _CTRL0_HALF["POL"].get(self._word(mcu.TMR_CTRL0))
        wanted = level != bool(polarity)
        if enabled and counter.mode == _COUNTER and wanted:
            counter.step()
        elif enabled and counter.mode in _CAPTURES and (wanted or counter.mode == _DUAL_EDGE):
            self._capture()
        self.clock_changed()

    def _capture(self) -> None:
        counter = self._counters[0]
        if counter.mode == _CAPTURE_COMPARE and not self._began:
            self._began = True
            return
        self.words[mcu.TMR_PWM.offset] = counter.value
        if counter.mode != _CAPTURE:
            counter.value = 1
        self._matched(0, stops=False)

    def _matched(self, half: int, stops: bool = True) -> None:
        shift, counter = 16 * half, self._counters[half]
        offset = mcu.TMR_CTRL0.offset
        if stops and counter.mode in _STOPS:
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
        if low.mask == 0xFFFF_FFFF:
            return low.count
        return low.count & 0xFFFF | high.count << 16

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
        self._began = self._began and bool(value & _CTRL0_HALF["EN"].mask)

    def _write_ctrl1(self, value: int) -> None:
        """A capture by software takes place at once."""
        self.words[mcu.TMR_CTRL1.offset] = value & ~_SOFTWARE_EVENT
        enabled = self._word(mcu.TMR_CTRL0) & _CTRL0_HALF["EN"].mask
        if value & _SOFTWARE_EVENT and enabled and self._counters[0].mode in _CAPTURES:
            self._capture()

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
