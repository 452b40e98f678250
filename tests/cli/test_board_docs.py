"""What docs/board.md shows can be run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from max78k.cli.board import run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "board.md").read_text("utf-8")


def parsed(command: str) -> dict[str, object]:
    """Options of a `max78k board run` line; fails on one that does not exist."""
    words = shlex.split(command)
    assert words[:3] == ["max78k", "board", "run"]
    return run.make_context("run", words[3:]).params


def test_the_workflow_is_valid_and_its_command_too():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    workflow = yaml.safe_load(text)
    assert {"push", "pull_request"} == set(workflow[True])  # YAML reads `on` as true
    steps = workflow["jobs"]["kat"]["steps"]
    (command,) = (s["run"] for s in steps if s.get("run", "").startswith("max78k board run"))
    options = parsed(command)
    assert options["until"] == "PASS" and options["timeout"] == 120 and options["strict"]
    written = {str(options["vcd"]), str(options["report"])}
    assert written == set(steps[-1]["with"]["path"].split())
    install = next(s["run"] for s in steps if "pip install" in s.get("run", ""))
    assert "max78k[board]" in install


def lines_of_the_page() -> list[str]:
    found = re.findall(r"^max78k board run .*?(?=   |$)", PAGE, re.MULTILINE)
    assert len(found) >= 4
    return found


@pytest.mark.parametrize("line", lines_of_the_page())
def test_lines_of_the_page_are_understood(line: str):
    parsed(line)


def test_every_option_is_in_the_page():
    for option in run.params:
        if isinstance(option, click.Option):
            assert f"`{option.opts[0]}" in PAGE
