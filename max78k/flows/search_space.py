"""What may be chosen for a run: arguments of a network's class and options of its training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from max78k.errors import InputError
from max78k.formats.yaml_loader import load_yaml
from max78k.shipped_files import shipped_folder
from max78k.training.option_table import described
from max78k.training.options import Augmentation, TrainOptions
from max78k.training.registry import network_class

Number = int | float
Value = int | float | str | bool

_KEYS = ("network", "arguments", "training")
_RANGE_KEYS = {"low", "high", "step", "log"}


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``: whole ones if both are; ``step`` 0: all; ``log``: evenly by
    their logarithm."""

    low: Number
    high: Number
    step: Number = 0
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def points(self) -> tuple[Number, ...]:
        """All its numbers, where they can be counted; else none."""
        step = self.step or self.is_whole
        if not step:
            return ()
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return tuple(_short(self.low + n * step) for n in range(count))

    def draw(self, generator: np.random.Generator) -> Number:
        """One number at random."""
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
            points = self.points
            near = min(points, key=lambda point: abs(point - value)) if points else _short(value)
        elif self.points:
            near = self.points[int(generator.integers(len(self.points)))]
        else:
            near = _short(generator.uniform(self.low, self.high))
        return min(max(near, self.low), self.high)


Choice = Range | tuple[Value, ...]


def _short(number: Number) -> Number:
    """With five digits at most: what is shown is what was used."""
    return number if isinstance(number, int) else float(f"{number:.5g}")


