"""Views and split operands mean the same in ONNX, in YAML and in the integer reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from max78k.compiler.placement import Placement
from max78k.formats.network_yaml import bind, read_yaml, write_yaml
from max78k.formats.onnx_evaluate import evaluate_onnx
from max78k.formats.onnx_export import export_onnx
from max78k.network import Eltwise, Layer, Network, Operation, reference


def network() -> Network:
    rng = np.random.default_rng(2)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-128, 128, shape).astype(np.int8)

    layers = (
        Layer("sum", Operation.PASSTHROUGH, ("input",), eltwise=Eltwise.SUB, split=3),
        Layer("a", Operation.CONV1D, ("sum",), weight(6, 4, 3), padding=1, output_shift=-4),
        Layer("b", Operation.CONV2D, ("a",), weight(5, 6, 3, 3), view=(6, 4), output_shift=-4),
    )
    return Network("views", (12, 24), layers, ("b",))


def test_onnx_cuts_and_reshapes_as_the_reference_does(tmp_path: Path) -> None:
    inputs = np.random.default_rng(1).integers(-128, 128, (3, 12, 24)).astype(np.int8)
    export_onnx(network(), tmp_path / "net.onnx")
    found = evaluate_onnx(tmp_path / "net.onnx", inputs)
    assert np.array_equal(found, reference.outputs(network(), inputs))


def test_views_split_operands_and_streaming_survive_yaml(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    first = Layer(
        "first", Operation.CONV2D, ("input",), rng.integers(-9, 9, (4, 3, 3, 3)).astype(np.int8),
        padding=1, streaming=True,
    )  # fmt: skip
    streaming = Network("stream", (3, 6, 6), (first,), ("first",))
    for one in (network(), streaming):
        write_yaml(one, Placement({}), tmp_path / "net.yaml")
        bound, _ = bind(read_yaml(tmp_path / "net.yaml"), one, one.input_shape)
        for ours, theirs in zip(bound.layers, one.layers, strict=True):
            for field in ("view", "split", "streaming", "inputs", "operands", "operation"):
                assert getattr(ours, field) == getattr(theirs, field)
        one.save(tmp_path / "net.npz")
        loaded = Network.load(tmp_path / "net.npz")
        assert [(x.view, x.split, x.streaming) for x in loaded.layers] == [
            (x.view, x.split, x.streaming) for x in one.layers
        ]
