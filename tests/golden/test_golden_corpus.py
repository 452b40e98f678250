"""The recorded corpus, compiled: a seeded sample (needs the reference data folder)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import golden
import golden_compile
import numpy as np
import pytest
from golden_recorded import Recorded
from golden_refused import refused_case

from max78k.chip import cnn_registers as cr
from max78k.compiler.assemble import assemble
from max78k.compiler.image import Image
from max78k.errors import Max78kError

_CASE = "v-mnistxs-plain"


@pytest.fixture(scope="module")
def corpus(shared_folder: Path) -> Path:
    return shared_folder / "golden"


def test_a_sample_of_the_corpus_compiles_to_what_was_recorded(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert golden.main([str(corpus), "--sample", "200", "--seed", "11"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("0 failed, 4 skipped")
    assert sum("streaming" in line for line in lines) >= 1


def test_the_smallest_case_of_every_feature_compiles(corpus: Path) -> None:
    rows = golden.index(corpus)
    size = {name: (corpus / name / "image.npz").stat().st_size for name in rows if rows[name]["ok"]}
    chosen: dict[str, None] = {}
    covered: set[str] = set()
    for name in sorted(size, key=lambda name: (size[name], name)):
        if set(rows[name]["features"]) - covered:
            chosen[name] = None
            covered |= set(rows[name]["features"])
    failed = [o for o in golden.compile_cases(corpus, chosen) if not o.passed]
    assert [f"{o.case}: {o.differences}" for o in failed] == []


def test_streaming_networks_run_on_the_accelerator_model(corpus: Path) -> None:
    cases = (
        "t-fifostream-32-hwc.fifo", "t-fifo-nonsquare.fifo", "f-fuzzstr004", "v-mnistxs-fastfifo",
        "n-facedet_tinierssd",
    )  # fmt: skip
    for name in cases:
        assert list(golden_compile.run_on_model(Recorded(corpus / name), columns=True)) == []


@pytest.fixture
def recorded(corpus: Path) -> Recorded:
    return Recorded(corpus / _CASE)


def kinds(recorded: Recorded) -> list[str]:
    return [text.split(" ")[0] for text in golden_compile.compare(recorded)]


def test_the_comparison_sees_one_wrong_register(recorded: Recorded) -> None:
    address = next(a for a in recorded.configured if a & 0xFFF == cr.RCNT.offset)
    recorded.configured[address] ^= 1
    assert list(golden_compile.compare(recorded)) == [
        "register RCNT of layer 0 in quadrant 0: recorded 0x1001c, ours 0x1001d"
    ]


@pytest.mark.parametrize(
    ("array", "place", "kind"),
    [
        ("kern_bytes", (3, 4), "1"),
        ("in_words", (5,), "input"),
        ("out_words", (1,), "expected"),
        ("bias_q0", (0,), "bias"),
    ],
)
def test_the_comparison_sees_one_wrong_word(
    corpus: Path, array: str, place: tuple[int, ...], kind: str
) -> None:
    recorded = Recorded(corpus / "n-mnist")
    recorded.image[array][place] ^= 0x10
    assert kind in kinds(recorded)


def test_the_comparison_sees_a_wrong_control_write(recorded: Recorded) -> None:
    start = recorded.meta["functions"].index("cnn_start")
    recorded.image["ev_val"][np.flatnonzero(recorded.image["ev_fn"] == start)[0]] ^= 0x2000
    assert kinds(recorded) == ["cnn_start:"]


def test_the_comparison_sees_wrong_tensors_and_cycles(recorded: Recorded) -> None:
    recorded.meta["tensors"]["1"]["out"]["sha256_i32"] = "0" * 64
    recorded.meta["layers"][2]["cycles_est"] += 1
    assert kinds(recorded) == ["tensor", "cycles"]


def test_the_comparison_sees_a_wrong_unload_map(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(*arguments: object) -> Image:
        image = assemble(*arguments)
        first, second, *rest = image.output_runs
        return replace(image, output_runs=(second, first, *rest))

    monkeypatch.setattr(golden_compile, "assemble", swapped)
    assert kinds(recorded) == ["unload"]


def test_the_comparison_sees_a_wrong_fifo_word(corpus: Path) -> None:
    recorded = Recorded(corpus / "t-fifostream-32-hwc.fifo")
    recorded.image["fifo_in_0"][7] ^= 1
    assert kinds(recorded) == ["words"]


def test_a_refusal_for_another_reason_fails(corpus: Path) -> None:
    assert refused_case(corpus / "t-mppool-128", "passthrough pooling above 64 channels").passed
    outcome = refused_case(corpus / "t-mppool-128", "weight memory exhausted")
    assert not outcome.passed and "E-RULE-POOL-CHANNELS" in outcome.differences[0]


def test_an_accepted_case_that_is_refused_fails(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(recorded: Recorded) -> None:
        raise Max78kError("E-X", "no.")

    monkeypatch.setattr(golden_compile, "compare", refuse)
    outcome = golden_compile.accepted_case(corpus / _CASE, (), trusted=True)
    assert outcome.differences == ["refused: E-X no."]


def test_a_folder_that_is_no_corpus_is_refused(tmp_path: Path) -> None:
    assert golden.main([str(tmp_path)]) == 2


def test_a_case_that_is_not_there_is_refused(corpus: Path) -> None:
    assert golden.main([str(corpus), "--case", "no-such-case"]) == 2
