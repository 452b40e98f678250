"""The virtual board's own current model, read like an instrument: an estimate."""

from __future__ import annotations

import tempfile
from pathlib import Path

from max78k.errors import InputError
from max78k.host.energy import read_trace
from max78k.host.meters.meter import ESTIMATE, Instrument, Recording


class VirtualMeter:
    """Reads the trace that the virtual board leaves when its session ends.

    Args:
        path: where it leaves it, and where it stays; without, it goes when the meter is closed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="max78k-")
            path = Path(self._folder.name) / "current.csv"
        self.board_trace: Path | None = path
        self._path = path

    @property
    def instrument(self) -> Instrument:
        """The model; it has no noise and no resolution."""
        return Instrument("current model of the virtual board", ESTIMATE)

    def open(self) -> None:
        """There is nothing to open."""

    def start(self) -> None:
        """The board records from its power-on."""

    def stop(self) -> Recording:
        """Read the trace. Raises InputError ``E-BENCH-METER`` if it is none."""
        import numpy as np

        trace = read_trace(self._path)
        if not trace.pins:
            raise InputError("E-BENCH-METER", f"{self._path} covers no time.")
        starts = [span.start for span in trace.pins]
        last = trace.pins[-1]
        edges = (np.array([*starts, last.start + last.milliseconds]) - starts[0]) / 1e3
        low, high = (
            trace.voltage_v * np.array([getattr(span, name) for span in trace.pins])
            for name in ("low", "high")
        )
        marks = np.array([span.marks for span in trace.pins], dtype=np.uint8)
        return Recording(edges, np.sqrt(low * high), trace.voltage_v, marks, bounds_mw=(low, high))

    def close(self) -> None:
        """Remove the trace if nobody asked for it."""
        if self._folder is not None:
            self._folder.cleanup()
