"""Options from a table of the package, and help in which options stand under headings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import click

from max78k.errors import InputError
from max78k.training.option_table import About, described, span

Command = TypeVar("Command", bound=Callable[..., Any])


class GroupedOption(click.Option):
    """An option that stands under a heading of the help."""

    def __init__(self, *words: Any, group: str, **rest: Any) -> None:
        super().__init__(*words, **rest)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help shows its options under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options without a group first."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between; click shows the error."""
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is not numbers with commas between") from None


def grouped(group: str, *words: str, **rest: Any) -> Callable[[Command], Command]:
    """An option under the heading ``group``; the rest is as for ``click.option``."""
    return click.option(*words, cls=GroupedOption, group=group, **rest)


def table_options(
    kind: type, short: Mapping[str, str] = MappingProxyType({})
) -> Callable[[Command], Command]:
    """Options for the described fields of a dataclass; those not given arrive as None.

    Args:
        kind: the dataclass.
        short: further spellings by name.
    """

    def decorate(command: Command) -> Command:
        for name, (about, value, default) in reversed(described(kind).items()):
            words = [f"--{name.replace('_', '-')}", *([short[name]] if name in short else [])]
            if value is bool:
                words = [f"{words[0]}/--no-{words[0][2:]}"]
            help_text = f"{about.text}{_default(default)}"
            accepted = _type(about, value)
            command = grouped(
                about.group, *words, name, type=accepted, default=None, help=help_text
            )(command)
        return command

    return decorate


def _type(about: About, value: Any) -> Any:
    if about.choices:
        return click.Choice(about.choices)
    return value if value in (int, float, str, bool) else numbers


def _default(default: Any) -> str:
    return "" if default is None else f"  [default: {shown(default)}]"


def shown(value: Any) -> str:
    """A default as one would type it; "on" and "off" for a switch."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(f"{item:g}" for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def option_rows(kind: type) -> dict[str, list[tuple[str, ...]]]:
    """The options of a dataclass for a page: by group, rows of spelling, values, default, text."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for name, (about, value, default) in described(kind).items():
        word = f"--{name.replace('_', '-')}"
        spelling = f"`{word}`, `--no-{word[2:]}`" if value is bool else f"`{word}`"
        values = ", ".join(about.choices) or span(about)
        row = (spelling, values, "" if default is None else shown(default), about.text)
        groups.setdefault(about.group, []).append(row)
    return groups


def read_arguments(texts: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE texts; values are read as in YAML: numbers, true and false, [lists], words."""
    import yaml

    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            if not equals or not name.isidentifier():
                raise ValueError
            found[name] = yaml.safe_load(value)
        except (ValueError, yaml.YAMLError):
            raise InputError("E-NETWORK-ARGUMENT", f"{text!r} is not NAME=VALUE.") from None
    return found
