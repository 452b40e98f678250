"""Sleep of the core: why it does not run, and what ends that."""

from __future__ import annotations

from max78k.simulator.cpu import Stop
from max78k.simulator.energy import StateTimes
from max78k.simulator.exceptions import Exceptions
from max78k.simulator.power_sequencer import PowerSequencer
from max78k.simulator.system_control import SystemControl


class CoreSleep:
    """Light and deep sleep, backup and power-down, and a core that hangs.

    Args:
        times: told of the core's states.

    Attributes:
        reason: why the core does not run; None while it does.
    """

    def __init__(
        self,
        exceptions: Exceptions,
        system: SystemControl,
        sequencer: PowerSequencer,
        times: StateTimes,
    ) -> None:
        self.reason: Stop | None = None
        self._exceptions = exceptions
        self._system = system
        self._sequencer = sequencer
        self._times = times

    def begin(self, stop: Stop) -> None:
        """WFI, WFE, or the return that sleeps; what is pending already ends it at once."""
        self.reason = stop
        if self._ends():
            self.reason = None
        elif self._system.sleep_deep:
            self._set_deep(True)
            self._times.enter("core_deep_sleep")
        else:
            self._times.enter("core_sleep")

    def lose_power(self) -> None:
        """Backup mode or power-down."""
        self.reason = Stop.NO_POWER
        self._set_deep(True)
        self._times.enter("core_deep_sleep")

    def hang(self) -> None:
        """The core stops for good; it draws what it did."""
        self.reason = Stop.HANG
        self._times.enter("core_active")

    def look(self) -> None:
        """Call when something has happened: wakes the core if that wakes it."""
        unit = self._exceptions
        if self.reason is not None and (unit.pending or unit.event) and self._ends():
            self.end()

    def end(self) -> None:
        """The core runs from now on."""
        self.reason = None
        self._set_deep(False)
        self._times.enter("core_active")

    def _set_deep(self, deep: bool) -> None:
        self._sequencer.in_deep_sleep = deep
        self._system.systick.freeze(deep)

    def _ends(self) -> bool:
        unit = self._exceptions
        if self.reason in (Stop.HANG, Stop.NO_POWER):
            return False
        if self.reason is Stop.WAIT_FOR_EVENT and unit.event:
            unit.event = False
            return True
        return unit.wakes
