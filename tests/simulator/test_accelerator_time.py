"""The accelerator model's cycles against the compiler's, which are computed without the model."""

from __future__ import annotations

import random
from pathlib import Path

import golden
from golden_compile import EQUIVALENT
from golden_recorded import Recorded
from golden_replay import Replay

from max78k.compiler import cycles
from max78k.compiler.allocate import plan

_CASES = 60
_SMALL_BYTES = 400_000


def model_cycles(folder: Path) -> list[int]:
    """Cycles of each layer, as the recorded registers make the model estimate them."""
    replay = Replay(folder)
    replay.start()
    return [count for _, count in replay.model.layer_cycles]


def compiler_cycles(folder: Path) -> list[int]:
    """Cycles of each layer of the network that the case describes."""
    network, given = Recorded(folder).network()
    counts = list(cycles.layer_cycles(network, plan(network, given)).values())
    return [counts[0] - 1, *counts[1:]]  # there, the start belongs to the first layer


def without_streams(corpus: Path) -> list[str]:
    """Accepted cases in which no layer streams: there, the estimate is more than a rough figure."""
    names = golden.choose(corpus, golden.accepted(corpus), 0, 0)
    rows = golden.index(corpus)
    chosen = set(names) - set(EQUIVALENT)
    return sorted(name for name in chosen if "streaming" not in rows[name]["features"])


def test_model_and_compiler_agree_on_the_cycles_of_every_layer(shared_folder: Path) -> None:
    corpus = shared_folder / "golden"
    names = [
        name
        for name in without_streams(corpus)
        if (corpus / name / "image.npz").stat().st_size < _SMALL_BYTES
    ]
    chosen = random.Random(4).sample(names, _CASES)
    different = {
        name: (model_cycles(corpus / name), compiler_cycles(corpus / name)) for name in chosen
    }
    assert {name: pair for name, pair in different.items() if pair[0] != pair[1]} == {}


def test_a_register_that_says_otherwise_changes_the_cycles(shared_folder: Path) -> None:
    folder = shared_folder / "golden" / "v-mnistxs-plain"
    replay = Replay(folder)
    replay.start()
    before = replay.model.layer_cycles
    assert len(before) == 4
    control, rows = 0x5010_0000, 0x5010_0018  # of the third layer
    replay.model.write(control, 0x10_0808)
    replay.model.write(rows, replay.model.read(rows) + 4)  # a pooled row more
    replay.model.write(control, 0x10_0009)
    changed = [a != b for a, b in zip(before, replay.model.layer_cycles, strict=True)]
    assert changed == [False, False, True, False]
