"""Virtual time: femtoseconds since power-on, and what is to happen when."""

from __future__ import annotations

import heapq
from collections.abc import Callable

SECOND = 10**15  # femtoseconds; fine enough that 60 MHz is right to one part in 10^8


class Event:
    """Something that happens at a time; ``work`` tells transfers and runs from mere timers."""

    __slots__ = ("action", "time", "work")

    def __init__(self, time: int, action: Callable[[], None], work: bool) -> None:
        self.time = time
        self.action: Callable[[], None] | None = action
        self.work = work


class Clock:
    """Virtual time in step with the core.

    Attributes:
        period: of one core cycle, in femtoseconds.
        cycles: core cycles executed; stands still while the core sleeps.
        take_cycles: gives the cycles that the core ran since it was last asked.
        on_earlier: called when an event is scheduled before ``deadline``, the end of the
            present slice of execution.
    """

    def __init__(self, period: int) -> None:
        self.period = period
        self.cycles = 0
        self.deadline = 0
        self.take_cycles: Callable[[], int] = lambda: 0
        self.on_earlier: Callable[[], None] = lambda: None
        self._base = 0
        self._heap: list[tuple[int, int, Event]] = []
        self._sequence = 0
        self._work = 0
        self._firing: int | None = None

    @property
    def now(self) -> int:
        """Femtoseconds since power-on, to the instruction; in an event, the time it was set to.

        Events are carried out between slices of execution, which may end a little later.
        """
        if self._firing is not None:
            return self._firing
        taken = self.take_cycles()
        if taken:
            self.cycles += taken
            self._base += taken * self.period
        return self._base

    @property
    def seconds(self) -> float:
        """Seconds since power-on."""
        return self.now / SECOND

    def settle(self) -> None:
        """Take over the cycles that the core has run."""
        taken = self.take_cycles()
        if taken:
            self.cycles += taken
            self._base += taken * self.period

    def set_period(self, period: int) -> None:
        """Change the core clock from this moment on."""
        self.settle()  # what has been run so far was run at the old rate
        self.period = period

    def jump(self, time: int) -> None:
        """Let time pass while the core sleeps."""
        self._base = max(self.now, time)

    def schedule(self, delay: int, action: Callable[[], None], work: bool = False) -> Event:
        """Have ``action`` called ``delay`` femtoseconds from now."""
        event = Event(self.now + max(delay, 0), action, work)
        self._sequence += 1
        heapq.heappush(self._heap, (event.time, self._sequence, event))
        self._work += work
        if event.time < self.deadline:
            self.on_earlier()
        return event

    def cancel(self, event: Event | None) -> None:
        """Make an event not happen; one that has happened or is None is passed over."""
        if event is not None and event.action is not None:
            event.action = None
            self._work -= event.work

    @property
    def next_time(self) -> int | None:
        """Time of the next event, None if nothing is scheduled."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    @property
    def has_work(self) -> bool:
        """True while a transfer or an accelerator run is under way."""
        return self._work > 0

    def fire_due(self) -> None:
        """Carry out all events whose time has come, in order."""
        heap = self._heap
        self.settle()
        while heap and heap[0][0] <= self._base:
            time, _, event = heapq.heappop(heap)
            action, event.action = event.action, None
            if action is None:
                continue
            self._work -= event.work
            self._firing = time
            try:
                action()
            finally:
                self._firing = None
