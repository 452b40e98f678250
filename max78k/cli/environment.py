"""Environment variables of options: ``MAX78K_``, the verb, the option as it is spelled.

Every long spelling has its variable. A switch of two spellings has two: the second one's value is
turned round, as the option on the command line would.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from max78k.errors import InputError

PREFIX = "MAX78K"


def variable(path: tuple[str, ...], spelling: str) -> str:
    """Name of the variable for an option such as ``--max-baud`` of the verb at ``path``."""
    return "_".join((PREFIX, *path, spelling.lstrip("-"))).replace("-", "_").upper()


def give_variables(command: click.Command, path: tuple[str, ...]) -> None:
    """Let the options of a verb, and of the verbs below it, take their values from variables."""
    for name, below in _below(command):
        give_variables(below, (*path, name))
    for option in _options(command):
        own = (option.envvar,) if isinstance(option.envvar, str) else option.envvar or ()
        named = [variable(path, word) for word in option.opts if word.startswith("--")]
        option.envvar = list(dict.fromkeys((*own, *named)))


def turned_round(command: click.Command, path: tuple[str, ...]) -> dict[str, Any]:
    """Defaults, as click keeps them, from variables of second spellings that are set.

    Raises InputError ``E-CONFIG-VALUE`` for one that is neither yes nor no.
    """
    found: dict[str, Any] = {}
    for name, below in _below(command):
        found[name] = turned_round(below, (*path, name))
    for option in _options(command):
        for word in option.secondary_opts:
            text = os.environ.get(variable(path, word))
            if text:
                found[str(option.name)] = not _switch(variable(path, word), text)
    return {name: value for name, value in found.items() if value != {}}


def _switch(name: str, text: str) -> bool:
    try:
        return bool(click.BOOL.convert(text, None, None))
    except click.BadParameter:
        raise InputError(
            "E-CONFIG-VALUE", f"{name}={text} is neither 1 nor 0.", f"{name}=1"
        ) from None  # fmt: skip


def _below(command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        yield from command.commands.items()


def _options(command: click.Command) -> Iterator[click.Option]:
    return (item for item in command.params if isinstance(item, click.Option))
