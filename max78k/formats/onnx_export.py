"""ONNX files that compute the chip's integers.

The model takes int8 ``input`` [N, *input_shape] and gives one int32 output per layer asked for,
named as the layer. Between layers the values are integers held in float32, exact below 2**24:

* a convolution is one float32 ``Conv`` while no sum of its products can reach 2**24; otherwise its
  input channels are split into groups, and the groups' sums are added in double;
* bias, shift and rounding ``floor(x + 1/2)`` are done in double, where every step is exact;
* ``Round`` is never used on ties: it rounds to even, the chip rounds half up.

Names of inner tensors contain "/", which no layer name does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from max78k import __version__
from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.files import write_bytes
from max78k.formats.onnx_evaluate import evaluate_layers, evaluate_onnx
from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool
from max78k.network.network import INPUT, to_header
from max78k.network.shapes import LayerShapes, Shape, infer

__all__ = ["build_model", "evaluate_layers", "evaluate_onnx", "export_onnx"]

OPSET = 17
IR_VERSION = 8  # the version that opset 17 came with; read by every onnxruntime >= 1.11
EXACT_FLOAT32 = 1 << 24
_DATA_LIMIT = 128  # largest magnitude of an int8 value

Array = npt.NDArray[Any]


@dataclass
class _Graph:
    """Nodes and constants of the model under construction."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    scope: str = ""

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = output or f"{self.scope}/{len(self.nodes)}_{op}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(
        self, value: Array | list[int] | float, dtype: type = np.float32, label: str = ""
    ) -> str:
        """A constant tensor; equal scalars are stored once."""
        array: Array = np.asarray(value, dtype)
        scalar = f"constant/{array.dtype}_{array}"
        name = f"{self.scope}/{label}" if label else scalar
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def cast(self, data: str, to: int, output: str = "") -> str:
        return self.node("Cast", [data], output, to=to)

    def clip(self, data: str, dtype: type, low: int = -128, high: int = 127) -> str:
        bounds = [self.constant(low, dtype), self.constant(high, dtype)]
        return self.node("Clip", [data, *bounds])


def export_onnx(network: Network, path: Path, *, layers: bool = False) -> None:
    """Write ``network`` as ONNX (opset 17), whole or not at all.

    Args:
        network: the integer network.
        path: the ``.onnx`` file.
        layers: make every layer's result a graph output, not only the network's outputs.

    Raises:
        InputError: layers do not fit together, or a layer reads a 32-bit output.
    """
    model = build_model(network, layers=layers)
    write_bytes(Path(path), model.SerializeToString())


def build_model(network: Network, *, layers: bool = False) -> onnx.ModelProto:
    """The model that :func:`export_onnx` writes, checked by the ONNX checker."""
    _refuse_buffers(network)
    shapes = infer(network)
    wide = {layer.name for layer in network.layers if layer.output_width == 32}
    graph = _Graph(scope=INPUT)
    known: dict[str, Shape] = {INPUT: tuple(network.input_shape)}
    values = {INPUT: graph.cast(INPUT, TensorProto.FLOAT)}
    outputs = []
    for layer in network.layers:
        _refuse_wide(layer, wide)
        graph.scope = layer.name
        sizes = [known[name][0] for name in layer.inputs]
        operands = _operands(graph, layer, [values[name] for name in layer.inputs], sizes)
        rank = len(layer.view or known[layer.inputs[0]][1:]) + 1
        result = _layer(graph, layer, operands, rank, shapes[layer.name], network.average_rounds)
        values[layer.name] = result
        known[layer.name] = shapes[layer.name].output
        if layers or layer.name in network.outputs:
            graph.cast(result, TensorProto.INT32, layer.name)
            dimensions: list[str | int | None] = ["N", *shapes[layer.name].output]
            info = helper.make_tensor_value_info(layer.name, TensorProto.INT32, dimensions)
            outputs.append(info)
    source = helper.make_tensor_value_info(INPUT, TensorProto.INT8, ["N", *network.input_shape])
    proto = helper.make_graph(
        graph.nodes, network.name, [source], outputs, list(graph.constants.values())
    )
    model = helper.make_model(
        proto,
        producer_name="max78k",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, _metadata(network))
    onnx.checker.check_model(model)
    return model


def _metadata(network: Network) -> dict[str, str]:
    return {
        "network": network.name,
        "outputs": json.dumps(list(network.outputs)),
        "class_names": json.dumps(list(network.class_names)),
        "input_offset": str(network.input_offset),
        "header": json.dumps(to_header(network), sort_keys=True),  # read by onnx_import
    }


def _refuse_buffers(network: Network) -> None:
    if network.buffers:
        names = ", ".join(network.buffer_names)
        raise InputError(
            "E-ONNX-BUFFER",
            f"network {network.name} keeps data between inferences ({names}); its ONNX form, the "
            "same for every input, cannot.",
            "a network on the whole window of time.",
        )


