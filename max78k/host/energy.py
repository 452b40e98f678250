"""Energy of a run: from a current that the user measured, or an estimate from published figures.

The MAX78000FTHR has no power monitor: without a meter in its supply there is no measurement, only
the estimate below, and every result says which of the two it is.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from max78k.chip.limits import CORE_CLOCK_HZ
from max78k.errors import InputError

ESTIMATE = "estimate"
FROM_CURRENT = "from the given current"


@dataclass(frozen=True)
class Energy:
    """Energy in millijoules; ``low_mj`` and ``high_mj`` bound an estimate, else equal ``mj``."""

    mj: float
    low_mj: float
    high_mj: float
    kind: str


@dataclass(frozen=True)
class PowerState:
    """Power drawn in one state, in milliwatts, and where the figure comes from."""

    name: str
    low_mw: float
    high_mw: float
    source: str

    @property
    def mw(self) -> float:
        """The geometric mean of the bounds."""
        return math.sqrt(self.low_mw * self.high_mw)


# mJ/ms is W. The two bounds are whole-chip figures of two networks in different set-ups: they
# differ by a factor of 1.8, which is the honest uncertainty for a third network.
INFERENCE = PowerState(
    "inference",
    low_mw=1e3 * 0.196 / 5.5,
    high_mw=1e3 * 0.09 / 1.4,
    source="TinyissimoYOLO, 196 uJ in 5.5 ms (arXiv 2306.00001); Giordano et al., comparison of"
    " seven microcontrollers, 90 uJ in 1.4 ms",
)
# The CPU alone draws 22.2 uA/MHz at 3.0 V in a loop from cache (vendor's product page); while it
# moves data to and from the accelerator, the latter is clocked too, yet does not compute.
PROCESSOR = PowerState(
    "load, unload, post-processing",
    low_mw=1e-3 * 22.2 * 3.0 * CORE_CLOCK_HZ / 1e6,
    high_mw=INFERENCE.low_mw,
    source="CPU loop from cache, 22.2 uA/MHz at 3.0 V (vendor), up to the lower inference figure",
)


def energy_mj(current_ma: float, voltage_v: float, time_ms: float) -> float:
    """Energy in millijoules: E = I * V * t (1 mA * 1 V * 1 ms = 1 uJ)."""
    return current_ma * voltage_v * time_ms / 1e3


def energy_from_current(current_ma: float, voltage_v: float, time_ms: float) -> Energy:
    """Energy over ``time_ms`` at a supply current and voltage that the user states.

    The result is that of whatever the current flows into: a board's 5 V pin feeds more than the
    chip. Raises InputError ``E-ENERGY-SUPPLY`` unless all values are finite and not negative.
    """
    for name, value in (("current", current_ma), ("voltage", voltage_v), ("time", time_ms)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(
                "E-ENERGY-SUPPLY",
                f"{name} {value} is not a number from 0 up",
                "state the current in mA and the voltage in V, such as 3.16 and 5",
            )
    value = energy_mj(current_ma, voltage_v, time_ms)
    return Energy(value, value, value, FROM_CURRENT)


def estimate_energy(inference_ms: float, processor_ms: float) -> Energy:
    """Estimate from published power figures; ``processor_ms`` is load + unload + post time."""
    parts = ((INFERENCE, inference_ms), (PROCESSOR, processor_ms))
    return Energy(
        mj=sum(state.mw * time for state, time in parts) / 1e3,
        low_mj=sum(state.low_mw * time for state, time in parts) / 1e3,
        high_mj=sum(state.high_mw * time for state, time in parts) / 1e3,
        kind=ESTIMATE,
    )


@dataclass(frozen=True)
class Span:
    """Mean current between two bounds, in mA, over ``milliseconds`` from ``start``.

    ``marks``: state of the marking pins, in ``CurrentTrace.pins`` alone.
    """

    start: float
    milliseconds: float
    low: float
    high: float
    marks: int = 0


@dataclass(frozen=True)
class CurrentTrace:
    """What the virtual board's current model wrote: an estimate, read like an instrument.

    Attributes:
        voltage_v: of the supply.
        means: the trace, in order.
        runs: the accelerator's runs, in order, as the accelerator knows them.
        pins: between changes of the marking pins, in order and without gaps.
    """

    voltage_v: float
    means: tuple[Span, ...]
    runs: tuple[Span, ...]
    pins: tuple[Span, ...]


def read_trace(path: Path) -> CurrentTrace:
    """Read the file that ``max78k board run --power`` writes.

    Raises InputError ``E-BENCH-METER`` if it is not one.
    """
    spans: dict[str, list[Span]] = {"mean": [], "run": [], "pins": []}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            voltage = float(stream.readline().split(" V,")[0].rpartition(" ")[2])
            for row in csv.DictReader(stream):
                start, duration, low, high = values = [float(row[name]) for name in _TRACE_COLUMNS]
                if not all(map(math.isfinite, values)):
                    raise ValueError(f"{values} are not all numbers")
                marks = int(row["marks"] or 0)
                spans[row["kind"]].append(Span(start, duration, low, high, marks))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            "E-BENCH-METER",
            f"{path} is not a current trace of the virtual board: {error}",
            "`max78k board run --power FILE` writes one",
        ) from error
    means, runs, pins = (tuple(spans[kind]) for kind in ("mean", "run", "pins"))
    return CurrentTrace(voltage, means, runs, pins)


_TRACE_COLUMNS = ("start_ms", "duration_ms", "low_ma", "high_ma")
