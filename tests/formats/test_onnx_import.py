"""The integer export reads back as the network that it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import drawn_networks
import numpy as np
import onnx
import pytest

from max78k.errors import InputError
from max78k.formats.onnx_export import build_model, export_onnx
from max78k.formats.onnx_import import is_integer_export, network_of_onnx
from max78k.network import Layer, Network, Operation
from max78k.network.network import to_header

PATH = Path("a.onnx")


def assert_identical(one: Network, two: Network) -> None:
    assert to_header(one) == to_header(two)
    for left, right in zip(one.layers, two.layers, strict=True):
        for a, b in ((left.weight, right.weight), (left.bias, right.bias)):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert a.dtype == b.dtype == np.int8
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_random_networks_come_back_to_the_bit(seed: int, layers: bool, tmp_path: Path) -> None:
    network = replace(
        drawn_networks.draw(seed), class_names=("a", "é"), notes={"output_exponent": "-9"}
    )
    export_onnx(network, tmp_path / "a.onnx", layers=layers)
    model = onnx.load(tmp_path / "a.onnx")
    assert is_integer_export(model)
    assert_identical(network, network_of_onnx(PATH, model))


def test_convolutions_that_are_exported_in_parts_are_joined() -> None:
    weight = np.full((2, 520, 9), 127, np.int8)
    layer = Layer("wide", Operation.CONV1D, ("input",), weight, output_width=32)
    network = Network("parts", (520, 9), (layer,), ("wide",))
    model = build_model(network)
    assert len([x for x in model.graph.initializer if "weight" in x.name]) > 1
    assert_identical(network, network_of_onnx(PATH, model))


def changed(**properties: str) -> onnx.ModelProto:
    model = build_model(drawn_networks.draw(2))
    kept = {entry.key: entry.value for entry in model.metadata_props} | properties
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, kept)
    return model


def test_a_changed_graph_or_header_is_refused() -> None:
    header = to_header(drawn_networks.draw(2))
    model = changed()
    model.graph.node[3].op_type = "Neg"
    broken = [model, changed(header="{}"), changed(header="["), changed(header="[1]")]
    text = json.dumps(header)
    broken.append(changed(header=text.replace('"output_shift": ', '"output_shift": 1')))
    broken.append(changed(header=text.replace('"name": "', '"name": "x', 1)))
    for model in broken:
        with pytest.raises(InputError, match=r"E-IMPORT-INTEGER .*max78k export"):
            network_of_onnx(PATH, model)


def test_weights_that_are_no_integers_are_refused() -> None:
    model = changed()
    for tensor in model.graph.initializer:
        if tensor.name.endswith(("weight", "weight0")):
            values = onnx.numpy_helper.to_array(tensor) + 0.5
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    with pytest.raises(InputError, match="no integers of 8 bits"):
        network_of_onnx(PATH, model)