def _refuse_wide(layer: Layer, wide: set[str]) -> None:
    for source in layer.inputs:
        if source in wide:
            raise InputError(
                "E-ONNX-WIDE",
                f"layer {layer.name} reads {source}, whose output has 32 bits.",
                f"give {source} an output width of 8.",
            )


def _layer(
    graph: _Graph,
    layer: Layer,
    operands: list[str],
    rank: int,
    shapes: LayerShapes,
    rounds: bool,
) -> str:
    """Result of one layer: float32, or double for a 32-bit output."""

    def pooled(data: str) -> str:
        return data if layer.pool is None else _pool(graph, data, layer.pool, shapes.input, rounds)

    if layer.eltwise is None:
        operands = [_concatenate(graph, operands)]
    operands = [_cut(graph, layer, operand, shapes) for operand in operands]
    if layer.eltwise is None:
        data = pooled(operands[0])
    elif layer.pool_first:
        data = _combine(graph, layer.eltwise, [pooled(operand) for operand in operands])
    else:
        data = pooled(_combine(graph, layer.eltwise, operands))
    if layer.operation is Operation.PASSTHROUGH:
        return data
    total = _linear(graph, layer, data) if _is_linear(layer) else _conv(graph, layer, data, rank)
    if layer.output_width == 32:
        return _add_bias(graph, layer, total, 1.0, 0.0)
    return _finish(graph, layer, total)


