"""Two stored benches side by side: ratios with intervals, and whether the answers are the same."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError
from max78k.flows.bench_runs import StoredRun
from max78k.host.bench_rows import phase_times
from max78k.report.bench_page import PHASE_NAMES, Table
from max78k.report.tables import percent, table

CONFIDENCE = 0.95
BATCHES = 20  # neighbours resemble each other: means of batches tell how far the mean can be off
_LEAST_FOR_BATCHES = 2 * BATCHES

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """Means of both runs and second / first; ``low`` and ``high``: 95 % interval, None of one row.

    ``unit`` is "us", "mJ" or "per s".
    """

    name: str
    unit: str
    first: float
    second: float
    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AccuracyChange:
    """Shares of right answers, and their difference second - first with its 95 % interval."""

    first: float
    second: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What differs.

    Attributes:
        names: of the two runs.
        ratios: by phase, of the rate and of the energy.
        accuracy: None where a run has no labels.
        same_inputs: different inputs that both runs measured.
        same_scores: those of them with the same output values in both.
        note: what makes the figures less comparable, or nothing.
    """

    names: tuple[str, str]
    ratios: tuple[Ratio, ...]
    accuracy: AccuracyChange | None
    same_inputs: int
    same_scores: int
    note: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "runs": list(self.names),
            "confidence": CONFIDENCE,
            "ratios": [asdict(ratio) for ratio in self.ratios],
            "accuracy": None if self.accuracy is None else asdict(self.accuracy),
            "same_inputs": self.same_inputs,
            "same_scores": self.same_scores,
            "note": self.note,
        }

    def table(self) -> Table:
        """For the page and the terminal."""
        rows = [[f"{one.name} [{one.unit}]", _number(one.first), _number(one.second),
                 f"{one.ratio:.4f}", _interval(one.low, one.high, 4)]
                for one in self.ratios]  # fmt: skip
        if self.accuracy is not None:
            change = self.accuracy
            rows.append(["accuracy (difference)", percent(change.first, 2),
                         percent(change.second, 2), f"{100 * change.difference:+.2f} %",
                         _interval(100 * change.low, 100 * change.high, 2)])  # fmt: skip
        headers = ("mean", *self.names, "second / first", "95 % interval")
        return Table("Comparison", " ".join(self._said()), headers, rows)

    def text(self) -> str:
        """For people."""
        shown = self.table()
        return "\n".join([table(shown.headers, shown.rows), *self._said()])

    def _said(self) -> list[str]:
        said = []
        if self.same_inputs:
            said.append(
                f"Of {self.same_inputs:,} inputs that both runs measured, {self.same_scores:,} have"
                " the same scores in both."
            )
        return [*said, self.note] if self.note else said


def compare(first: StoredRun, second: StoredRun) -> Comparison:
    """Compare two runs; raises InputError ``E-BENCH-COMPARE`` for one without inferences."""
    for run in (first, second):
        if not run.part("measured"):
            raise InputError("E-BENCH-COMPARE", f"{run.name} has no measured inference.")
    ratios = [
        _ratio(PHASE_NAMES[phase], "us", one, two)
        for phase, one, two in _common_phases(first, second)
    ]
    intervals = [np.diff([row.at_s for row in run.part("measured")]) for run in (first, second)]
    if all(len(steps) and steps.mean() > 0 for steps in intervals):
        time = _ratio("", "", *intervals)
        low, high = (None if end is None else 1 / end for end in (time.high, time.low))
        ratios.append(
            Ratio("rate, link included", "per s", 1 / time.first, 1 / time.second,
                  1 / time.ratio, low, high)
        )  # fmt: skip
    energies = [np.array([row.energy_mj for row in run.part("measured")])
                for run in (first, second)]  # fmt: skip
    if all(values.mean() > 0 for values in energies):
        ratios.append(_ratio("energy per inference", "mJ", *energies))
    same = _same_scores(first, second)
    return Comparison(
        (first.name, second.name), tuple(ratios), _accuracy(first, second), len(same), sum(same),
        _note(first, second),
    )  # fmt: skip


def _common_phases(first: StoredRun, second: StoredRun) -> list[tuple[str, FloatArray, FloatArray]]:
    one, two = (phase_times(run.part("measured")) for run in (first, second))
    return [(phase, np.array(one[phase]), np.array(two[phase])) for phase in one
            if phase in two and np.mean(one[phase]) > 0 and np.mean(two[phase]) > 0]  # fmt: skip


def _ratio(name: str, unit: str, first: FloatArray, second: FloatArray) -> Ratio:
    """Ratio of the means; the interval is that of its logarithm by Student's distribution."""
    from scipy import stats

    one, two = float(first.mean()), float(second.mean())
    ratio = two / one
    parts = [_relative_variance(values) for values in (first, second)]
    if any(part is None for part in parts):
        return Ratio(name, unit, one, two, ratio, None, None)
    variances = [(value, freedom) for value, freedom in filter(None, parts)]
    whole = sum(value for value, _ in variances)
    if whole == 0.0:
        return Ratio(name, unit, one, two, ratio, ratio, ratio)
    freedom = whole**2 / sum(value**2 / number for value, number in variances)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(whole)
    return Ratio(name, unit, one, two, ratio, ratio * math.exp(-reach), ratio * math.exp(reach))


def _relative_variance(values: FloatArray) -> tuple[float, int] | None:
    """Of the mean, in units of its square, and the degrees of freedom; None of a single value."""
    if len(values) >= _LEAST_FOR_BATCHES:
        values = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    if len(values) < 2:
        return None
    return float(values.var(ddof=1) / len(values) / values.mean() ** 2), len(values) - 1


def _accuracy(first: StoredRun, second: StoredRun) -> AccuracyChange | None:
    """The interval of Agresti and Caffo: one right and one wrong answer more in both runs."""
    shares = [run.summary["accuracy"] for run in (first, second)]
    if any(share is None for share in shares):
        return None
    judged = [sum(row.label is not None for row in run.part("measured"))
              for run in (first, second)]  # fmt: skip
    adjusted = [(share * n + 1) / (n + 2) for share, n in zip(shares, judged, strict=True)]
    variance = sum(p * (1 - p) / (n + 2) for p, n in zip(adjusted, judged, strict=True))
    centre, reach = adjusted[1] - adjusted[0], 1.959964 * math.sqrt(variance)
    return AccuracyChange(
        shares[0], shares[1], shares[1] - shares[0], centre - reach, centre + reach
    )


def _same_scores(first: StoredRun, second: StoredRun) -> list[bool]:
    """For each input of both runs, whether its scores are the same."""
    one, two = ({row.input_crc: row.scores for row in run.rows} for run in (first, second))
    return [one[number] == two[number] for number in one if number in two]


def _note(first: StoredRun, second: StoredRun) -> str:
    notes = []
    one, two = first.summary, second.summary
    if one["device"]["network_id"] != two["device"]["network_id"]:
        notes.append("The runs are of different networks.")
    if one["link"]["pipelined"] != two["link"]["pipelined"]:
        notes.append("One run is pipelined, the other one by one: link times differ in meaning.")
    kinds = [run["energy"] and run["energy"]["kind"] for run in (one, two)]
    if kinds[0] != kinds[1]:
        notes.append(f"Energies are of different kinds: {kinds[0]}; {kinds[1]}.")
    return " ".join(notes)


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:,.1f}"


def _interval(low: float | None, high: float | None, digits: int) -> str:
    if low is None or high is None:
        return ""
    return f"{low:.{digits}f} to {high:.{digits}f}"
