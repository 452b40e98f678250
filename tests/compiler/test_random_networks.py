"""Random networks: the accelerator model computes what the reference does; faults are shrunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import misplace
import numpy as np
import pytest
import random_networks
from draw_networks import Drawn, draw
from shrink_networks import describe

from max78k.compiler import data_flow, placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.lowering import lower
from max78k.compiler.placed import place
from max78k.compiler.placement import Placement
from max78k.errors import RuleError
from max78k.network import Layer, Network, Operation
from max78k.network.shapes import infer

_SEED = 2  # another one than that of long runs
_KINDS = (
    *(operation.value for operation in Operation), "element-wise", "operands of one tensor",
    "concatenation", "seen in another size", "read in part", "streaming", "32-bit output",
    "several outputs", "write gap", "fed by fifo", "fed by fast-fifo",
)  # fmt: skip


def test_a_sample_runs_as_the_reference_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 60
    arguments = ["--count", str(count), "--seed", str(_SEED), "--out", str(tmp_path)]
    code = random_networks.main(arguments)
    text = capsys.readouterr().out
    assert code == 0, text
    assert text.endswith(f"{count} passed, 0 failed\n")
    assert [kind for kind in _KINDS if f" {kind}" not in text] == []


def test_a_network_does_not_depend_on_those_before_it() -> None:
    first, again, other = draw(_SEED, 17), draw(_SEED, 17), draw(_SEED, 18)
    assert describe(first.network, "") == describe(again.network, "")
    assert first.given == again.given
    assert describe(first.network, "") != describe(other.network, "")


def test_a_wrong_value_is_found_shrunk_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault is pretended in every network with a transposed convolution."""
    drawn = ((n, draw(_SEED, n)) for n in range(100))
    plain = (n for n, found in drawn if _has_transposed(found.network) and found.given is None)
    number = next(plain)
    expected = random_networks.difference

    def difference(found: Drawn, seconds: float = 0.5) -> str:
        text = expected(found, 0)
        return text or ("1 of 1 values differ" if _has_transposed(found.network) else "")

    monkeypatch.setattr(random_networks, "difference", difference)
    arguments = ["--count", "1", "--first", str(number), "--seed", str(_SEED)]
    assert random_networks.main([*arguments, "--out", str(tmp_path)]) == 5
    assert capsys.readouterr().out.endswith("0 passed, 1 failed\n")
    small = Network.load(tmp_path / f"seed{_SEED}-{number}.npz")
    assert [layer.operation for layer in small.layers] == [Operation.CONVTRANSPOSE2D]
    assert small.input_shape == (1, 1, 1) and infer(small)[small.outputs[0]].output[0] == 1
    assert "values differ" in (tmp_path / f"seed{_SEED}-{number}.txt").read_text()


def _has_transposed(network: Network) -> bool:
    return any(layer.operation is Operation.CONVTRANSPOSE2D for layer in network.layers)


def test_shrinking_keeps_to_the_kind_of_fault() -> None:
    kind = random_networks._kind
    assert kind("refused: E-RULE-A x\nE-RULE-B y") == "E-RULE-A" != kind("refused: E-RULE-B y")
    assert kind("model: word lost") == "model"
    assert kind("3 of 9 values differ") == "values"


def test_a_wrong_value_of_the_model_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = random_networks.ImageRunner

    class Wrong(runner):  # type: ignore[misc, valid-type]
        def infer(self, inputs: np.ndarray) -> np.ndarray:
            return np.asarray(super().infer(inputs) + 1)

    monkeypatch.setattr(random_networks, "ImageRunner", Wrong)
    weight = np.ones((2, 3, 1, 1), np.int8)
    network = Network("n", (3, 4, 4), (Layer("a", Operation.CONV2D, ("input",), weight),), ("a",))
    assert random_networks.difference(Drawn(network)) == "32 of 32 values differ"
    far = replace(network, input_shape=(3, 200, 200))
    assert random_networks.difference(Drawn(far, Placement({}))).startswith("refused: E-RULE-DATA")


def test_a_near_miss_that_no_rule_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.ones((2, 3, 1, 1), np.int8)
    network = Network("n", (3, 4, 4), (Layer("a", Operation.CONV2D, ("input",), weight),), ("a",))
    assert random_networks.missed(network) == []
    wrong = iter([("E-RULE-SHIFT", network)])
    monkeypatch.setattr(random_networks, "near_misses", lambda given: wrong)
    assert random_networks.missed(network) == ["near miss: [] instead of E-RULE-SHIFT"]


def test_a_wrong_place_that_no_rule_refuses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert misplace.misplaced(_pair(), None) == []
    kept = [rule for rule in placement_rules.RULES if rule.code != "E-RULE-KERNEL-SPACE"]
    monkeypatch.setattr(placement_rules, "RULES", kept)
    found = misplace.misplaced(_pair(), None, moves=0)
    assert any("behind the end: [] instead of E-RULE-KERNEL-SPACE" in text for text in found)


def test_an_accepted_place_with_other_values_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misplace, "one_of_a_kind", lambda network, layers: [])
    monkeypatch.setattr(data_flow, "check", lambda network, layers: [])
    found = misplace.misplaced(_pair(), None, moves=20)
    assert found and all(text.startswith("moved: ") for text in found)


def _pair() -> Network:
    weights = np.random.default_rng(3).integers(-99, 99, (2, 5, 5, 3, 3)).astype(np.int8)
    one = Layer("a", Operation.CONV2D, ("input",), weights[0], padding=1)
    two = Layer("b", Operation.CONV2D, ("a",), weights[1], padding=1)
    return Network("pair", (5, 6, 6), (one, two), ("b",))


def test_most_rules_about_places_are_broken_by_some_network() -> None:
    broken = set()
    for number in range(40):
        drawn = draw(_SEED, number)
        lowered = lower(drawn.network)
        try:
            placed = place(lowered, plan(lowered, drawn.given, 0))
        except RuleError:
            continue
        broken |= {miss.code for miss in misplace.one_of_a_kind(lowered, placed)}
    assert broken == {
        "OFFSETS", "DATA-FLOW", "WRITE-GAP", "PROCESSORS-IN", "PROCESSORS-OUT", "PROCESSORS-ALIGN",
        "PROCESSORS-GAPS", "PASSTHROUGH-MAP", "INPUT-LANES", "KERNEL-SPACE", "KERNEL-OVERLAP",
        "BIAS-SPACE", "BIAS-OVERLAP",
    }  # fmt: skip