def _operands(graph: _Graph, layer: Layer, sources: list[str], sizes: list[int]) -> list[str]:
    """Producers of ``sizes`` channels, cut into operands and seen in the layer's own size."""
    operands = sources
    if layer.split > 1:
        operands = [
            _slice(graph, data, 1, n * size // layer.split, (n + 1) * size // layer.split)
            for data, size in zip(sources, sizes, strict=True)
            for n in range(layer.split)
        ]
    if layer.view is None:
        return operands
    view = graph.constant([0, -1, *layer.view], np.int64, "view")
    return [graph.node("Reshape", [data, view]) for data in operands]


def _slice(graph: _Graph, data: str, axis: int, start: int, stop: int) -> str:
    bounds = [
        graph.constant([number], np.int64, f"{word}{number}")
        for word, number in (("start", start), ("stop", stop), ("axis", axis))
    ]
    return graph.node("Slice", [data, *bounds])


def _cut(graph: _Graph, layer: Layer, data: str, shapes: LayerShapes) -> str:
    """The part of an operand, or of the parts joined, that the layer reads."""
    cut = layer.cut
    if cut is not None and cut.of_channels:
        data = _slice(graph, data, 1, cut.channel, cut.channel + shapes.input[0])
    if cut is not None and (cut.top or cut.bottom):
        data = _slice(graph, data, 2, cut.top, cut.top + shapes.input[1])
    return data


def _is_linear(layer: Layer) -> bool:
    return layer.operation is Operation.LINEAR


def _concatenate(graph: _Graph, operands: list[str]) -> str:
    return operands[0] if len(operands) == 1 else graph.node("Concat", operands, axis=1)


def _pool(graph: _Graph, data: str, pool: Pool, shape: Shape, rounds: bool) -> str:
    axes = len(shape) - 1
    size, stride = list(pool.size[:axes]), list(pool.stride[:axes])
    if pool.kind == "max":
        return graph.node("MaxPool", [data], kernel_shape=size, strides=stride)
    # The exact window sum is a grouped convolution with ones: at most 256 values of 8 bits.
    ones = graph.constant(np.ones((shape[0], 1, *size)), label="ones")
    total = graph.node("Conv", [data, ones], strides=stride, group=shape[0])
    count = int(np.prod(size))
    magnitude = graph.node("Abs", [total])
    divisor = count
    if rounds:  # half away from zero: (2 |total| + count) / (2 count)
        double = graph.node("Mul", [magnitude, graph.constant(2)])
        magnitude = graph.node("Add", [double, graph.constant(count)])
        divisor = 2 * count
    quotient = graph.node("Div", [magnitude, graph.constant(divisor)])
    whole = graph.node("Floor", [quotient])
    signed = graph.node("Mul", [graph.node("Sign", [total]), whole])
    return graph.clip(signed, np.float32)


def _combine(graph: _Graph, function: Eltwise, operands: list[str]) -> str:
    result = operands[0]
    for operand in operands[1:]:
        if function in (Eltwise.OR, Eltwise.XOR):
            result = _bitwise(graph, "Or" if function is Eltwise.OR else "Xor", result, operand)
        else:
            result = graph.node("Add" if function is Eltwise.ADD else "Sub", [result, operand])
    return graph.clip(result, np.float32)


def _bitwise(graph: _Graph, op: str, left: str, right: str) -> str:
    """Bit by bit along a new last axis: opset 17 has no integer Or and Xor."""
    last = graph.constant(np.array([-1]), np.int64, "last_axis")
    powers = graph.constant(2.0 ** np.arange(8), label="powers")
    weights = graph.constant(np.array([1, 2, 4, 8, 16, 32, 64, -128]), label="bit_weights")

    def bits(data: str) -> str:
        scaled = graph.node("Div", [graph.node("Unsqueeze", [data, last]), powers])
        odd = graph.node("Mod", [graph.node("Floor", [scaled]), graph.constant(2)], fmod=1)
        return graph.cast(odd, TensorProto.BOOL)

    result = graph.cast(graph.node(op, [bits(left), bits(right)]), TensorProto.FLOAT)
    weighted = graph.node("Mul", [result, weights])
    return graph.node("ReduceSum", [weighted, last], keepdims=0)


def _linear(graph: _Graph, layer: Layer, data: str) -> str:
    """Sum of products of a linear layer, in double."""
    assert layer.weight is not None
    flat = graph.node("Flatten", [data], axis=1)
    if _largest_sum(layer.weight) < EXACT_FLOAT32:
        weight = graph.constant(layer.weight.T, np.float32, "weight")
        return graph.cast(graph.node("MatMul", [flat, weight]), TensorProto.DOUBLE)
    weight = graph.constant(layer.weight.T, np.float64, "weight")
    return graph.node("MatMul", [graph.cast(flat, TensorProto.DOUBLE), weight])


def _conv(graph: _Graph, layer: Layer, data: str, rank: int) -> str:
    """Sum of products of a convolution, in double; ``rank`` counts the axes of the data read."""
    assert layer.weight is not None
    transposed = layer.operation is Operation.CONVTRANSPOSE2D
    axes = layer.weight.ndim - 2
    if rank == 1:  # a linear layer's output counts as one pixel
        last = graph.constant(np.arange(2, 2 + axes), np.int64, "pixel_axes")
        data = graph.node("Unsqueeze", [data, last])
    op = "ConvTranspose" if transposed else "Conv"
    attributes: dict[str, Any] = {"pads": [layer.padding] * 2 * axes}
    if transposed:
        attributes.update(strides=[2, 2], output_padding=[1, 1])
    else:
        attributes.update(dilations=[layer.dilation] * axes)
    parts = _split(layer.weight, 0 if transposed else 1)
    sums = []
    start = 0
    for index, part in enumerate(parts):
        channels = part.shape[0 if transposed else 1]
        piece = data
        if len(parts) > 1:
            piece = _channels(graph, data, start, start + channels)
        weight = graph.constant(part, label=f"weight{index}")
        total = graph.node(op, [piece, weight], **attributes)
        sums.append(graph.cast(total, TensorProto.DOUBLE))
        start += channels
    result = sums[0]
    for term in sums[1:]:
        result = graph.node("Add", [result, term])
    return result


def _channels(graph: _Graph, data: str, start: int, stop: int) -> str:
    bounds = [
        graph.constant(np.array([value]), np.int64, f"{name}_{value}")
        for name, value in (("from", start), ("to", stop), ("axis", 1))
    ]
    return graph.node("Slice", [data, *bounds])


def _split(weight: npt.NDArray[np.int8], axis: int) -> list[npt.NDArray[np.int8]]:
    """Parts of ``weight`` along its input channels, each with sums below 2**24."""
    for count in range(1, weight.shape[axis] + 1):
        parts = np.array_split(weight, count, axis)
        if all(_largest_sum(part, 1 - axis) < EXACT_FLOAT32 for part in parts):
            return parts
    raise AssertionError("one input channel of at most 9 products is always exact")


def _largest_sum(weight: npt.NDArray[np.int8], out_axis: int = 0) -> int:
    """Bound of every partial sum of products of one output."""
    others = tuple(axis for axis in range(weight.ndim) if axis != out_axis)
    return int(np.abs(weight.astype(np.int64)).sum(axis=others).max()) * _DATA_LIMIT


def _add_bias(graph: _Graph, layer: Layer, total: str, scale: float, more: float) -> str:
    """``total + 128 * bias * scale + more`` in double."""
    if layer.bias is None:
        return graph.node("Add", [total, graph.constant(more, np.float64)]) if more else total
    axes = (1,) * (layer.weight.ndim - 2 if layer.weight is not None else 0)
    values = layer.bias.astype(np.float64).reshape(-1, *axes) * BIAS_UNIT * scale + more
    return graph.node("Add", [total, graph.constant(values, np.float64, "bias")])


def _finish(graph: _Graph, layer: Layer, total: str) -> str:
    """Shift, round half up, clip to 8 bits, activate; float32."""
    scale = 2.0 ** (layer.output_shift + 1 - layer.weight_bits)
    scaled = graph.node("Mul", [total, graph.constant(scale, np.float64)])
    floor = graph.node("Floor", [_add_bias(graph, layer, scaled, scale, 0.5)])
    result = graph.cast(graph.clip(floor, np.float64), TensorProto.FLOAT)
    if layer.activation is Activation.RELU:
        return graph.node("Relu", [result])
    if layer.activation is Activation.ABS:
        return graph.clip(graph.node("Abs", [result]), np.float32)
    return result
