"""A meter beside a benchmark: begin, note each answer, finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from max78k.errors import InputError
from max78k.host.meters.choose import choose_meter, open_meter
from max78k.host.meters.meter import STATED, Meter
from max78k.host.meters.report import (
    EnergyReport,
    FrameTimes,
    report_by_clock,
    report_by_marks,
    report_by_timer,
)
from max78k.host.session import SIM

IDLE_S = 1.0


@contextmanager
def measuring(meter: str | None, port: str) -> Iterator[EnergyRun]:
    """The run of the meter that ``--meter`` names, for the board on ``port``; None: of no meter.

    Raises InputError ``E-METER-KIND``, ``E-METER-OPTION``, ``E-BENCH-METER``.
    """
    if meter is None:
        yield EnergyRun(None)
        return
    require_meter(meter, port)
    with open_meter(meter) as opened:
        yield EnergyRun(opened)


def require_meter(meter: str, port: str) -> None:
    """Raise what :func:`measuring` raises before it opens the meter that ``meter`` names."""
    chosen = choose_meter(meter)
    try:
        if chosen.board_trace is not None and port != SIM:
            raise InputError(
                "E-BENCH-METER",
                f"--meter {meter} reads the current trace of --port sim alone, not of {port}.",
                "a meter in the supply, or --meter constant,ma=3.16,volts=5; see docs/energy.md",
            )
    finally:
        chosen.close()


class EnergyRun:
    """Records while a benchmark runs.

    Call ``begin`` with the board connected and waiting, ``frame`` with each row that counts, and
    ``finish`` when the board's session is closed (the virtual board hands over its current then).

    Without a meter all of it does nothing, and there is no report.

    Args:
        idle_s: how long the waiting board is recorded first; what is subtracted is its power.
        clock, sleep: of the host.
    """

    def __init__(
        self,
        meter: Meter | None,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._meter = meter
        self._idle_s = idle_s
        self._clock, self._sleep = clock, sleep
        self._idle = (0.0, 0.0)
        self._times: list[FrameTimes] = []
        self._ends: list[float] = []

    @property
    def board_trace(self) -> Path | None:
        """Where the virtual board has to leave its current, if this meter reads that."""
        return None if self._meter is None else self._meter.board_trace

    def begin(self) -> None:
        """Start the meter, and let the board wait for ``idle_s``."""
        if self._meter is None:
            return
        self._meter.start()
        begin = self._clock()
        if self._meter.instrument.kind != STATED:
            self._sleep(self._idle_s)
        self._idle = begin, self._clock()

    def frame(self, times: FrameTimes) -> None:
        """An inference that counts has just been answered."""
        self._times.append(times)
        self._ends.append(self._clock())

    def finish(self) -> EnergyReport | None:
        """Stop the meter, and work out the energies.

        The accelerator must not have run after the last ``frame``. Marks that do not fit are
        remarked, and the host's clock serves instead, where the meter goes by it. Raises InputError
        ``E-METER-MARKS``, ``E-METER-SHORT`` or what the meter raises.
        """
        if self._meter is None:
            return None
        recording = self._meter.stop()
        instrument = self._meter.instrument
        if not self._times:
            raise InputError("E-METER-SHORT", "no inference was answered while the meter ran.")
        if instrument.kind == STATED:
            span = self._ends[-1] - self._idle[1]
            return report_by_timer(instrument, recording, self._times, span)
        began = recording.began_s
        idle = None if began is None else (self._idle[0] - began, self._idle[1] - began)
        remarks: tuple[str, ...] = ()
        if recording.marks is not None and recording.marks.any():
            try:
                return report_by_marks(instrument, recording, self._times, idle)
            except InputError as error:
                if began is None:
                    raise
                remarks = (f"{error.message} {error.hint}",)
        if began is None:
            raise InputError(
                "E-METER-MARKS",
                f"{instrument.name} has neither marks nor the host's clock.",
                "record the board's pins P2.6 (D0) and P2.7 (D1) beside the current",
            )
        ends = [end - began for end in self._ends]
        report = report_by_clock(instrument, recording, ends, idle)
        return replace(report, remarks=remarks + report.remarks)
