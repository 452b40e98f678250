"""Time spent in each power state; what current flows in them is not decided here."""

from __future__ import annotations

from collections.abc import Callable

from max78k.simulator.clock import SECOND

CORE_STATES = ("core_active", "core_sleep", "core_deep_sleep")
CNN_STATES = ("cnn_off", "cnn_idle", "cnn_active")


class StateTimes:
    """Accumulates virtual time per state of one part of the chip.

    Args:
        states: names; the first is the state at power-on.
        now: gives virtual time in femtoseconds.
        entered: called with each state that is entered, the first included.
    """

    def __init__(
        self,
        states: tuple[str, ...],
        now: Callable[[], int],
        entered: Callable[[str], None] = lambda state: None,
    ) -> None:
        self._now = now
        self._entered = entered
        self._times = dict.fromkeys(states, 0)
        self._state = states[0]
        self._since = now()
        entered(self._state)

    def enter(self, state: str) -> None:
        """The part is in ``state`` from now on."""
        if state != self._state:
            self._settle()
            self._state = state
            self._entered(state)

    def seconds(self) -> dict[str, float]:
        """Seconds in each state up to now."""
        self._settle()
        return {state: time / SECOND for state, time in self._times.items()}

    def _settle(self) -> None:
        now = self._now()
        self._times[self._state] += now - self._since
        self._since = now
