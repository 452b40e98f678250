"""ONNX files: what others write, and what nobody should."""

from __future__ import annotations

from pathlib import Path

import foreign_models as foreign
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from max78k.errors import InputError, Max78kError, RuleError
from max78k.imports import onnx_file
from max78k.imports.chip_layers import FloatModel
from max78k.imports.losses import losses
from max78k.imports.onnx_file import read_onnx
from max78k.imports.quantization import quantize
from max78k.imports.sources import onnx_source
from max78k.network import Operation, Pool, rules

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)


def imported(file: foreign.Onnx, folder: Path, *outputs: str) -> FloatModel:
    return onnx_source(file.save(folder / "model.onnx", *outputs)).model()


def quality(model: FloatModel) -> float:
    data = foreign.pixels(model.input_shape)
    return losses(model, quantize(model, data), data)[-1].sqnr


def test_forms_in_which_others_write_the_same(tmp_path: Path) -> None:
    file = foreign.Onnx(["batch", 2, 12, 12])
    mean, std = file.constant([[[0.1]], [[-0.2]]]), file.constant([[[[0.5]], [[0.7]]]])
    x = file.node("Div", file.node("Sub", "x", mean), std)
    x = file.node("Conv", x, file.constant(weights(6, 2, 3, 3)))
    x = file.node("Mul", x, file.constant(weights(6, 1, 1)))
    x = file.node("Clip", x, file.constant(0.0))
    x = file.node("Pad", x, file.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    x = file.node("Conv", x, file.constant(weights(6, 6, 3, 3)), auto_pad="VALID")
    x = file.node("Relu", file.node("Identity", x))
    x = file.node("ReduceMean", x, axes=[2, 3], keepdims=0)
    shape = file.node("Shape", x)
    first = file.node("Gather", shape, file.constant(0, np.int64), axis=0)
    axis = file.constant([0], np.int64)
    target = file.node("Concat", file.node("Unsqueeze", first, axis),
                       file.constant([-1], np.int64), axis=0)  # fmt: skip
    x = file.node("Reshape", x, target)
    x = file.node("Gemm", x, file.constant(weights(6, 4)), file.constant(weights(4)), beta=0.5)
    x = file.node("Softmax", x)
    model = imported(file, tmp_path, x)
    assert [layer.operation.value for layer in model.layers] == ["conv2d", "conv2d", "linear"]
    assert model.layers[1].padding == 1 and model.tail == ("softmax",)
    assert quality(model) > 25


@pytest.mark.parametrize("opset", [11, 13])
def test_sizes_that_the_model_computes_from_shapes(opset: int, tmp_path: Path) -> None:
    file = foreign.Onnx(["n", 2, 8, 8], opset)

    def unsqueeze(data: str) -> str:
        if opset < 13:
            return file.node("Unsqueeze", data, axes=[0])
        return file.node("Unsqueeze", data, file.constant([0], np.int64))

    missing = file.node("Sub", file.constant(8, np.int64), file.constant(4, np.int64))
    zeros = file.node("ConstantOfShape", unsqueeze(missing),
                      value=helper.make_tensor("zero", TensorProto.INT64, [1], [0]))  # fmt: skip
    pads = file.node("Concat", zeros, file.constant([0, 0, 1, 1], np.int64), axis=0)
    pads = file.node("Mul", pads, file.constant([1, 1, 1, 1, 1, 1, 0, 0], np.int64))
    x = file.node("Pad", "x", pads)
    x = file.node("Pad", x, file.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    x = file.node("Conv", x, file.constant(weights(4, 2, 3, 3)))
    count = file.node("Gather", file.node("Shape", x), file.constant(1, np.int64), axis=0)
    size = file.node("Mul", count, file.constant(64, np.int64))
    target = file.node("Concat", file.constant([-1], np.int64), unsqueeze(size), axis=0)
    x = file.node("Reshape", x, target)
    model = imported(file, tmp_path, file.node("Gemm", x, file.constant(weights(256, 3))))
    assert [layer.shape for layer in model.layers] == [(4, 8, 8), (3,)]


def test_channels_last_models_with_transposes(tmp_path: Path) -> None:
    file = foreign.Onnx([1, 8, 10, 2])
    x = file.node("Transpose", "x", perm=[0, 3, 1, 2])
    x = file.node("Conv", x, file.constant(weights(3, 2, 3, 3)), pads=[1, 1, 1, 1])
    x = file.node("Transpose", x, perm=[0, 2, 3, 1])
    x = file.node("Relu", x)
    x = file.node("Transpose", x, perm=[0, 3, 1, 2])
    x = file.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = file.node("Transpose", x, perm=[0, 2, 3, 1])
    x = file.node("Reshape", x, file.constant([1, 60], np.int64))
    x = file.node("MatMul", x, file.constant(weights(60, 5)))
    model = imported(file, tmp_path, x)
    assert model.input_shape == (2, 8, 10)
    assert [layer.operation for layer in model.layers][-1] is Operation.LINEAR
    assert quality(model) > 25


def test_large_batches_and_several_outputs_run(tmp_path: Path) -> None:
    file = foreign.Onnx([5, 2, 6, 6])
    x = file.node("Conv", "x", file.constant(weights(3, 2, 1, 1)), strides=[2, 2])
    y = file.node("Relu", x)
    model = imported(file, tmp_path, x, y)
    assert model.layers[0].pool == Pool("max", (1, 1), (2, 2))
    assert len(model.outputs) == 2 and len(model.layers) == 2


@pytest.mark.parametrize("weight_type", [np.int8, np.uint8])
def test_quantized_models_keep_their_steps_as_powers_of_two(
    weight_type: type, tmp_path: Path
) -> None:
    file = foreign.Onnx(["n", 2, 8, 8])
    offset = 0 if weight_type is np.int8 else 128

    def pair(data: str, scale: float, zero: int, kind: type) -> str:
        marks = (file.constant(scale), file.constant(zero, kind))
        return file.node("DequantizeLinear", file.node("QuantizeLinear", data, *marks), *marks)

    stored = RNG.integers(-100, 101, (4, 2, 3, 3)) + offset
    weight = file.node("DequantizeLinear", file.constant(stored, weight_type),
                       file.constant(0.011), file.constant(offset, weight_type))  # fmt: skip
    x = pair("x", 1 / 100, 0, np.int8)
    x = file.node("Conv", x, weight)
    x = pair(file.node("Relu", x), 0.02, 0, np.uint8)  # 0 ... 5.1 on 127 steps: 0.04
    x = file.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = file.node("Flatten", pair(x, 0.02, 0, np.uint8))
    x = file.node("Gemm", x, file.constant(weights(3, 36)), transB=1)
    data = foreign.pixels((2, 8, 8))
    model = imported(file, tmp_path, x)
    assert any("steps of 0.01" in note for note in model.notes)
    quantized = quantize(model, data)
    first = losses(model, quantized, data)[0]
    assert first.exponent == -5 and first.deviation == pytest.approx(0.02 * 255 / 127 * 32)
    assert quantized.weight_steps[model.layers[0].name] == -6  # 0.011 lies above 2**-7 by 1.41
    assert first.weight_deviation == pytest.approx(0.011 * 64)
    assert quality(model) > 25


def test_a_power_of_two_model_keeps_its_integers(tmp_path: Path) -> None:
    file = foreign.Onnx(["n", 1, 4, 4])
    stored = RNG.integers(-128, 128, (2, 1, 3, 3))
    weight = file.node("DequantizeLinear", file.constant(stored, np.int8),
                       file.constant(2.0**-7), file.constant(0, np.int8))  # fmt: skip
    model = imported(file, tmp_path, file.node("Conv", "x", weight))
    network = quantize(model, foreign.pixels((1, 4, 4))).network
    np.testing.assert_array_equal(network.layers[0].weight, stored)
    assert rules.check(network) == []


def small() -> foreign.Onnx:
    file = foreign.Onnx([1, 2, 6, 6])
    file.node("Conv", "x", file.constant(weights(3, 2, 3, 3)))
    return file


def refused(path: Path, code: str, *words: str) -> None:
    with pytest.raises(InputError) as found:
        onnx_source(path).model()
    assert found.value.code == code
    for word in words:
        assert word in str(found.value)


def test_missing_truncated_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    refused(path, "E-IMPORT-FILE", "no such file")
    whole = small().save(path, "conv0").read_bytes()
    for size in (0, 1, 20, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:size])
        refused(path, "E-IMPORT-FILE", str(path))
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    refused(path, "E-IMPORT-FILE")


def test_every_damaged_byte_is_an_error_or_a_network(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    whole = bytearray(small().save(path, "conv0").read_bytes())
    rng = np.random.default_rng(7)
    for place in rng.integers(0, len(whole), 60).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        try:
            onnx_source(path)
        except InputError as error:
            assert error.code.startswith("E-IMPORT-")


def test_huge_files_nodes_and_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small().save(tmp_path / "a.onnx", "conv0")
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 100)
    refused(path, "E-IMPORT-SIZE", "442,368 bytes")
    monkeypatch.undo()
    file = foreign.Onnx([1, 2, 6, 6])
    x = "x"
    for _ in range(onnx_file.MAX_NODES + 1):
        x = file.node("Relu", x)
    refused(file.save(path, x), "E-IMPORT-SIZE", "4,097 nodes")
    file = foreign.Onnx([1, 2, 6, 6])
    bomb = file.node("ConstantOfShape", file.constant([1, 1 << 20, 1 << 20], np.int64))
    refused(file.save(path, file.node("Add", "x", bomb)), "E-IMPORT-SIZE", "1048576")
    file = foreign.Onnx([1, 2, 1 << 14, 1 << 14])
    refused(file.save(path, file.node("Relu", "x")), "E-IMPORT-SIZE")


def test_weights_that_do_not_fit_the_data(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for count, variance, words in ((3, 1.0, "does not fit its input: "), (2, -1.0, "variance")):
        file = foreign.Onnx([1, 2, 6, 6])
        values = [file.constant(np.full(count, x)) for x in (1.0, 0.0, 0.0, variance)]
        file.save(path, file.node("BatchNormalization", "x", *values))
        with pytest.raises(Max78kError, match=rf"E-IMPORT-.*{words}"):
            onnx_source(path).model()
    file = foreign.Onnx([1, 2, 6, 6])
    x = file.node("Mul", file.node("Conv", "x", file.constant(weights(3, 2, 3, 3) * 1e30)),
                  file.constant(1e30))  # fmt: skip
    with pytest.raises(RuleError, match="E-IMPORT-WEIGHTS Conv conv0"):
        onnx_source(file.save(path, x)).model()
    refused(small().save(path), "E-IMPORT-OUTPUT", "no output")


def test_what_does_not_fit_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    file = foreign.Onnx([1, 2, 6, 6])
    x = file.node("Conv", "x", file.constant(weights(4, 2, 3, 3)), pads=[-1, -1, -1, -1])
    with pytest.raises(Max78kError, match=r"E-IMPORT-OPERATION Conv conv0.* not .*negative"):
        onnx_source(file.save(path, x)).model()
    file = foreign.Onnx([1, 2, 6, 6])
    x = file.node("Gemm", file.node("Flatten", "x"), file.constant(weights(3, 72)))  # no transB
    with pytest.raises(Max78kError, match=r"E-IMPORT-OPERATION Gemm .* (3 and 72|72 and 3)"):
        onnx_source(file.save(path, x)).model()


def test_an_opset_of_the_future_is_named(tmp_path: Path) -> None:
    file = foreign.Onnx([1, 2, 6, 6], opset=99)
    x = file.node("Conv", "x", file.constant(weights(4, 2, 3, 3)))
    source = onnx_source(file.save(tmp_path / "a.onnx", x))
    with pytest.raises(InputError, match=r"E-IMPORT-OPSET .*opset 99, .*opset_version=\d\d"):
        source.original(torch.zeros(1, 2, 6, 6))


def test_cycles_and_unknown_names(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
    ]
    file = small()
    model = file.model("conv0")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "b"
    path = tmp_path / "a.onnx"
    path.write_bytes(model.SerializeToString())
    refused(path, "E-IMPORT-FILE", "topologically sorted")
    path = small().save(path, "nowhere")
    with pytest.raises(InputError, match="E-IMPORT-"):
        onnx_source(path)


def external(path: Path, **entries: str) -> None:
    model = small().model("conv0")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def test_external_data_stay_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "a.onnx"
    values = weights(3, 2, 3, 3)
    (folder / "a.bin").write_bytes(b"1234" + values.tobytes())
    (tmp_path / "secret.bin").write_bytes(values.tobytes())
    external(path, location="a.bin", offset="4", length=str(values.nbytes))
    np.testing.assert_array_equal(read_onnx(path).constants["k0"], values)
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "", "none.bin", "."):
        external(path, location=location)
        refused(path, "E-IMPORT-EXTERNAL", repr(location))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    external(path, location="link.bin")
    refused(path, "E-IMPORT-EXTERNAL")
    for entries in ({"offset": "-1"}, {"offset": "9999"}, {"length": "99999"}, {"offset": "x"}):
        external(path, location="a.bin", **entries)
        refused(path, "E-IMPORT-EXTERNAL")


def test_an_attribute_that_points_into_a_file_is_refused(tmp_path: Path) -> None:
    file = foreign.Onnx([1, 2, 6, 6])
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    value.external_data.add(key="location", value="/etc/hostname")
    x = file.node("Add", "x", file.node("Constant", value=value))
    refused(file.save(tmp_path / "a.onnx", x), "E-IMPORT-EXTERNAL", "attribute")


@pytest.mark.parametrize(
    ("shape", "code"), [([1, 3, "h", "w"], "E-IMPORT-INPUT"), ([], "E-IMPORT-INPUT")]
)
def test_inputs_without_sizes(shape: list[int | str], code: str, tmp_path: Path) -> None:
    file = foreign.Onnx(shape)
    refused(file.save(tmp_path / "a.onnx", file.node("Relu", "x")), code)


def test_inputs_of_other_kinds_and_weights_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    model = small().model("conv0")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="E-IMPORT-"):
        onnx_source(path)
    file = foreign.Onnx([1, 2, 6, 6])
    broken = weights(3, 2, 3, 3)
    broken[0, 0, 0, 0] = np.nan
    refused(file.save(path, file.node("Conv", "x", file.constant(broken))), "E-IMPORT-NODE",
            "not finite")  # fmt: skip
    second = onnx.ModelProto()
    second.CopyFrom(small().model("conv0"))
    second.graph.input.add().CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 6, 6])
    )
    path.write_bytes(second.SerializeToString())
    refused(path, "E-IMPORT-INPUT", "2 inputs (x, y)")
