"""Quantized ONNX files as tools write them, and operations of ONNX that stand for layers."""

from __future__ import annotations

from pathlib import Path

import foreign_models as foreign
import numpy as np
import onnx
import pytest

from max78k.errors import InputError, RuleError
from max78k.flows.synthesis import compile_network
from max78k.imports.chip_layers import FloatModel
from max78k.imports.losses import losses
from max78k.imports.quantization import quantize, real_inputs
from max78k.imports.sources import onnx_source
from max78k.network import Activation, Operation

SHAPE = (3, 16, 16)
PIXELS = foreign.pixels(SHAPE, 64)
RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)


class Samples:
    """What onnxruntime's quantizer reads: one input after the other."""

    def __init__(self) -> None:
        self.left = list(real_inputs(PIXELS).numpy()[:24])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return {"x": self.left.pop()[None]} if self.left else None


def through_the_chain(model: FloatModel, least: float) -> None:
    data = foreign.pixels(model.input_shape, 48)
    quantized = quantize(model, data)
    assert losses(model, quantized, data)[-1].sqnr > least
    compiled = compile_network(quantized.network)
    inputs = compiled.network.from_pixels(data[:2])
    np.testing.assert_array_equal(compiled.run(inputs), compiled.reference(inputs))


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(("seed", "per_channel"), [(0, False), (1, True), (5, False), (7, True)])
@pytest.mark.filterwarnings("ignore")
def test_models_of_the_common_quantizer(
    form: str, seed: int, per_channel: bool, tmp_path: Path
) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    file = foreign.Onnx([1, *SHAPE])
    plain = file.save(tmp_path / "float.onnx", file.module(foreign.draw(seed), "x"))
    target = tmp_path / "quantized.onnx"
    quantization.quantize_static(
        str(plain), str(target), Samples(), per_channel=per_channel,
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    kinds = {node.op_type for node in onnx.load(target).graph.node}
    assert ("QLinearConv" in kinds) == (form == "QOperator")
    model = onnx_source(target).model()
    assert any(layer.scale for layer in model.layers)
    through_the_chain(model, 25)


def test_integers_that_begin_at_zero_stand_for_relu(tmp_path: Path) -> None:
    file = foreign.Onnx(["n", 2, 8, 8])
    marks = (file.constant(0.02), file.constant(0, np.uint8))
    x = file.node("Conv", "x", file.constant(weights(4, 2, 3, 3)))
    x = file.node("DequantizeLinear", file.node("QuantizeLinear", x, *marks), *marks)
    x = file.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = file.node("DequantizeLinear", file.node("QuantizeLinear", x, *marks), *marks)
    x = file.node("Conv", x, file.constant(weights(3, 4, 1, 1)))
    layers = onnx_source(file.save(tmp_path / "a.onnx", x)).model().layers
    assert [layer.activation for layer in layers] == [Activation.RELU, Activation.NONE]
    assert layers[0].scale == pytest.approx(0.02 * 255 / 127)


def integer_file(path: Path, inputs: int) -> Path:
    """One QLinearConv with as many of its nine inputs."""
    file = foreign.Onnx([1, 2, 6, 6])
    step, zero = file.constant(0.01), file.constant(0, np.int8)
    data = file.node("QuantizeLinear", "x", step, zero)
    weight = file.constant(RNG.integers(-128, 128, (3, 2, 3, 3)), np.int8)
    bias = file.constant([400, -300, 0], np.int32)
    values = [data, step, zero, weight, step, zero, step, zero, bias]
    whole = file.node("QLinearConv", *values[:inputs])
    return file.save(path, file.node("DequantizeLinear", whole, step, zero))


def test_integer_operators_keep_bias_and_refuse_what_is_missing(tmp_path: Path) -> None:
    model = onnx_source(integer_file(tmp_path / "a.onnx", 9)).model()
    np.testing.assert_allclose(model.layers[0].bias, np.array([400, -300, 0]) * 1e-4, rtol=1e-6)
    assert onnx_source(integer_file(tmp_path / "a.onnx", 8)).model().layers[0].bias is None
    for count in (4, 5):
        with pytest.raises(InputError, match="E-IMPORT-FILE"):
            onnx_source(integer_file(tmp_path / "a.onnx", count))


def test_dynamic_integer_operators_are_refused_with_advice(tmp_path: Path) -> None:
    file = foreign.Onnx([1, 8])
    node = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["a", "b", "c"], name="dynamic")
    file.nodes.append(node)
    product = file.node("MatMulInteger", "a", file.constant(np.ones((8, 4)), np.int8), "c")
    path = file.save(tmp_path / "a.onnx", file.node("Cast", product, to=1))
    with pytest.raises(RuleError) as found:
        onnx_source(path).model()
    assert "DynamicQuantizeLinear dynamic" in str(found.value)
    assert "static quantization" in str(found.value)


