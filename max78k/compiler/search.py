"""Search for the processors of a network: heuristics first, then one group at a time.

The search is deterministic: its budget counts trials, not time. ``seconds`` is turned into trials
at a fixed rate, so that every machine finds the same placement.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from max78k.chip import limits
from max78k.compiler.bounds import columns_read, least_columns, least_words
from max78k.compiler.processor_maps import FOLLOW, Choice, options
from max78k.compiler.trial import Task, Trial, attempt

TRIALS_PER_SECOND = 500
_ROUNDS = 10  # fruitless rounds after which a placement that fits is not improved further
_SHAKEN = 3  # groups that change their place between two rounds


def search(task: Task, seconds: float) -> Trial:
    """The best trial found; its cost tells whether it fits."""
    run = _Search(task, int(seconds * TRIALS_PER_SECOND))
    run.run()
    assert run.best is not None
    return run.best


class _Search:
    def __init__(self, task: Task, trials: int) -> None:
        self.task = task
        self.left = trials
        self.best: Trial | None = None
        self.options = {g: options(g, task.shapes, task.form) for g in task.groups}
        self.loose = [g for g in task.groups if len(self.options[g]) > 1 and not task.settles(g)]
        self.bound = least_columns(task)

    def run(self) -> None:
        """Start from the heuristics, climb, shake and climb again; all orders at the end."""
        self.explore()
        assert self.best is not None
        exact = attempt(self.task, self.best.choice, self.best.cost, exact=True)
        self.best = exact or self.best

    def explore(self) -> None:
        for start in self.starts():
            self.consider(start)
        assert self.best is not None
        if self.bound > limits.KERNEL_COLUMNS or least_words(self.task)[0] > limits.INSTANCE_WORDS:
            return  # no placement fits
        self.climb(self.best.choice)
        dice = random.Random(0)
        fruitless = 0
        while self.left > 0 and self.loose and not self.good:
            before = self.best.cost
            shaken = dict(self.best.choice)
            for group in dice.sample(self.loose, min(_SHAKEN, len(self.loose))):
                shaken[group] = dice.choice(self.options[group])
            self.climb(shaken)
            fruitless = 0 if self.best.cost < before else fruitless + 1
            if fruitless >= _ROUNDS and not self.best.cost.misfit:
                break

    @property
    def good(self) -> bool:
        """True where more search would not lower what counts most."""
        assert self.best is not None
        cost = self.best.cost
        return not cost.misfit and cost.kernels <= self.bound

    def starts(self) -> Iterator[Choice]:
        """All low; spread by load; from both ends in turn."""
        usual = {group: self.options[group][0] for group in self.task.groups}
        yield usual
        yield self.balanced(usual)
        yield usual | {
            group: max(self.options[group])
            for number, group in enumerate(self.task.groups)
            if number % 2 and self.options[group][0] != FOLLOW
        }

    def balanced(self, usual: Choice) -> Choice:
        """The widest groups first, each where the fullest kernel memory stays emptiest."""
        load = [0] * limits.PROCESSORS
        columns = {group: columns_read(self.task, group.names) for group in self.task.groups}
        result = dict(usual)
        for group in sorted(self.task.groups, key=lambda g: (-g.span, -columns[g])):
            if usual[group] == FOLLOW:
                continue
            places = [place for place in self.options[group] if place >= 0]
            fullest = [max(load[first : first + group.span]) for first in places]
            result[group] = places[fullest.index(min(fullest))]
            for n in range(result[group], result[group] + group.span):
                load[n] += columns[group]
        return result

    def consider(self, choice: Choice) -> bool:
        """Try a choice; True if it is the best so far."""
        self.left -= 1
        trial = attempt(self.task, choice, self.best.cost if self.best else None)
        if trial is None:
            return False
        self.best = trial
        return True

    def climb(self, choice: Choice) -> None:
        """Move one group at a time, as long as that helps; ``choice`` itself need not be good."""
        here = attempt(self.task, choice)
        assert here is not None
        moved = True
        while moved and self.left > 0:
            moved = False
            for group in self.loose:
                for place in self.options[group]:
                    if place == here.choice[group] or self.left <= 0:
                        continue
                    self.left -= 1
                    trial = attempt(self.task, here.choice | {group: place}, here.cost)
                    if trial is not None:
                        here, moved = trial, True
        if self.best is None or here.cost < self.best.cost:
            self.best = here
