"""Plans of many runs: what is varied, at random or in a grid, and which data are learnt from."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from max78k.datasets.usage import Factors
from max78k.errors import InputError
from max78k.flows.search_space import (
    Choice,
    Range,
    SearchSpace,
    Value,
    read_choices,
    require_known,
    typed,
)
from max78k.formats.yaml_loader import load_yaml
from max78k.training.options import TrainOptions

MAIN = "main"  # the source that is tested with
_KEYS = ("network", "arguments", "training", "usage", "data", "add")
_FACTORS = ("use", "changed")


@dataclass(frozen=True)
class Plan:
    """Many runs of one network.

    Attributes:
        space: what is varied of the network's arguments and the options of training.
        usage: what is varied of the usage factors, by name: ``use`` and ``changed`` of the main
            data, ``use_NAME`` and ``changed_NAME`` of those that are added.
        data: the main data; None: not said.
        add: further data to learn from, by name.
    """

    space: SearchSpace
    usage: dict[str, Choice] = field(default_factory=dict)
    data: str | None = None
    add: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_known("usage", self.usage, _factor_names(self.add))
        for name in self.add:
            if name == MAIN or not name.isidentifier():
                raise InputError("E-PLAN-SOURCE", f"{name!r} cannot name added data.", "ckplus")

    @property
    def choices(self) -> dict[str, Choice]:
        """All that may be chosen, by name."""
        return {**self.space.arguments, **self.space.training, **self.usage}

    def with_choices(self, choices: dict[str, Choice], add: Mapping[str, str]) -> Plan:
        """The same with more or other choices and data."""
        added = {**self.add, **add}
        usage = {n: c for n, c in choices.items() if n in _factor_names(added)}
        rest = {n: c for n, c in choices.items() if n not in usage}
        return Plan(self.space.with_choices(rest), {**self.usage, **usage}, self.data, added)

    def grid(self) -> list[dict[str, Value]]:
        """Every combination; the last choice changes fastest."""
        values = [_points(name, choice) for name, choice in self.choices.items()]
        found = [dict(zip(self.choices, one, strict=True)) for one in itertools.product(*values)]
        return [self._typed(chosen) for chosen in found]

    def random(self, seed: int, number: int) -> dict[str, Value]:
        """One combination at random, the same for the same seed and number."""
        generator = np.random.default_rng((seed, number))
        return self._typed({name: _draw(one, generator) for name, one in self.choices.items()})

    def _typed(self, chosen: dict[str, Value]) -> dict[str, Value]:
        training = self.space.training
        return {name: typed(name, v) if name in training else v for name, v in chosen.items()}

    def options(self, base: TrainOptions, chosen: dict[str, Value]) -> TrainOptions:
        """``base`` with what was chosen."""
        arguments = {n: v for n, v in chosen.items() if n in self.space.arguments}
        training = {n: v for n, v in chosen.items() if n in self.space.training}
        fixed = {**base.network_arguments, **arguments}
        return self.space.options(base, fixed, training)

    def factors(self, chosen: dict[str, Value]) -> dict[str, Factors]:
        """Usage factors by source, as they were chosen; the rest is used as it is."""
        found = {}
        for source in (MAIN, *self.add):
            end = "" if source == MAIN else f"_{source}"
            own = {f: chosen[f + end] for f in _FACTORS if f + end in chosen}
            for name, value in own.items():
                if isinstance(value, bool | str):
                    raise InputError("E-USAGE-FACTOR", f"{name}{end} is {value!r}.", "0 ... 1")
            found[source] = Factors(**own)  # type: ignore[arg-type]
        return found

    def stored(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def read_plan(path: Path) -> Plan:
    """A YAML file: network, arguments and training as in a search space, and usage, data, add.

    ``usage`` has choices of usage factors, ``data`` the main data, ``add`` further data by name.
    """
    content = load_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("network"), str):
        raise InputError("E-PLAN-FILE", f"{path} names no network.", "network: fer7")
    require_known(str(path), content, list(_KEYS))
    data, add = content.get("data"), content.get("add") or {}
    words = isinstance(add, dict) and all(isinstance(one, str) for one in add.values())
    if not words or not isinstance(data, str | None):
        raise InputError("E-PLAN-FILE", f"{path}: data and add name data.", "add: {ckplus: ck/}")
    parts = {key: read_choices(path, content, key) for key in ("arguments", "training", "usage")}
    space = SearchSpace(content["network"], parts["arguments"], parts["training"])
    return Plan(space, parts["usage"], data, add)


def _factor_names(add: Mapping[str, str]) -> list[str]:
    ends = ("", *(f"_{name}" for name in add))
    return [factor + end for end in ends for factor in _FACTORS]


def _points(name: str, choice: Choice) -> tuple[Value, ...]:
    if not isinstance(choice, Range):
        return choice
    if choice.log or not choice.points:
        raise InputError(
            "E-PLAN-GRID",
            f"{name} from {choice.low} to {choice.high} has no steps for a grid.",
            f"{name}={choice.low}:{choice.high}:STEP, or values with commas between.",
        )
    return choice.points


def _draw(choice: Choice, generator: np.random.Generator) -> Value:
    if isinstance(choice, Range):
        return choice.draw(generator)
    return choice[int(generator.integers(len(choice)))]
