"""A current that does not change, as a person reads it off a display."""

from __future__ import annotations

import math
from pathlib import Path

from max78k.errors import InputError
from max78k.host.meters.meter import STATED, Instrument, Recording


class ConstantMeter:
    """Supply current in milliamperes and voltage in volts, as stated by the user.

    Raises InputError ``E-METER-OPTION`` unless both are finite and not negative.
    """

    board_trace: Path | None = None

    def __init__(self, current_ma: float, voltage_v: float) -> None:
        for name, value in (("current", current_ma), ("voltage", voltage_v)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(
                    "E-METER-OPTION",
                    f"{name} {value} is not a number from 0 up.",
                    "the current in mA and the voltage in V: --meter constant,ma=3.16,volts=5",
                )
        self._current, self._voltage = current_ma, voltage_v

    @property
    def instrument(self) -> Instrument:
        """What the user stated."""
        return Instrument(
            f"{self._current:g} mA at {self._voltage:g} V",
            STATED,
            remark="one current for all phases: the mean over the run, of all that it feeds",
        )

    def open(self) -> None:
        """There is nothing to open."""

    def start(self) -> None:
        """There is nothing to start."""

    def stop(self) -> Recording:
        """One sample."""
        import numpy as np

        power = np.array([self._current * self._voltage])
        return Recording(np.array([0.0, 1.0]), power, self._voltage)

    def close(self) -> None:
        """There is nothing to let go."""
