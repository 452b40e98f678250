"""Verbs, options and variables that pages, helps and messages name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from max78k.cli.environment import variable
from max78k.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "max78k").rglob("*.py"))
# What pages say of options of other programs; those of the vendor's stand on a page of their own.
OTHERS = {"--device", "--strict", "--privileged"}
FOREIGN_PAGES = ("vendor-options.md",)
VARIABLES = {"MAX78K_PORT", "MAX78K_CONFIG", "MAX78K_DEBUG", "MAX78K_CC", "MAX78K_"}

Path_ = tuple[str, ...]


def leaves(command: click.Command, path: Path_ = ()) -> Iterator[tuple[Path_, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from leaves(below, (*path, name))


COMMANDS = dict(leaves(cli))
OPTIONS = {
    path: {word for option in command.params if isinstance(option, click.Option)
           for word in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
    for path, command in COMMANDS.items()
}  # fmt: skip
EVERY = set().union(*OPTIONS.values())
TWINS = {variable(path, word) for path, words in OPTIONS.items() for word in words}


def spans(text: str) -> Iterator[str]:
    """Lines of blocks of code, and spans of code."""
    text = re.sub(r"\\\n\s*", " ", text)  # a line that goes on
    for block in re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.M | re.S):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))


def commands(line: str) -> Iterator[tuple[Path_, list[str]]]:
    """Verb and words of each command in a line."""
    for part in re.split(r"&&|[|;]|\$\(", line):
        words = re.sub(r"\s\s+\(.*|\s#.*", "", part).split()
        shown = "max78k" in words[:3] and "import" not in words
        if not shown and (len(words) < 2 or (words[0],) not in COMMANDS):
            continue
        words = words[words.index("max78k") + 1 :] if shown else words
        while words and words[0] in OPTIONS[()]:
            words = words[1:]
        path: Path_ = ()
        while words and (*path, words[0]) in COMMANDS:
            path = (*path, words.pop(0))
        yield path, words


def misnamed(text: str) -> list[str]:
    """Lines with a verb or an option that is not there."""
    wrong = []
    for line in spans(text):
        for path, words in commands(line):
            given = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
            no_verb = not path and words and re.fullmatch(r"[a-z][a-z-]+", words[0])
            if no_verb or given - OPTIONS[path] - OPTIONS[()]:
                wrong.append(line)
        alone = re.fullmatch(r"(--[a-z][a-z0-9-]+)([ =].*)?", line)
        if alone and alone[1] not in EVERY | OTHERS:
            wrong.append(line)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_what_there_is(page: Path) -> None:
    text = page.read_text("utf-8")
    if page.name not in FOREIGN_PAGES:
        assert misnamed(text) == []
    assert set(re.findall(r"MAX78K_[A-Z0-9_]*", text)) - TWINS - VARIABLES == set()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_help_names_what_there_is(path: Path_) -> None:
    text = COMMANDS[path].help or ""
    examples = re.findall(r"^ *(max78k .*)$", re.sub(r"\\\n\s*", " ", text), re.M)
    assert misnamed("".join(f"`{line}`\n" for line in examples) + text) == []


def test_messages_name_what_there_is() -> None:
    named = re.compile(r"`max78k [^`\n{]+`")
    found = {path.name: misnamed("\n".join(named.findall(path.read_text("utf-8"))))
             for path in SOURCES}  # fmt: skip
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_what_is_not_there_is_found() -> None:
    assert misnamed("`max78k bench --cuont 3`") and misnamed("`max78k bensh`")
    assert misnamed("```\nmax78k flash x --sim\n```") and misnamed("`--cuont`")
    assert not misnamed("`max78k --debug bench --count 3`, `bench --count 3 # --cuont`")
