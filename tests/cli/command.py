"""Running the command in this process: exit code, output, and the error's code."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from max78k.cli import main as program


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """``max78k ARGUMENTS``, as from the shell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["max78k", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            program.main()
    captured = capsys.readouterr()
    return Outcome(int(end.value.code or 0), captured.out, captured.err)


def assert_one_error(outcome: Outcome, exit_code: int, code: str, *words: str) -> None:
    """One line on stderr that begins with the code and names what is wrong; no traceback."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert outcome.code == exit_code, outcome
    assert len(lines) == 1 and lines[0].startswith(f"error: {code}"), outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err
