"""Courses of the learning rate over a phase, and the watch over its test accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from max78k.training.options import TrainOptions

_FIRST, _LAST = 1 / 25, 1e-4  # one-cycle: factors at both ends


@dataclass
class Watch:
    """What the test accuracy did in a phase.

    Attributes:
        best: the highest so far.
        since: epochs since then.
        waited: the same, but counted anew after the rate has fallen.
        falls: how often a plateau has made the rate fall.
    """

    best: float = -1.0
    since: int = 0
    waited: int = 0
    falls: int = 0

    def see(self, accuracy: float, plateau: int) -> bool:
        """Take in an epoch's accuracy; True if it is the best."""
        better = accuracy > self.best
        if better:
            self.best, self.since, self.waited = accuracy, 0, 0
            return True
        self.since += 1
        self.waited += 1
        if self.waited >= plateau:
            self.falls, self.waited = self.falls + 1, 0
        return False

    def stored(self) -> dict[str, Any]:
        """As plain data; ``Watch(**stored)`` is the same."""
        return asdict(self)


def _cosine(share: float, options: TrainOptions, watch: Watch) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


def _one_cycle(share: float, options: TrainOptions, watch: Watch) -> float:
    return _LAST + (1 - _LAST) * _cosine(share, options, watch)


def _multistep(share: float, options: TrainOptions, watch: Watch) -> float:
    return options.gamma ** sum(share >= milestone for milestone in options.milestones)


def _plateau(share: float, options: TrainOptions, watch: Watch) -> float:
    return options.gamma**watch.falls


def _constant(share: float, options: TrainOptions, watch: Watch) -> float:
    return 1.0


# Factor of the peak rate after the rise, by share 0...1 of the rest of the phase.
_COURSES: dict[str, Callable[[float, TrainOptions, Watch], float]] = {
    "cosine": _cosine,
    "one-cycle": _one_cycle,
    "multistep": _multistep,
    "plateau": _plateau,
    "constant": _constant,
}


def factor(
    name: str, done: int, steps: int, warm_up: float, options: TrainOptions, watch: Watch
) -> float:
    """Factor of the peak rate.

    Args:
        name: the schedule.
        done: steps of the phase that are done, from 0.
        steps: steps of the whole phase.
        warm_up: share of them in which the rate rises: in a line, for one-cycle as a cosine.
        options: milestones and gamma.
        watch: for plateau.
    """
    rise = warm_up * steps
    if done < rise:
        share = min(1.0, (done + 1) / rise)
        if name == "one-cycle":
            return _FIRST + (1 - _FIRST) * (1 - _cosine(share, options, watch))
        return share
    return _COURSES[name]((done - rise) / (steps - rise), options, watch)
