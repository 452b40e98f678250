"""Options as a table: each field of a dataclass says its group, its range and what it does.

The command line, its help, the documentation and the checks are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

from max78k.errors import InputError


@dataclass(frozen=True)
class About:
    """What is known of one option.

    Attributes:
        group: heading in the help and the documentation.
        text: what it does, in a sentence.
        low, high: least and greatest number; None: no bound.
        choices: the words that are taken; empty: any.
    """

    group: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def option(default: Any, about: About) -> Any:
    """A dataclass field with ``default`` that is an option."""
    return field(default=default, metadata={"about": about})


def described(kind: type) -> dict[str, tuple[About, type, Any]]:
    """The options of a dataclass by name: what is known, type of the value, default."""
    hints = get_type_hints(kind)
    found = {}
    for item in fields(kind):
        if "about" in item.metadata:
            own = [part for part in get_args(hints[item.name]) if part is not type(None)]
            found[item.name] = (
                item.metadata["about"],
                own[0] if own and type(None) in get_args(hints[item.name]) else hints[item.name],
                item.default,
            )
    return found


def check(options: object) -> None:
    """Raise InputError for the first value out of its range or not among its choices."""
    for name, (about, _, default) in described(type(options)).items():
        value = getattr(options, name)
        if value is None and default is None:
            continue
        if about.choices and value not in about.choices:
            raise InputError(
                "E-TRAIN-OPTION", f"{name} is {value!r}.", f"one of {', '.join(about.choices)}."
            )
        for number in value if isinstance(value, tuple) else (value,):
            if about.low is not None and not _within(about, number):
                raise InputError("E-TRAIN-OPTION", f"{name} is {number}; it must be {span(about)}.")


def span(about: About) -> str:
    """ "0...1", or "1 or more"; empty where there is no bound."""
    if about.low is None:
        return ""
    return f"{about.low:g} or more" if about.high is None else f"{about.low:g}...{about.high:g}"


def _within(about: About, number: float) -> bool:
    assert about.low is not None
    return about.low <= number and (about.high is None or number <= about.high)
