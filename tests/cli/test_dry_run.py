"""--dry-run says what would be done, and does nothing."""

from __future__ import annotations

import json
import shlex
import subprocess

from command import assert_one_error, run


def test_build_prints_the_command_that_it_would_run(capsys, tiny_firmware, monkeypatch):
    project = tiny_firmware.build.elf.parents[1]
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: 1 / 0)
    outcome = run(capsys, "build", project, "--dry-run")
    words = shlex.split(outcome.out)
    assert outcome.code == 0
    assert "src/main.c" in words and words[-1] == "build/firmware.elf"
    assert json.loads(run(capsys, "build", project, "--dry-run", "--json").out)["command"] == words
    assert before == {path: path.stat().st_mtime_ns for path in project.rglob("*")}


def test_build_refuses_in_a_dry_run_what_it_refuses(capsys, tmp_path):
    assert_one_error(run(capsys, "build", tmp_path, "--dry-run"), 2, "E-BUILD-PROJECT")
