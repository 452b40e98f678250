"""The command itself: help is light, errors are one line with the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command import assert_one_error, run

from max78k.cli.main import VERBS, cli

HEAVY = ("torch", "numpy", "cv2", "matplotlib", "onnx", "onnxruntime", "unicorn", "serial", "yaml")


def _run(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "max78k", *arguments], capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['max78k', '--help']\n"
        "import max78k.cli.main as m\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip().endswith("[]"), result.stdout + result.stderr


@pytest.mark.parametrize("verb", ["bench", "flash", "ports", "board", "data"])
def test_light_verbs_show_help_without_torch(verb: str) -> None:
    program = (
        f"import sys; sys.argv = ['max78k', '{verb}', '--help']\n"
        "import max78k.cli.main as m\n"
        "try: m.main()\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip().endswith("False"), result.stdout + result.stderr


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_explains_itself_with_an_example(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0, result.output
    nested = verb == "board"
    text = CliRunner().invoke(cli, [verb, "run", "--help"]).output if nested else result.output
    assert f"max78k {verb}" in text


def test_error_is_one_line_with_code_and_exit_status() -> None:
    result = _run("check", "no-such-model")
    assert result.returncode == 2
    assert result.stderr.startswith("error: E-MODEL-MISSING no-such-model")
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) == 1


def test_debug_shows_the_traceback() -> None:
    result = _run("--debug", "check", "no-such-model")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_unknown_verb_is_a_usage_error() -> None:
    result = _run("trian")
    assert result.returncode == 2
    assert "trian" in result.stderr


def test_a_folder_in_the_way_of_a_file_is_not_a_fault_of_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room, taken = tmp_path / "room", tmp_path / "taken"
    taken.mkdir()
    run(capsys, "csi", "make", "--out", room, "--persons", 2, "--recordings", 1, "--seconds", 1)
    outcome = run(capsys, "csi", "prepare", room, "--window", 50, "--split", "subject",
                  "--out", taken)  # fmt: skip
    assert_one_error(outcome, 2, "E-FILE", str(taken))


def test_a_missing_module_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "serial.tools", None)
    monkeypatch.delitem(sys.modules, "serial.tools.list_ports", raising=False)
    outcome = run(capsys, "ports")
    assert_one_error(outcome, 2, "E-INSTALL-MODULE", "serial.tools", "max78k doctor")
