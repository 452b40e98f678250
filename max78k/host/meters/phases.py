"""The arithmetic of a recording: frames from marks, energy in a window, statistics.

The firmware drives two pins (``gpio_mark``): 0 waiting, 1 input load (D0), 3 the accelerator runs
(D0 and D1), 2 unload and post-processing (D1). One pin changes at a time, so that a meter that
samples them at slightly different moments sees no state that was not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WAITING, LOAD, RUN, AFTER = 0, 1, 3, 2
_PINS = 3
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Frames:
    """Moments of m frames in seconds: load begins, run begins, run ends, all is done."""

    load: Floats
    run: Floats
    unload: Floats
    done: Floats


@dataclass(frozen=True)
class Statistics:
    """Of n values: arithmetic mean, sample standard deviation, 95 % interval of the mean.

    ``interval`` is half its width by Student's t distribution. With one value both are None: one
    run says nothing about the spread.
    """

    n: int
    mean: float
    std: float | None
    interval: float | None
    least: float
    most: float


def frames_from_marks(edges_s: Floats, marks: NDArray[np.uint8]) -> Frames:
    """The frames that lie in the recording as a whole, in order.

    Args:
        edges_s: (n + 1,) seconds.
        marks: (n,) state of the pins; bits above the two are ignored.
    """
    state = marks.astype(np.int64) & _PINS
    starts = np.concatenate(([0], np.flatnonzero(np.diff(state)) + 1)).astype(np.int64)
    codes = state[starts] if len(state) else state
    begin, end = edges_s[starts], edges_s[np.append(starts[1:], len(state))]
    runs = np.flatnonzero(codes == RUN)
    runs = runs[(runs > 0) & (runs < len(codes) - 1)]
    loaded, followed = codes[runs - 1] == LOAD, codes[runs + 1] == AFTER
    return Frames(
        load=np.where(loaded, begin[runs - 1], begin[runs]),
        run=begin[runs],
        unload=end[runs],
        done=np.where(followed, end[runs + 1], end[runs]),
    )


def waiting_window(edges_s: Floats, marks: NDArray[np.uint8], before_s: float) -> Floats | None:
    """The middle half of the longest wait that ends by ``before_s``: (begin, end), or None.

    Its ends are left out: the board may still settle, or already take in the next input.
    """
    state = marks.astype(np.int64) & _PINS
    starts = np.concatenate(([0], np.flatnonzero(np.diff(state)) + 1)).astype(np.int64)
    begin, end = edges_s[starts], edges_s[np.append(starts[1:], len(state))]
    waits = np.flatnonzero((state[starts] == WAITING) & (end <= before_s))
    if not len(waits):
        return None
    longest = waits[np.argmax((end - begin)[waits])]
    middle, quarter = (begin[longest] + end[longest]) / 2, (end[longest] - begin[longest]) / 4
    return np.array([middle - quarter, middle + quarter])


def energy_mj(edges_s: Floats, power_mw: Floats, begin_s: Floats, end_s: Floats) -> Floats:
    """Energy from ``begin_s`` to ``end_s`` in millijoules (1 mW * 1 s = 1 mJ), for each pair.

    Power is constant between edges, so the integral is exact; outside the recording it is 0.
    """
    total = np.concatenate(([0.0], np.cumsum(power_mw * np.diff(edges_s))))
    at_end: Floats = np.interp(end_s, edges_s, total)
    return at_end - np.interp(begin_s, edges_s, total)


def mean_power_mw(edges_s: Floats, power_mw: Floats, begin_s: float, end_s: float) -> float | None:
    """Mean power in milliwatts between two moments; None unless both lie in the recording."""
    if not edges_s[0] <= begin_s < end_s <= edges_s[-1]:
        return None
    energy = energy_mj(edges_s, power_mw, np.array([begin_s]), np.array([end_s]))
    return float(energy[0]) / (end_s - begin_s)


def batch_edges(ends_s: Sequence[float], most: int) -> tuple[Floats, Floats]:
    """Up to ``most`` batches of as many frames each (as nearly as can be), from frames' ends.

    The first end begins the first batch. Returns (b + 1,) moments and (b,) frames per batch.
    """
    frames = len(ends_s) - 1
    picks = np.round(np.linspace(0, frames, min(most, frames) + 1)).astype(np.int64)
    return np.asarray(ends_s, dtype=np.float64)[picks], np.diff(picks).astype(np.float64)


def statistics(values: Floats | Sequence[float]) -> Statistics:
    """Statistics of at least one value, in the unit of the values."""
    data = np.asarray(values, dtype=np.float64)
    n = len(data)
    std = interval = None
    if n > 1:
        std = float(data.std(ddof=1))
        interval = _student(n - 1) * std / math.sqrt(n)
    return Statistics(n, float(data.mean()), std, interval, float(data.min()), float(data.max()))


def _student(freedom: int) -> float:
    """The factor of the two-sided interval."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + _CONFIDENCE) / 2))
