"""A short run of the fuzzer with fixed seeds; ``tools/fuzz_board.py`` runs as long as asked."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("unicorn", reason="the virtual board needs unicorn")

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fuzz_board.py"


@pytest.fixture(scope="module")
def fuzzer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_board", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_board"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", range(4))
def test_random_input_crashes_nothing_and_never_hangs(fuzzer: ModuleType, kind: int):
    seeds = range(1000 + kind, 1100, len(fuzzer.CASES))
    assert [failure for seed in seeds if (failure := fuzzer.run_case(seed, limit=20.0))] == []


def test_a_failure_is_noticed(fuzzer: ModuleType, monkeypatch: pytest.MonkeyPatch):
    def broken(source: object, folder: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(fuzzer, "CASES", (broken,))
    assert fuzzer.run_case(5, limit=20.0) == "seed 5 broken: ZeroDivisionError: oops"
