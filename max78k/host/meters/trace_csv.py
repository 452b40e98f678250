"""A current trace as comma-separated values, as several programs write it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from max78k.errors import InputError
from max78k.host.meters.meter import MEASURED, Instrument, Recording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FILE_LIMIT = 2 << 30
# Heading, in lower case -> what it holds, and the factor to s, mA, V. The first three rows are
# ours, "Timestamp(ms)" and "Current(uA)" are of Nordic's Power Profiler (D0 ... D7 or D0-D7).
_TIMES = {"time_s": 1.0, "time_ms": 1e-3, "time_us": 1e-6, "timestamp(ms)": 1e-3}
_CURRENTS = {"current_a": 1e3, "current_ma": 1.0, "current_ua": 1e-3, "current(ua)": 1e-3}
_VOLTAGES = {"voltage_v": 1.0, "voltage_mv": 1e-3}


class TraceFile:
    """A meter that was read by another program; the file is read when the benchmark ends.

    Columns, by their headings: a time (``time_s``, ``time_ms``, ``time_us`` or
    ``Timestamp(ms)``), a current (``current_a``, ``current_ma``, ``current_ua`` or
    ``Current(uA)``), perhaps a voltage (``voltage_v``, ``voltage_mv``), and the marks: ``D0`` and
    ``D1``, or ``D0-D7`` as eight digits. A sample holds until the next one. Other columns are
    passed over.

    Args:
        path: of the file.
        voltage_v: of the supply, where the file has none.
    """

    board_trace: Path | None = None

    def __init__(self, path: Path, voltage_v: float | None = None) -> None:
        self._path, self._voltage = path, voltage_v
        self._sample_s: float | None = None

    @property
    def instrument(self) -> Instrument:
        """The file; its resolution is not known."""
        return Instrument(f"trace {self._path}", MEASURED, sample_s=self._sample_s)

    def open(self) -> None:
        """Look whether the file can be one, and at its headings if it has been begun.

        Raises InputError ``E-METER-TRACE``, ``E-METER-MARKS``: its clock is not the host's.
        """
        if self._path.exists() and not self._path.is_file():
            raise _error(self._path, "it is no file")
        heading = _heading(self._path) if self._path.is_file() else []
        if not heading:
            return
        columns = _columns(self._path, heading)
        if "voltage" not in columns and self._voltage is None:
            raise _error(self._path, "it has no voltage")
        if "marks" not in columns:
            raise InputError(
                "E-METER-MARKS", f"{self._path} holds no marks: no D0 and D1, no D0-D7.",
                "record the board's pins P2.6 (D0) and P2.7 (D1) beside the current",
            )  # fmt: skip

    def start(self) -> None:
        """The other program records."""

    def stop(self) -> Recording:
        """Read the file. Raises InputError ``E-METER-TRACE``."""
        import numpy as np

        times, current, voltage, marks = _read(self._path)
        steps = np.diff(times)
        if len(times) < 2 or (steps <= 0).any():
            raise _error(self._path, f"{len(times)} samples, or times that do not ascend")
        self._sample_s = float(np.median(steps))
        if voltage is None:
            if self._voltage is None:
                raise _error(self._path, "it has no voltage")
            voltage = np.full(len(times), self._voltage)
        edges = np.append(times, times[-1] + self._sample_s) - times[0]
        return Recording(edges, current * voltage, float(voltage.mean()), marks)

    def close(self) -> None:
        """There is nothing to let go."""


def _read(path: Path) -> tuple[Floats, Floats, Floats | None, NDArray[np.uint8] | None]:
    """Seconds, milliamperes, volts or None, marks or None."""
    import numpy as np

    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise _error(path, f"it is larger than {_FILE_LIMIT >> 30} GB")
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = _reader(stream)
            heading = _names(reader)
            columns = _columns(path, heading)
            cells = [tuple(read(row) for read in columns.values()) for row in reader if row]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise _error(path, str(error)) from error
    data = np.array(cells, dtype=np.float64).reshape(len(cells), len(columns))
    if not np.isfinite(data).all():
        raise _error(path, "it holds values that are no numbers")
    found = dict(zip(columns, data.T, strict=True))
    marks = found.get("marks")
    return (
        found["time"], found["current"], found.get("voltage"),
        None if marks is None else marks.astype(np.uint8),
    )  # fmt: skip


def _heading(path: Path) -> list[str]:
    """Names of the columns; none if the file has none yet."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return _names(_reader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise _error(path, str(error)) from error


def _reader(lines: Iterable[str]) -> Iterator[list[str]]:
    """Rows, without remarks."""
    return csv.reader(line for line in lines if not line.startswith("#"))


def _names(rows: Iterator[list[str]]) -> list[str]:
    return [name.strip().lower() for name in next(rows, [])]


def _columns(path: Path, heading: list[str]) -> dict[str, Callable[[list[str]], float]]:
    """What to read from a row, by name."""
    columns: dict[str, Callable[[list[str]], float]] = {}
    for name, table in (("time", _TIMES), ("current", _CURRENTS), ("voltage", _VOLTAGES)):
        for column, text in enumerate(heading):
            if text in table and name not in columns:
                columns[name] = _scaled(column, table[text])
    if "time" not in columns or "current" not in columns:
        raise _error(path, f"no time or no current among the headings {', '.join(heading)}")
    if "d0-d7" in heading:
        together = heading.index("d0-d7")
        columns["marks"] = lambda row: float(int(row[together].strip()[1::-1], 2))
    elif "d0" in heading and "d1" in heading:
        d0, d1 = heading.index("d0"), heading.index("d1")
        columns["marks"] = lambda row: float(row[d0]) + 2 * float(row[d1])
    return columns


def _scaled(column: int, factor: float) -> Callable[[list[str]], float]:
    return lambda row: float(row[column]) * factor


def _error(path: Path, what: str) -> InputError:
    return InputError(
        "E-METER-TRACE",
        f"{path} is not a current trace: {what}.",
        "columns time_s, current_ma, voltage_v (or volts=V after the file's name), D0, D1",
    )
