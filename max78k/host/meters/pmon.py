"""The power monitor on the MAX78000EVKIT, by the values that it sends over its own USB port.

The vendor's guide to the monitor: single keys choose what is sent (``w`` is power), values come
separated by commas; the display shows the rails 3V3, CA, CB, 1V8 in this order, power in mW. That
the columns have the same order is taken from there, and is not proven.
"""

from __future__ import annotations

from pathlib import Path

from max78k.errors import InputError, ToolError
from max78k.host.diagnosis import printable
from max78k.host.meters.collector import numbers, whole_lines
from max78k.host.meters.meter import MEASURED, Instrument, Recording
from max78k.host.meters.serial_meter import SerialMeter

RAILS = (("3V3", 3.3), ("CA", 1.2), ("CB", 1.0), ("1V8", 1.8))  # name, nominal volts
_POWER = b"w"


class PowerMonitor(SerialMeter):
    """The monitor on ``place``; ``column`` counts the values of a line from 1."""

    board_trace: Path | None = None

    def __init__(self, place: str, column: int) -> None:
        if not 1 <= column <= len(RAILS):
            raise InputError(
                "E-METER-OPTION",
                f"the power monitor has no column {column}.",
                "column=1 (3V3, the whole chip), 2 (CA: accelerator, core), 3 (CB), 4 (1V8)",
            )
        super().__init__(place)
        self._column = column
        self._sample_s: float | None = None

    @property
    def instrument(self) -> Instrument:
        """The monitor and the rail."""
        return Instrument(
            f"EVKIT power monitor on {self._place}, rail {RAILS[self._column - 1][0]}", MEASURED,
            sample_s=self._sample_s, remark="the order of the monitor's columns is not proven",
        )  # fmt: skip

    def open(self) -> None:
        """Have it send power."""
        super().open()
        self._send(_POWER)

    def stop(self) -> Recording:
        """The lines since ``start``, taken as evenly spaced. Raises ``E-METER-FORMAT``."""
        import numpy as np

        lines = whole_lines(self._collected())
        good = [(moment, row) for moment, text in lines
                if (row := numbers(text)) is not None and len(row) == len(RAILS)]  # fmt: skip
        if len(good) < 3 or 2 * len(good) < len(lines):
            shown = printable(lines[-1][1][:60].encode()) if lines else ""
            raise ToolError(
                "E-METER-FORMAT",
                f"{len(good)} of {len(lines)} lines of {self._place} are four numbers; the last"
                f' line: "{shown}".',
                "the port of the power monitor, PMON version 2.0 or later",
            )
        moments = np.array([moment for moment, _ in good])
        even = np.linspace(moments[0], moments[-1], len(moments))
        self._sample_s = float(even[1] - even[0])
        power = np.array([row[self._column - 1] for _, row in good])
        return Recording(
            even - even[0], power[1:], RAILS[self._column - 1][1], None,
            began_s=float(even[0]), clock_s=float(np.abs(moments - even).max()) + self._sample_s,
        )  # fmt: skip
