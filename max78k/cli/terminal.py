"""What a person at the terminal sees: progress on stderr, results on stdout, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from max78k.cli.rehearsal import told, with_files
from max78k.files import rehearsed

Advance = Callable[[int, str], None]


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """A progress bar on stderr; yields ``advance(steps, note)``. Silent where stderr is piped."""
    if not sys.stderr.isatty():
        yield lambda steps, note: None
        return
    with click.progressbar(
        length=total,
        label=label,
        file=sys.stderr,
        item_show_func=lambda note: note,
        show_eta=True,
    ) as bar:
        yield lambda steps, note: bar.update(steps, note)


def say(text: str) -> None:
    """A line about what is going on, to stderr."""
    click.echo(text, err=True)


def emit(text: str, data: dict[str, Any], as_json: bool) -> None:
    """The result on stdout: ``text`` for people, or ``data`` as one JSON object.

    In a dry run that of what would have been written, too: call it when all is done.
    """
    files = rehearsed()
    if files is not None:
        text, data = told(text, files), with_files(data, files)
    click.echo(json.dumps(data, indent=2, sort_keys=True) if as_json else text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