@dataclass(frozen=True)
class SearchSpace:
    """A network and what may be chosen for it; a choice of one value is a fixed one.

    Attributes:
        network: as for train-qat.
        arguments: of the network's class, by name.
        training: fields of TrainOptions or Augmentation, by name.
    """

    network: str
    arguments: dict[str, Choice] = field(default_factory=dict)
    training: dict[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parameters = inspect.signature(network_class(self.network)).parameters
        require_known("arguments", self.arguments, [n for n in parameters if n != "classes"])
        options = [*described(TrainOptions), *described(Augmentation)]
        require_known("training", self.training, options)

    def with_choices(self, choices: dict[str, Choice]) -> SearchSpace:
        """The same with more or other choices; names of training options go to those."""
        options = {*described(TrainOptions), *described(Augmentation)}
        training = {name: c for name, c in choices.items() if name in options}
        arguments = {name: c for name, c in choices.items() if name not in options}
        return replace(
            self,
            arguments={**self.arguments, **arguments},
            training={**self.training, **training},
        )

    def options(
        self, base: TrainOptions, arguments: dict[str, Value], training: dict[str, Value]
    ) -> TrainOptions:
        """``base`` with what was chosen."""
        training = {name: typed(name, value) for name, value in training.items()}
        pictures = {item.name for item in fields(Augmentation)}
        changes: dict[str, Any] = {n: v for n, v in training.items() if n in pictures}
        others: dict[str, Any] = {n: v for n, v in training.items() if n not in pictures}
        return replace(
            base,
            network=self.network,
            network_arguments=arguments,
            augmentation=replace(base.augmentation, **changes),
            **others,
        )


def read_space(source: str) -> SearchSpace:
    """A shipped space by name ("ferscale"), or a YAML file.

    The file has ``network``, and under ``arguments`` and ``training`` a choice for each name: a
    list of values, a mapping with ``low``, ``high`` and perhaps ``step`` or ``log``, or one value.

    Raises:
        InputError: E-SEARCH-SPACE, and those of the YAML reader and of the network's class.
    """
    shipped = {path.stem: path for path in shipped_folder("networks").glob("*.yaml")}
    path = shipped.get(source, Path(source))
    if source not in shipped and path.suffix not in (".yaml", ".yml"):
        known = ", ".join(sorted(shipped))
        raise InputError("E-SEARCH-SPACE", f"there is no search space {source}.", f"{known}, or a "
                         ".yaml file.")  # fmt: skip
    content = load_yaml(path)
    if not isinstance(content, dict) or not isinstance(content.get("network"), str):
        raise InputError("E-SEARCH-SPACE", f"{path} names no network.", "network: fer7")
    require_known(str(path), content, list(_KEYS))
    parts = {key: read_choices(path, content, key) for key in _KEYS[1:]}
    return SearchSpace(content["network"], **parts)


def read_choices(path: Path, content: dict[str, Any], key: str) -> dict[str, Choice]:
    """The choices under ``key`` of a file's content; see :func:`read_space`."""
    part = content.get(key) or {}
    if not isinstance(part, dict):
        raise InputError("E-SEARCH-SPACE", f"{path}: {key} is no mapping.", "name: [1, 2]")
    return {str(name): _choice(str(name), value) for name, value in part.items()}


def read_choice(text: str) -> tuple[str, Choice]:
    """NAME=16:64, NAME=16:64:8, NAME=0.01:0.2:log, NAME=2,4,8 or NAME=value."""
    import yaml

    name, equals, value = text.partition("=")
    parts = value.split(":")
    try:
        if not equals or not name.isidentifier() or not 1 <= len(parts) <= 3:
            raise ValueError
        if len(parts) == 1:
            return name, _choice(name, yaml.safe_load(f"[{value}]"))
        read = [yaml.safe_load(part) for part in parts]
        content = {"low": read[0], "high": read[1]}
        if len(read) == 3:
            content |= {"log": True} if read[2] == "log" else {"step": read[2]}
        return name, _choice(name, content)
    except (ValueError, yaml.YAMLError):
        raise InputError(
            "E-SEARCH-SPACE",
            f"{text!r} is no choice.",
            "width=16:64:8, learning_rate=0.01:0.1:log or bits=2,4,8",
        ) from None


def read_each(texts: Sequence[str]) -> dict[str, Choice]:
    """The choices in words as :func:`read_choice` takes them, by name; each name once."""
    found: dict[str, Choice] = {}
    for name, choice in map(read_choice, texts):
        if name in found:
            raise InputError(
                "E-SEARCH-SPACE", f"{name} is given twice.", f"all in one: {name}=VALUE,VALUE"
            )
        found[name] = choice
    return found


def _choice(name: str, value: Any) -> Choice:
    if isinstance(value, dict):
        value = {key: _number(item) for key, item in value.items()}
        numbers = [value.get(key) for key in ("low", "high", "step") if key in value]
        right = set(value) <= _RANGE_KEYS and {"low", "high"} <= set(value)
        if right and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
            found = Range(value["low"], value["high"], value.get("step", 0), bool(value.get("log")))
            if found.low <= found.high and found.step >= 0 and (found.low > 0 or not found.log):
                return found
    else:
        values = tuple(value) if isinstance(value, list) else (value,)
        if values and all(isinstance(v, int | float | str | bool) for v in values):
            return values
    raise InputError(
        "E-SEARCH-SPACE",
        f"{name} is {value!r}.",
        "[2, 4, 8], or {low: 16, high: 64, step: 8}, or {low: 0.01, high: 0.1, log: true}",
    )


def _number(value: Any) -> Any:
    """5e-4, which YAML takes for a word, as a number; anything else as it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def typed(name: str, value: Value) -> Value:
    """A value of an option as the option's type."""
    kind = {**described(TrainOptions), **described(Augmentation)}[name][1]
    number = _number(value)
    if kind is str:
        return str(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind in (int, float) and isinstance(number, int | float) and not isinstance(number, bool):
        if kind is float or float(number).is_integer():
            return kind(number)
    what = kind.__name__ if kind in (int, float, bool) else "an option that cannot be varied"
    raise InputError("E-SEARCH-SPACE", f"{name} is {value!r}; it is {what}.")


def require_known(where: str, given: dict[str, Any], known: list[str]) -> None:
    """Raise InputError E-SEARCH-SPACE for a name that is not among the known ones."""
    for name in given:
        if name not in known:
            raise InputError(
                "E-SEARCH-SPACE", f"{where}: there is no {name}.", f"one of {', '.join(known)}."
            )
