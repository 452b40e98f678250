"""Recorded known answers, replayed access by access (needs the reference data folder)."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "golden.py"
_CASES = 40
_SMALL_BYTES = 150_000


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_tool", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden_tool"] = module
    spec.loader.exec_module(module)
    return module


def chosen(golden: ModuleType, corpus: Path) -> list[str]:
    """The smallest case of every feature, and a seeded sample of the other small ones."""
    trusted = golden.choose(corpus, golden.accepted(corpus), 0, 0)
    size = {name: (corpus / name / "image.npz").stat().st_size for name in trusted}
    index = json.loads((corpus / "index.json").read_text("utf-8"))
    picked: dict[str, None] = {}
    covered: set[str] = set()
    for name in sorted(trusted, key=lambda name: (size[name], name)):
        kinds = {f for f in index[name]["features"] if not f.startswith("option")}
        if kinds - covered:
            picked[name] = None
            covered |= kinds
    small = [name for name in trusted if size[name] < _SMALL_BYTES and name not in picked]
    extra = random.Random(1).sample(small, max(0, _CASES - len(picked)))
    return [*picked, *extra]


def test_recorded_cases_of_every_layer_kind_replay(golden: ModuleType, shared_folder: Path) -> None:
    corpus = shared_folder / "golden"
    outcomes = list(golden.replay(corpus, chosen(golden, corpus)))
    assert len(outcomes) >= _CASES
    assert [f"{o.case}: {o.differences}" for o in outcomes if not o.passed] == []


def test_the_command_reports_and_counts(
    golden: ModuleType, shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = str(shared_folder / "golden")
    assert golden.main(["--replay", corpus, "--case", "v-mnistxs-plain"]) == 0
    assert capsys.readouterr().out == "1 passed, 0 failed, 0 skipped\n"
    assert golden.main(["--replay", corpus, "--case", "t-multilayer-eltwise"]) == 5
    out = capsys.readouterr().out
    assert out.startswith("FAILED t-multilayer-eltwise: ") and out.endswith("1 failed, 0 skipped\n")
    assert golden.main(["--replay", corpus, "--case", "no-such-case"]) == 2


def test_a_damaged_recording_fails(golden: ModuleType, shared_folder: Path) -> None:
    replay = golden.Replay(shared_folder / "golden" / "v-mnistxs-plain")
    replay._image["kern_bytes"][3, 4] ^= 0x10
    assert not replay.run().passed


def test_a_folder_that_is_no_corpus_is_refused(golden: ModuleType, tmp_path: Path) -> None:
    assert golden.main(["--replay", str(tmp_path)]) == 2
