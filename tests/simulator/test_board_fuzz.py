"""A short run of the fuzzer with fixed seeds; ``tools/fuzz_board.py`` runs as long as asked."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("unicorn", reason="the virtual board needs unicorn")

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.errors import InputError, Max78kError
from max78k.simulator.accelerator import Accelerator

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "fuzz_board.py"


@pytest.fixture(scope="module")
def fuzzer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_board", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_board"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", range(6))
def test_random_input_crashes_nothing_and_never_hangs(fuzzer: ModuleType, kind: int):
    seeds = range(1000 + kind, 1100, len(fuzzer.CASES))
    assert [failure for seed in seeds if (failure := fuzzer.run_case(seed, limit=20.0))] == []


def test_a_failure_is_noticed(fuzzer: ModuleType, monkeypatch: pytest.MonkeyPatch):
    def broken(source: object, folder: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(fuzzer, "CASES", (broken,))
    assert fuzzer.run_case(5, limit=20.0) == "seed 5 broken: ZeroDivisionError: oops"


def test_accelerator_survives_programs_without_layers_and_of_absurd_size():
    reports: list[str] = []
    model = Accelerator(lambda message, address: reports.append(message))
    model.set_power(15, 15, 0, 0)
    base = addresses.quadrant(0)
    model.write(base + cr.LCNT_MAX.offset, cr.LCNT_MAX.pack(FIRST=3, LAST=1))
    go = cr.CTL.pack(CLK_EN=1, EN=1)
    model.write(base + cr.CTL.offset, go)
    model.run()
    assert model.interrupt and not model.busy
    model.write(base + cr.CTL.offset, 0)
    model.write(base + cr.LCNT_MAX.offset, 0)
    for register in cr.LAYER_REGISTERS:
        word = sum(field.mask for field in register.fields if field.name != "PAD")
        model.write(base + register.offset, word)
    model.write(base + cr.CTL.offset, go)
    model.run()
    assert model.interrupt
    assert any("more values or products" in message for message in reports)


def test_a_layer_that_reads_more_words_than_a_frame_has_is_not_computed():
    """One processor, but 501 x 408 pixels of 125 passes and 3 operands: half a minute of work."""
    reports: list[str] = []
    model = Accelerator(lambda message, address: reports.append(message))
    model.set_power(15, 15, 0, 0)
    base = addresses.quadrant(0)
    for register, word in (
        (cr.RCNT, cr.RCNT.pack(COUNT=500)),
        (cr.CCNT, cr.CCNT.pack(COUNT=407)),
        (cr.ONED, cr.ONED.pack(ELTWISE=1, OPERANDS=2)),
        (cr.LCTL1, cr.LCTL1.pack(INPUT_PASSES=15)),
        (cr.EN, cr.EN.pack(PROCESSORS=1)),
    ):
        model.write(base + register.offset, word)
    began = time.process_time()
    model.write(base + cr.CTL.offset, cr.CTL.pack(CLK_EN=1, EN=1))
    model.run()
    assert any("more values or products" in message for message in reports)
    assert time.process_time() - began < 1.0  # not a word is read


@pytest.mark.parametrize("seed", [2724, 4624])
def test_streaming_whose_padding_leaves_nothing_ends(fuzzer: ModuleType, seed: int, tmp_path: Path):
    fuzzer.accelerator_program(random.Random(seed), tmp_path)


@pytest.mark.parametrize("seed", [692])
def test_broken_files_that_were_found_are_refused(fuzzer: ModuleType, seed: int, tmp_path: Path):
    with pytest.raises(InputError, match="E-BOARD-ELF"):
        fuzzer.broken_file(random.Random(seed), tmp_path)


@pytest.mark.parametrize("seed", [900689])
def test_runs_that_were_found_end_in_time(fuzzer: ModuleType, seed: int, tmp_path: Path):
    with contextlib.suppress(Max78kError):
        fuzzer.timed_run(random.Random(seed), tmp_path)
