"""``--dry-run``: what a verb would do.

A verb whose work takes seconds does all of it and leaves out the files alone: its checks, their
errors and its figures are those of the real thing. A verb that works for long says its plan.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from max78k.files import rehearsal

NOTHING = "dry run: nothing was written"

plan_option = click.option(
    "--dry-run", is_flag=True, help="Check all and say what would be done; do nothing."
)


def dry_run_option(function: Callable[..., None]) -> Callable[..., None]:
    """The option; with it the verb runs in a rehearsal."""

    @click.option("--dry-run", is_flag=True, help="Do and check all, but write nothing.")
    @wraps(function)
    def wrapped(*words: Any, dry_run: bool, **choices: Any) -> None:
        if not dry_run:
            return function(*words, **choices)
        with rehearsal():
            return function(*words, **choices)

    return wrapped


def told(text: str, files: dict[Path, int]) -> str:
    """The result, with what would have been written."""
    if not files:
        return f"{text}\n{NOTHING}"
    lines = [f"  {path}, {size:,} bytes{', replaced' if path.exists() else ''}"
             for path, size in files.items()]  # fmt: skip
    return "\n".join([text, f"{NOTHING}; these files would be:", *lines])


def with_files(data: dict[str, Any], files: dict[Path, int]) -> dict[str, Any]:
    """The same for programs."""
    return {**data, "dry_run": True, "files_bytes": {str(path): files[path] for path in files}}
