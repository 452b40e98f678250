"""What a search may choose: arguments of a network's class and options of its training."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

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


Choice = Range | tuple[Value, ...]


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
        _require_known("arguments", self.arguments, [n for n in parameters if n != "classes"])
        options = [*described(TrainOptions), *described(Augmentation)]
        _require_known("training", self.training, options)

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
    _require_known(str(path), content, list(_KEYS))
    parts = {}
    for key in _KEYS[1:]:
        part = content.get(key) or {}
        if not isinstance(part, dict):
            raise InputError("E-SEARCH-SPACE", f"{path}: {key} is no mapping.", "name: [1, 2]")
        parts[key] = {name: _choice(name, value) for name, value in part.items()}
    return SearchSpace(content["network"], **parts)


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


def _choice(name: str, value: Any) -> Choice:
    if isinstance(value, dict):
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


def _require_known(where: str, given: dict[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise InputError(
                "E-SEARCH-SPACE", f"{where}: there is no {name}.", f"one of {', '.join(known)}."
            )
