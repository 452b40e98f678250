"""The lines of ``max78k completion`` in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a program ``max78k``, and the lines for each shell."""
    program = tmp_path / "max78k"
    start = "import sys; sys.argv[0] = 'max78k'; from max78k.cli.main import main; main()"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -c "{start}" "$@"\n'
    )
    program.chmod(0o755)
    return tmp_path


def run(folder: Path, *words: str) -> str:
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False,
                          cwd=folder, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(folder: Path, shell: str) -> Path:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = folder / shell
    path.write_text(run(folder, "max78k", "completion", shell))
    return path


def test_fish_completes_verbs_options_and_values(folder: Path) -> None:
    path = lines(folder, "fish")
    for typed, expected in (("be", "bench"), ("bench --max-", "--max-baud"), ("flash --method d",
                            "daplink")):  # fmt: skip
        said = run(folder, "fish", "-c", f"source {path}; complete -C 'max78k {typed}'")
        assert [line.split("\t")[0] for line in said.splitlines()] == [expected]


def test_bash_completes_verbs_and_options(folder: Path) -> None:
    path = lines(folder, "bash")
    for typed, expected in (("be", "bench"), ("bench --max-", "--max-baud")):
        words = f"max78k {typed}".split()
        typed = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
        answer = "_max78k_completion max78k; echo ${COMPREPLY[@]}"
        said = run(folder, "bash", "-c", f"source {path}; {typed}; {answer}")
        assert said.split() == [expected]


def test_zsh_takes_the_lines(folder: Path) -> None:
    path = lines(folder, "zsh")
    said = run(folder, "zsh", "-f", "-c", f"autoload -Uz compinit; compinit -u -D; source {path}; "
               "echo $_comps[max78k]")  # fmt: skip
    assert said.strip() == "_max78k_completion"
