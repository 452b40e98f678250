"""An INA219 or INA226 on a small board that prints what the chip reads.

The adapter (docs/energy.md has a program for one) sends a line for each reading:
``microseconds,shunt microvolts,bus millivolts[,marks]``, numbers without units; marks are D0 +
2 D1.
"""

from __future__ import annotations

import math
from pathlib import Path

from max78k.errors import InputError, ToolError
from max78k.host.diagnosis import printable
from max78k.host.meters.collector import numbers, whole_lines
from max78k.host.meters.meter import MEASURED, Instrument, Recording
from max78k.host.meters.serial_meter import SerialMeter

SHUNT_STEP_UV = {"INA219": 10.0, "INA226": 2.5}  # data sheets: the shunt register's last bit
_WRAP = 1 << 32
_BAD_SHARE = 0.05  # of lines that may be damaged


class InaAdapter(SerialMeter):
    """A shunt of ``shunt_ohm`` ohms, read by ``model``, whose adapter is on ``place``."""

    board_trace: Path | None = None

    def __init__(self, model: str, place: str, shunt_ohm: float, baud: int) -> None:
        if not (math.isfinite(shunt_ohm) and shunt_ohm > 0 and baud > 0):
            raise InputError(
                "E-METER-OPTION",
                f"a shunt of {shunt_ohm:g} ohms read at {baud} baud makes no meter.",
                "the resistor on the breakout, mostly shunt=0.1",
            )
        super().__init__(place, baud)
        self._model, self._shunt = model, shunt_ohm
        self._sample_s: float | None = None

    @property
    def instrument(self) -> Instrument:
        """The chip with its shunt."""
        step = SHUNT_STEP_UV[self._model] / self._shunt / 1e3
        name = f"{self._model} on {self._place}, shunt {self._shunt:g} ohm"
        return Instrument(name, MEASURED, step, self._sample_s)

    def stop(self) -> Recording:
        """The readings since ``start``. Raises ToolError ``E-METER-FORMAT``."""
        import numpy as np

        lines = whole_lines(self._collected())
        read = [(moment, numbers(text)) for moment, text in lines]
        good = [(moment, row) for moment, row in read if row is not None and len(row) in (3, 4)]
        if len(good) < 3 or len(good) < (1 - _BAD_SHARE) * len(lines):
            bad = next((text for _, text in lines if numbers(text) is None), "")
            raise ToolError(
                "E-METER-FORMAT",
                f"{len(good)} of {len(lines)} lines of {self._place} are readings; one that is"
                f' not: "{printable(bad[:60].encode())}".',
                "lines of microseconds,shunt microvolts,bus millivolts; the right baud=RATE",
            )
        width = min(len(row) for _, row in good)
        data = np.array([row[:width] for _, row in good])
        ticks = np.cumsum(np.concatenate(([0.0], np.diff(data[:, 0]) % _WRAP)))
        edges = ticks / 1e6
        if not (np.diff(edges) > 0).all():
            raise ToolError("E-METER-FORMAT", f"the times of {self._place} do not ascend.")
        self._sample_s = float(np.median(np.diff(edges)))
        late = np.array([moment for moment, _ in good]) - edges
        volts = data[1:, 2] / 1e3
        marks = data[1:, 3].astype(np.int64).astype(np.uint8) if width == 4 else None
        # A reading is the mean of the time before it; the first one's beginning is not known.
        return Recording(
            edges, data[1:, 1] / self._shunt / 1e3 * volts, float(volts.mean()), marks,
            began_s=float(late.min()), clock_s=float(late.max() - late.min()),
        )  # fmt: skip
