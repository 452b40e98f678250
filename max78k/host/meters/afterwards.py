"""Energy of a benchmark that is over, from a trace that another program recorded meanwhile."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import InputError
from max78k.host.meters.choose import open_meter
from max78k.host.meters.report import PHASES, EnergyReport, report_by_marks


@dataclass(frozen=True)
class RowTimes:
    """Microseconds of one inference by the board's timer."""

    load_us: float
    inference_us: float
    unload_us: float
    post_us: float


def energy_of_rows(rows: Path, meter: str) -> EnergyReport:
    """Energies of the inferences in a ``bench.csv``, or in that of a bench's folder.

    They are taken for the last ones of the trace.

    ``meter``: ``csv:FILE`` or ``sim:FILE``, with marks. Raises InputError ``E-ENERGY-ROWS``,
    ``E-ENERGY-METER``, ``E-METER-MARKS`` or those of the trace.
    """
    if meter.partition(":")[0] not in ("csv", "sim") or not meter.partition(":")[2]:
        raise InputError(
            "E-ENERGY-METER", f"{meter!r} is no recorded trace.",
            "--meter csv:FILE or sim:FILE; instruments record while `max78k bench` runs",
        )  # fmt: skip
    times = _times(rows / "bench.csv" if rows.is_dir() else rows)
    with open_meter(meter) as trace:
        return report_by_marks(trace.instrument, trace.stop(), times, None)


def _times(path: Path) -> list[RowTimes]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            times = [RowTimes(*(float(row[f"{phase}_us"]) for phase in PHASES))
                     for row in csv.DictReader(stream)
                     if row.get("part", "measured") == "measured"]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            "E-ENERGY-ROWS", f"{path} holds no rows of a benchmark: {error}.",
            "the folder of `max78k bench --out`, or its bench.csv",
        ) from error  # fmt: skip
    if not times:
        raise InputError("E-ENERGY-ROWS", f"{path} holds no inference.", "bench some first")
    return times
