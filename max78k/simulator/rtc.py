"""RTC and WUT: time that goes on with the 32 kHz oscillator."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import io_registers as io
from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block
from max78k.simulator.timers import Counter

_CTRL = io.RTC_CTRL
_EN, _ADE, _ASE = (_CTRL.field(name).mask for name in ("EN", "ADE", "ASE"))
_BUSY = _CTRL.field("BUSY").mask
_RDY, _RDYE = _CTRL.field("RDY").mask, _CTRL.field("RDYE").mask
_ALDF, _ALSF = _CTRL.field("ALDF").mask, _CTRL.field("ALSF").mask
_TICK = SECOND // io.RTC_SSEC_HZ
_TICKS_PER_SECOND = io.RTC_SSEC_HZ
_ALARM_SECONDS = 1 << 20  # the time of day alarm compares so many seconds
_COUNTER_END = 1 << 32


class RealTimeClock(Block):
    """Seconds and 1/4096 seconds, with both alarms; never busy, always ready."""

    def __init__(self, clock: Clock, set_irq: Callable[[bool], None]) -> None:
        super().__init__("RTC", always_set={_CTRL.offset: _RDY})
        self._clock = clock
        self._set_irq = set_irq
        self._ticks = 0  # at the anchor
        self._anchor = 0
        self._day: Event | None = None
        self._sub: Event | None = None
        self.readers[io.RTC_SEC.offset] = lambda: self._now // _TICKS_PER_SECOND & 0xFFFF_FFFF
        self.readers[io.RTC_SSEC.offset] = lambda: self._now % _TICKS_PER_SECOND
        self.writers[io.RTC_SEC.offset] = self._write_seconds
        self.writers[io.RTC_SSEC.offset] = self._write_parts
        self.writers[_CTRL.offset] = self._write_ctrl
        self.writers[io.RTC_TODA.offset] = self._write_day_alarm
        self.writers[io.RTC_SSECA.offset] = self._write_sub_alarm

    def reset(self) -> None:
        """Stop at 0."""
        super().reset()
        self._ticks, self._anchor = 0, self._clock.now
        self._schedule_day()
        self._schedule_sub()
        self._set_irq(False)

    @property
    def _control(self) -> int:
        return self.words.get(_CTRL.offset, 0)

    @property
    def _now(self) -> int:
        """1/4096 seconds."""
        passed = (self._clock.now - self._anchor) // _TICK if self._control & _EN else 0
        return self._ticks + passed

    def _set_time(self, ticks: int) -> None:
        self._ticks, self._anchor = ticks, self._clock.now
        self._schedule_day()

    def _write_seconds(self, value: int) -> None:
        self._set_time(value * _TICKS_PER_SECOND + self._now % _TICKS_PER_SECOND)

    def _write_parts(self, value: int) -> None:
        self._set_time(self._now // _TICKS_PER_SECOND * _TICKS_PER_SECOND + value % 4096)

    def _write_ctrl(self, value: int) -> None:
        self._ticks, self._anchor = self._now, self._clock.now
        before = self._control
        self.words[_CTRL.offset] = value & ~(_RDY | _BUSY)
        self._schedule_day()
        if (before ^ value) & (_EN | _ASE):
            self._schedule_sub()
        self._update_irq()

    def _write_day_alarm(self, value: int) -> None:
        self.words[io.RTC_TODA.offset] = value
        self._schedule_day()

    def _write_sub_alarm(self, value: int) -> None:
        self.words[io.RTC_SSECA.offset] = value
        self._schedule_sub()

    def _schedule_day(self) -> None:
        self._clock.cancel(self._day)
        self._day = None
        if self._control & _EN and self._control & _ADE:
            alarm = self.words.get(io.RTC_TODA.offset, 0) % _ALARM_SECONDS
            now = self._now
            seconds = (alarm - now // _TICKS_PER_SECOND - 1) % _ALARM_SECONDS + 1
            ticks = seconds * _TICKS_PER_SECOND - now % _TICKS_PER_SECOND
            self._day = self._clock.schedule(ticks * _TICK, self._day_alarm)

    def _schedule_sub(self) -> None:
        self._clock.cancel(self._sub)
        self._sub = None
        if self._control & _EN and self._control & _ASE:
            ticks = _COUNTER_END - self.words.get(io.RTC_SSECA.offset, 0)
            self._sub = self._clock.schedule(ticks * _TICK, self._sub_alarm)

    def _day_alarm(self) -> None:
        self.words[_CTRL.offset] = self._control | _ALDF
        self._schedule_day()
        self._update_irq()

    def _sub_alarm(self) -> None:
        self.words[_CTRL.offset] = self._control | _ALSF
        self._schedule_sub()
        self._update_irq()

    def _update_irq(self) -> None:
        word = self._control
        day, sub = word & _ADE and word & _ALDF, word & _ASE and word & _ALSF
        self._set_irq(bool(day or sub or word & _RDYE))


class WakeUpTimer(Block):
    """WUT: a 32-bit counter of the 32 kHz clock, divided by a power of two."""

    def __init__(self, clock: Clock, set_irq: Callable[[bool], None]) -> None:
        super().__init__("WUT")
        self._set_irq = set_irq
        self._counter = Counter(clock, self._matched)
        self.readers[io.WUT_CNT.offset] = lambda: self._counter.count
        self.writers[io.WUT_CNT.offset] = self._write_count
        self.writers[io.WUT_INTFL.offset] = self._write_flags

    def reset(self) -> None:
        """Stop at 0."""
        super().reset()
        self._write_count(0)
        self._counter.configure(running=False)
        self._set_irq(False)

    def write(self, offset: int, value: int) -> None:
        """Registers take effect at once."""
        self._counter.settle()
        super().write(offset, value)
        self._configure()

    def _configure(self) -> None:
        fields = io.WUT_CTRL.unpack(self.words.get(io.WUT_CTRL.offset, 0))
        divider = fields["PRES"] | fields["PRES3"] << 3
        self._counter.period = (SECOND << divider) // mcu.ERTCO_HZ
        self._counter.mode = fields["MODE"]
        self._counter.compare = self.words.get(io.WUT_CMP.offset, 0)
        self._counter.configure(running=bool(fields["EN"]))

    def _matched(self) -> None:
        if self._counter.mode == mcu.TMR_MODE_ONE_SHOT:
            self.words[io.WUT_CTRL.offset] &= ~io.WUT_CTRL.field("EN").mask
        self.words[io.WUT_INTFL.offset] = 1
        self._configure()
        self._set_irq(True)

    def _write_count(self, value: int) -> None:
        self._counter.settle()
        self._counter.value = value

    def _write_flags(self, value: int) -> None:
        flags = self.words.get(io.WUT_INTFL.offset, 0) & ~value
        self.words[io.WUT_INTFL.offset] = flags
        self._set_irq(bool(flags))
