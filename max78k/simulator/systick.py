"""SysTick and the cycle counter: the core's own timers."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import SECOND, Clock, Event

_ENABLE, _TICKINT, _CLKSOURCE, _COUNTFLAG = 1, 2, 4, 1 << 16
_COUNT_MASK = 0xFF_FFFF


class SysTick:
    """The 24-bit down counter; ``expire`` is called when it reaches zero with TICKINT set."""

    def __init__(self, clock: Clock, expire: Callable[[], None]) -> None:
        self._clock = clock
        self._expire = expire
        self._event: Event | None = None
        self._frozen = False
        self.reset()

    def reset(self) -> None:
        """Stop counting."""
        self._frozen = False
        self._clock.cancel(self._event)
        self._event = None
        self._control = self._reload = self._value = self._anchor = 0
        self._flag = False

    def read(self, offset: int) -> int:
        """CSR, RVR, CVR, CALIB at 0x0, 0x4, 0x8, 0xC; reading CSR clears COUNTFLAG."""
        if offset == 0x0:
            flag, self._flag = self._flag, False
            return self._control | (_COUNTFLAG if flag else 0)
        if offset == 0x4:
            return self._reload
        return self._count() if offset == 0x8 else 0

    def write(self, offset: int, value: int) -> None:
        """Writing CVR clears the counter, which then reloads."""
        if self._event is not None and self._event.time <= self._clock.now:
            self._zero()  # it is due, and would be lost
        self._settle()
        if offset == 0x0:
            self._control = value & (_ENABLE | _TICKINT | _CLKSOURCE)
        elif offset == 0x4:
            self._reload = value & _COUNT_MASK
        elif offset == 0x8:
            self._value, self._flag = 0, False
        self._schedule()

    def clock_changes(self) -> None:
        """Call before the core clock changes."""
        self._settle()

    def clock_changed(self) -> None:
        """Call after the core clock has changed."""
        self._schedule()

    def freeze(self, frozen: bool) -> None:
        """Stand still, as the core's clock does in deep sleep, or go on."""
        if frozen != self._frozen:
            self._settle()
            self._frozen = frozen
            self._anchor = self._clock.now
            self._schedule()

    @property
    def _period(self) -> int:
        return self._clock.period if self._control & _CLKSOURCE else SECOND // mcu.ERTCO_HZ

    def _count(self) -> int:
        if self._frozen or not self._control & _ENABLE:
            return self._value
        ticks = (self._clock.now - self._anchor) // self._period
        if ticks <= self._value:
            return self._value - ticks
        return self._reload - (ticks - self._value - 1) % (self._reload + 1)

    def _settle(self) -> None:
        self._value, self._anchor = self._count(), self._clock.now

    def _schedule(self) -> None:
        self._clock.cancel(self._event)
        self._event = None
        if self._control & _ENABLE and self._reload and not self._frozen:
            ticks = self._value or self._reload + 1
            self._event = self._clock.schedule(ticks * self._period, self._zero)

    def _zero(self) -> None:
        self._flag = True
        self._value, self._anchor = 0, self._clock.now
        if self._control & _TICKINT:
            self._expire()
        self._schedule()


class CycleCounter:
    """DWT.CYCCNT: core cycles; like the real one it stands still while the core sleeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Stop counting."""
        self._value = self._anchor = 0
        self._running = False

    @property
    def _cycles(self) -> int:
        self._clock.settle()
        return self._clock.cycles

    @property
    def value(self) -> int:
        """The count."""
        elapsed = self._cycles - self._anchor if self._running else 0
        return (self._value + elapsed) & 0xFFFF_FFFF

    def set(self, value: int, running: bool) -> None:
        """Start from ``value``, or stop at it."""
        self._value, self._anchor, self._running = value, self._cycles, running
