"""ONNX files compute the integers of the reference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import drawn_networks
import numpy as np
import onnx
import pytest

from max78k.errors import InputError
from max78k.formats.onnx_export import build_model, evaluate_layers, evaluate_onnx, export_onnx
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool, reference


def compare(network: Network, inputs: np.ndarray, folder: Path) -> None:
    path = folder / "network.onnx"
    export_onnx(network, path, layers=True)
    expected = reference.run(network, inputs)
    found = evaluate_layers(path, inputs)
    assert list(found) == [layer.name for layer in network.layers]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def single(layer: Layer, shape: tuple[int, ...]) -> Network:
    return Network("single", shape, (layer,), (layer.name,))


def pixel_by_pixel(weight: int, bias: int | None, **changes: object) -> Network:
    biases = None if bias is None else np.array([bias], np.int8)
    kernel = np.full((1, 1, 1, 1), weight, np.int8)
    layer = Layer("scale", Operation.CONV2D, ("input",), kernel, biases, **changes)
    return single(layer, (1, 16, 16))


EVERY_VALUE = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_agree_layer_by_layer(seed: int, tmp_path: Path) -> None:
    network = drawn_networks.draw(seed)
    compare(network, drawn_networks.inputs(np.random.default_rng(seed), network), tmp_path)


def test_random_networks_cover_every_kind() -> None:
    layers = [layer for seed in range(60) for layer in drawn_networks.draw(seed).layers]
    assert {layer.operation for layer in layers} == set(Operation)
    assert {layer.eltwise for layer in layers} == {None, *Eltwise}
    assert {layer.activation for layer in layers} == set(Activation)
    assert {layer.weight_bits for layer in layers} == {1, 2, 4, 8}
    assert {layer.pool.kind for layer in layers if layer.pool} == {"max", "avg"}
    assert any(layer.eltwise and not layer.pool_first and layer.pool for layer in layers)
    assert any(not layer.eltwise and len(layer.inputs) > 1 for layer in layers)


@pytest.mark.parametrize("activation", list(Activation))
@pytest.mark.parametrize(("weight", "bias", "shift"), [(1, None, 6), (-1, None, 6), (3, -5, 4),
    (-128, 127, 0), (127, -128, 7), (-64, None, -8), (1, 1, -15)])  # fmt: skip
def test_ties_and_saturation_agree_for_every_input(
    weight: int, bias: int | None, shift: int, activation: Activation, tmp_path: Path
) -> None:
    network = pixel_by_pixel(weight, bias, output_shift=shift, activation=activation)
    compare(network, EVERY_VALUE, tmp_path)


def test_ties_round_up_and_not_to_even(tmp_path: Path) -> None:
    network = pixel_by_pixel(1, None, output_shift=6)  # x / 2
    export_onnx(network, tmp_path / "a.onnx")
    inputs = np.zeros((1, 1, 16, 16), np.int8)
    inputs.ravel()[:4] = [1, 3, -1, -5]
    assert evaluate_onnx(tmp_path / "a.onnx", inputs)[0, :4].tolist() == [1, 2, 0, -2]


@pytest.mark.parametrize("rounds", [False, True])
def test_average_pooling_agrees_for_negative_sums(rounds: bool, tmp_path: Path) -> None:
    pool = Pool("avg", (2, 2), (1, 1))
    network = single(Layer("mean", Operation.PASSTHROUGH, ("input",), pool=pool), (2, 24, 24))
    network = replace(network, average_rounds=rounds)
    rng = np.random.default_rng(1)
    inputs = rng.integers(-4, 4, (3, 2, 24, 24)).astype(np.int8)
    inputs[2] = rng.choice([-128, 127], (2, 24, 24))
    compare(network, inputs, tmp_path)


@pytest.mark.parametrize(
    ("operation", "shape"),
    [
        (Operation.CONV2D, (2, 520, 3, 3)),
        (Operation.CONVTRANSPOSE2D, (520, 2, 3, 3)),
        (Operation.CONV1D, (2, 520, 9)),
        (Operation.LINEAR, (2, 4680)),
    ],
)
def test_sums_beyond_float32_stay_exact(
    operation: Operation, shape: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    weight = rng.integers(100, 128, shape).astype(np.int8)
    weight.ravel()[:3] = [1, -1, 3]
    padding = 1 if operation in (Operation.CONV2D, Operation.CONVTRANSPOSE2D) else 0
    layer = Layer("wide", operation, ("input",), weight, np.array([127, -128], np.int8),
                  output_width=32, padding=padding)  # fmt: skip
    network = single(layer, (520, 9) if operation is Operation.CONV1D else (520, 3, 3))
    inputs = rng.integers(120, 128, (2, *network.input_shape)).astype(np.int8)
    assert np.abs(reference.run(network, inputs)["wide"]).max() > 1 << 24
    compare(network, inputs, tmp_path)
    if operation is not Operation.LINEAR:
        convolutions = [n for n in build_model(network).graph.node if n.op_type.startswith("Conv")]
        assert len(convolutions) > 1


def test_several_outputs_are_joined_and_batches_do_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = (
        Layer("a", Operation.CONV2D, ("input",), drawn_networks.weights(rng, (2, 3, 1, 1), 8)),
        Layer("b", Operation.LINEAR, ("a",), drawn_networks.weights(rng, (4, 32), 4),
              weight_bits=4, output_width=32),
    )  # fmt: skip
    network = Network("two", (3, 4, 4), layers, ("a", "b"))
    inputs = drawn_networks.inputs(rng, network, 5)
    export_onnx(network, tmp_path / "two.onnx", layers=True)
    found = evaluate_onnx(tmp_path / "two.onnx", inputs, batch=2)
    np.testing.assert_array_equal(found, reference.outputs(network, inputs))


def test_the_file_carries_names_and_versions_that_old_runtimes_read(tmp_path: Path) -> None:
    network = replace(pixel_by_pixel(1, None), class_names=("sad", "glad"), input_offset=128)
    export_onnx(network, tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version <= 8
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["network"] == "single"
    assert json.loads(properties["class_names"]) == ["sad", "glad"]
    assert properties["input_offset"] == "128"


def test_one_changed_weight_changes_the_output(tmp_path: Path) -> None:
    network = drawn_networks.draw(2)
    inputs = drawn_networks.inputs(np.random.default_rng(2), network)
    last = next(layer for layer in reversed(network.layers) if layer.weight is not None)
    assert last.weight is not None
    changed = network.with_layer(last.name, weight=~last.weight)
    export_onnx(changed, tmp_path / "a.onnx")
    found = evaluate_onnx(tmp_path / "a.onnx", inputs)
    assert (found != reference.outputs(network, inputs)).any()


def test_reading_a_32_bit_output_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = drawn_networks.weights(rng, (2, 2, 1, 1), 8)
    layers = (
        Layer("raw", Operation.CONV2D, ("input",), weight, output_width=32),
        Layer("next", Operation.CONV2D, ("raw",), weight),
    )
    with pytest.raises(InputError, match="E-ONNX-WIDE layer next reads raw"):
        export_onnx(Network("n", (2, 4, 4), layers, ("next",)), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    export_onnx(pixel_by_pixel(1, None), path)
    with pytest.raises(InputError, match=r"E-INPUT-SHAPE .* \[N, 1, 16, 16\].*\[1, 1, 4, 4\]"):
        evaluate_onnx(path, np.zeros((1, 1, 4, 4), np.int8))
    with pytest.raises(InputError, match=r"E-INPUT-SHAPE .*float32"):
        evaluate_onnx(path, np.zeros((1, 1, 16, 16), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="E-INPUT-SHAPE"):
        evaluate_onnx(path, np.zeros((0, 1, 16, 16), np.int8))


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(InputError, match=r"E-ONNX-FILE .*no such file"):
        evaluate_onnx(path, EVERY_VALUE)
    export_onnx(pixel_by_pixel(1, None), path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="E-ONNX-FILE"):
        evaluate_onnx(path, EVERY_VALUE)
    model = build_model(pixel_by_pixel(1, None))
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="does not say which"):
        evaluate_onnx(path, EVERY_VALUE)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    onnx.helper.set_model_props(model, {"outputs": '["scale"]'})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="one int8 tensor called input"):
        evaluate_onnx(path, EVERY_VALUE)