@pytest.mark.parametrize("opset", [11, 18])
def test_parts_of_channels_and_repeated_pixels(opset: int, tmp_path: Path) -> None:
    file = foreign.Onnx([1, *SHAPE], opset)
    stem = file.node("Relu", file.node("Conv", "x", file.constant(weights(8, 3, 3, 3)),
                                       pads=[1, 1, 1, 1]))  # fmt: skip
    marks = [file.constant(n, np.int64) for n in ([2], [8], [1])]
    late = file.node("Slice", stem, *marks)
    names = ["first", "second"]
    sizes = {"split": [6, 2]} if opset < 13 else {}
    inputs = [stem] if opset < 13 else [stem, file.constant([6, 2], np.int64)]
    file.nodes.append(onnx.helper.make_node("Split", inputs, names, name="split", axis=1, **sizes))
    x = file.node("Neg", file.node("Add", late, "first"))
    x = file.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    scales = file.constant([1, 1, 2, 2])
    x = file.node("Resize", x, file.constant(np.zeros(0)), scales,
                  coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    x = file.node("Concat", x, "second", axis=1)
    x = file.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    axes = [2, 3]
    reduced = (
        file.node("ReduceMax", x, axes=axes)
        if opset < 18
        else file.node("ReduceMax", x, file.constant(axes, np.int64))
    )
    x = file.node("Gemm", file.node("Flatten", reduced), file.constant(weights(8, 4)))
    model = onnx_source(file.save(tmp_path / "a.onnx", x)).model()
    kinds = [layer.operation for layer in model.layers]
    assert kinds.count(Operation.CONVTRANSPOSE2D) == 1 and kinds[-1] is Operation.LINEAR
    through_the_chain(model, 20)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "words"),
    [
        ("Resize", [[], [1, 1, 2, 2]], {"mode": "linear"}, "mode linear|mode nearest"),
        ("Resize", [[], [1, 1, 3, 3]], {}, "(3, 48, 48)|by 2"),
        ("Resize", [[], [1, 1, 2, 2]],
         {"coordinate_transformation_mode": "align_corners"}, "align_corners"),
        ("Slice", [[1], [5], [2]], {}, "axes [2]|axis 1"),
        ("DepthToSpace", [], {"blocksize": 1}, "DepthToSpace|repeating pixels"),
    ],
)  # fmt: skip
def test_other_parts_and_sizes_are_refused(
    op: str, inputs: list[list[float]], attributes: dict[str, object], words: str, tmp_path: Path
) -> None:
    file = foreign.Onnx([1, *SHAPE])
    kind = np.int64 if op == "Slice" else np.float32
    constants = [file.constant(values, kind) for values in inputs]
    x = file.node(op, "x", *constants, **attributes)
    x = file.node("Conv", x, file.constant(weights(2, 3, 1, 1)))
    with pytest.raises(RuleError) as found:
        onnx_source(file.save(tmp_path / "a.onnx", x)).model()
    for word in words.split("|"):
        assert word in str(found.value)


def test_steps_are_not_kept_where_biases_or_data_would_be_lost(tmp_path: Path) -> None:
    file = foreign.Onnx(["n", 2, 8, 8])
    step = file.constant(2.0**-12)
    stored = file.constant(RNG.integers(-100, 101, (4, 2, 3, 3)), np.int8)
    weight = file.node("DequantizeLinear", stored, step, file.constant(0, np.int8))
    x = file.node("Conv", "x", weight, file.constant([0.9, -0.5, 0.1, 0.0]))
    path = file.save(tmp_path / "a.onnx", x)
    through_the_chain(onnx_source(path).model(), 25)
