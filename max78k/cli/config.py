"""The configuration file: defaults of options, below the command line and the environment.

One YAML file. Its keys are verbs with their options below them; ``port``, ``data`` and ``seed`` may
also stand at the top, for every verb that has them. A file is read only where the user has put or
named it, never because it lies in the present folder: it may name a program to run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from max78k.errors import InputError

SHARED = ("port", "data", "seed")
_MOST_BYTES = 1 << 20
_HINT = "docs/configuration.md shows what a configuration file may hold"


def user_file() -> Path:
    """The file that is read if no other one is named."""
    return Path(click.get_app_dir("max78k")) / "config.yaml"


def load(file: Path, ctx: click.Context, group: click.Group) -> dict[str, Any]:
    """Defaults by verb and option, as click's ``default_map``.

    Raises InputError: ``E-CONFIG-READ`` (no such file, no YAML), ``E-CONFIG-KEY`` (neither a verb
    nor an option), ``E-CONFIG-VALUE`` (not what the option takes).
    """
    content = _read(file)
    shared = {name: content.pop(name) for name in SHARED if name in content}
    defaults = _commands(file, content, ctx, group, ())
    name = ctx.invoked_subcommand
    command = group.get_command(ctx, name) if name else None
    if name and command is not None:
        defaults[name] = merged(_spread(file, shared, command), defaults.get(name, {}))
    return defaults


def _read(file: Path) -> dict[Any, Any]:
    import yaml

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError("E-CONFIG-READ", f"{file} is larger than {_MOST_BYTES} bytes.", _HINT)
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("E-CONFIG-READ", f"{file}: {error.strerror}.", _HINT) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError("E-CONFIG-READ", f"{file} is not YAML: {reason}.", _HINT) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError("E-CONFIG-READ", f"{file} holds no keys.", _HINT)
    return content


def _commands(
    file: Path,
    content: dict[Any, Any],
    ctx: click.Context,
    group: click.Group,
    above: tuple[str, ...],
) -> dict[str, Any]:
    """Sections of a group's commands."""
    known = group.list_commands(ctx)
    defaults: dict[str, Any] = {}
    for key, section in content.items():
        command = group.get_command(ctx, str(key)) if key in known else None
        where = (*above, str(key))
        if command is None:
            raise _unknown(file, where, [*known, *(() if above else SHARED)])
        if not isinstance(section, dict):
            raise _bad_value(file, where, "options are expected below it")
        if isinstance(command, click.Group):
            defaults[str(key)] = _commands(file, section, ctx, command, where)
        else:
            defaults[str(key)] = _options(file, section, command, where)
    return defaults


def _options(
    file: Path, section: dict[Any, Any], command: click.Command, above: tuple[str, ...]
) -> dict[str, Any]:
    """Values by the names that click has for the options."""
    options = _by_spelling(command)
    defaults: dict[str, Any] = {}
    for key, value in section.items():
        where = (*above, str(key))
        option = options.get(str(key).replace("_", "-"))
        if option is None:
            raise _unknown(file, where, options)
        assert option.name is not None
        defaults[option.name] = _read_value(file, where, option, command, value)
    return defaults


def _by_spelling(command: click.Command) -> dict[str, click.Option]:
    """Options by their long spelling without the dashes."""
    return {
        spelling[2:]: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for spelling in (*parameter.opts, *parameter.secondary_opts)
        if spelling.startswith("--")
    }


def _read_value(
    file: Path, where: tuple[str, ...], option: click.Option, command: click.Command, value: Any
) -> Any:
    """The value under a key of the file; that of a switch's second spelling turned round."""
    checked = _checked(file, where, option, command, value)
    if f"--{where[-1].replace('_', '-')}" in option.secondary_opts:
        return not option.type_cast_value(click.Context(command), checked)
    return checked


def _checked(
    file: Path, where: tuple[str, ...], option: click.Option, command: click.Command, value: Any
) -> Any:
    if isinstance(value, dict):
        raise _bad_value(file, where, "a value is expected")
    try:
        option.type_cast_value(click.Context(command), value)
    except (click.BadParameter, TypeError) as error:
        text = error.message if isinstance(error, click.BadParameter) else str(error)
        raise _bad_value(file, where, text) from error
    return value


def _spread(file: Path, shared: dict[str, Any], command: click.Command) -> dict[str, Any]:
    """The shared values, for a verb and what is below it, where they have such an option."""
    if isinstance(command, click.Group):
        return {name: _spread(file, shared, below) for name, below in command.commands.items()}
    options = _by_spelling(command)
    return {
        str(options[key].name): _checked(file, (key,), options[key], command, value)
        for key, value in shared.items()
        if key in options
    }


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Nested values of both; the second one's stand where both have one."""
    result = dict(first)
    for key, value in second.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = merged(below, value)
        result[key] = value
    return result


def _unknown(file: Path, where: tuple[str, ...], known: Iterable[str]) -> InputError:
    near = difflib.get_close_matches(where[-1], list(known), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    kind = "option of " + " ".join(where[:-1]) if len(where) > 1 else "verb"
    return InputError("E-CONFIG-KEY", f"{file}: {where[-1]} is no {kind}.", f"{hint}{_HINT}")


def _bad_value(file: Path, where: tuple[str, ...], what: str) -> InputError:
    return InputError("E-CONFIG-VALUE", f"{file}: {': '.join(where)}: {what}", _HINT)
