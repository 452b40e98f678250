"""Random networks: the accelerator model computes what the reference does; faults are shrunk."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from max78k.network import Layer, Network, Operation
from max78k.network.shapes import infer

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "random_networks.py"
_SEED = 2  # another one than that of long runs


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("random_networks_tool", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["random_networks_tool"] = module
    sys.path.insert(0, str(_SCRIPT.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def test_a_sample_runs_as_the_reference_says(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 60
    assert tool.main(["--count", str(count), "--seed", str(_SEED), "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.endswith(f"{count} passed, 0 failed\n")
    for operation in Operation:
        assert operation.value in text


def test_a_network_does_not_depend_on_those_before_it(tool: ModuleType) -> None:
    first, again = tool.network(_SEED, 17), tool.network(_SEED, 17)
    assert tool.describe(first, "") == tool.describe(again, "")
    assert tool.describe(first, "") != tool.describe(tool.network(_SEED, 18), "")


def test_a_wrong_value_is_found_shrunk_and_written(
    tool: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault is pretended in every network with a transposed convolution."""
    numbers = [n for n in range(40) if _has_transposed(tool.network(_SEED, n))]
    number = numbers[0]
    expected = tool.difference

    def difference(network: Network, seconds: float = 0.5) -> str:
        text: str = expected(network, 0)
        return text or ("1 of 1 values differ" if _has_transposed(network) else "")

    monkeypatch.setattr(tool, "difference", difference)
    arguments = ["--count", "1", "--first", str(number), "--seed", str(_SEED)]
    assert tool.main([*arguments, "--out", str(tmp_path)]) == 5
    assert capsys.readouterr().out.endswith("0 passed, 1 failed\n")
    small = Network.load(tmp_path / f"seed{_SEED}-{number}.npz")
    assert [layer.operation for layer in small.layers] == [Operation.CONVTRANSPOSE2D]
    assert small.input_shape == (1, 1, 1) and infer(small)[small.outputs[0]].output[0] == 1
    assert "values differ" in (tmp_path / f"seed{_SEED}-{number}.txt").read_text()


def _has_transposed(network: Network) -> bool:
    return any(layer.operation is Operation.CONVTRANSPOSE2D for layer in network.layers)


def test_a_near_miss_that_no_rule_refuses_is_found(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = np.ones((2, 3, 1, 1), np.int8)
    network = Network("n", (3, 4, 4), (Layer("a", Operation.CONV2D, ("input",), weight),), ("a",))
    assert tool.missed(network) == []
    monkeypatch.setattr(tool, "near_misses", lambda given: iter([("E-RULE-SHIFT", given)]))
    assert tool.missed(network) == ["near miss: [] instead of E-RULE-SHIFT"]
