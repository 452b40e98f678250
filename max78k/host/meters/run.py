"""A meter beside a benchmark: begin, note each answer, finish."""

from __future__ import annotations

import time
from collections.abc import Callable

from max78k.errors import InputError
from max78k.host.meters.meter import STATED, Meter
from max78k.host.meters.report import (
    EnergyReport,
    FrameTimes,
    report_by_clock,
    report_by_marks,
    report_by_timer,
)

IDLE_S = 1.0


class EnergyRun:
    """Records while a benchmark runs.

    Call ``begin`` with the board connected and waiting, ``frame`` with each row that counts, and
    ``finish`` when the board's session is closed (the virtual board hands over its current then).

    Args:
        idle_s: how long the waiting board is recorded first; what is subtracted is its power.
        clock, sleep: of the host.
    """

    def __init__(
        self,
        meter: Meter,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._meter = meter
        self._idle_s = 0.0 if meter.instrument.kind == STATED else idle_s
        self._clock, self._sleep = clock, sleep
        self._idle = (0.0, 0.0)
        self._times: list[FrameTimes] = []
        self._ends: list[float] = []

    def begin(self) -> None:
        """Start the meter, and let the board wait for ``idle_s``."""
        self._meter.start()
        begin = self._clock()
        self._sleep(self._idle_s)
        self._idle = begin, self._clock()

    def frame(self, times: FrameTimes) -> None:
        """An inference that counts has just been answered."""
        self._times.append(times)
        self._ends.append(self._clock())

    def finish(self) -> EnergyReport:
        """Stop the meter, and work out the energies.

        The accelerator must not have run after the last ``frame``. Raises InputError
        ``E-METER-MARKS``, ``E-METER-SHORT`` or what the meter raises.
        """
        recording = self._meter.stop()
        instrument = self._meter.instrument
        if not self._times:
            raise InputError("E-METER-SHORT", "no inference was answered while the meter ran.")
        if instrument.kind == STATED:
            span = self._ends[-1] - self._idle[1]
            return report_by_timer(instrument, recording, self._times, span)
        began = recording.began_s
        idle = None if began is None else (self._idle[0] - began, self._idle[1] - began)
        if recording.marks is not None and recording.marks.any():
            return report_by_marks(instrument, recording, self._times, idle)
        if began is None:
            raise InputError(
                "E-METER-MARKS",
                f"{instrument.name} has neither marks nor the host's clock.",
                "record the board's pins P2.6 (D0) and P2.7 (D1) beside the current",
            )
        return report_by_clock(instrument, recording, [end - began for end in self._ends], idle)
