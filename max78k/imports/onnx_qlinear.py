"""Integer operators of ONNX (QLinearConv and its kin) as dequantize, operate, quantize.

What is left is the form with QuantizeLinear and DequantizeLinear, which is read like any other. An
integer operator names a step and a zero point for each of its data, and computes what the three
would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

_VENDOR = "com.microsoft"
Operands = list[tuple[int, int, int]]  # positions of data, step, zero point


@dataclass(frozen=True)
class _Form:
    """An integer operator: what it becomes, where its operands are, where the output's step is."""

    operation: str
    operands: Callable[[onnx.NodeProto], Operands]
    output: Callable[[onnx.NodeProto], int]
    bias: int | None = None  # int32, in steps of input times weight
    left_out: tuple[str, ...] = ()  # attributes that the float operator does not have


def _pairs(*positions: int) -> Callable[[onnx.NodeProto], Operands]:
    return lambda node: [(n, n + 1, n + 2) for n in positions]


def _rest(node: onnx.NodeProto) -> Operands:
    return [(n, n + 1, n + 2) for n in range(2, len(node.input), 3)]


_FORMS = {
    "QLinearConv": _Form("Conv", _pairs(0, 3), lambda node: 6, bias=8),
    "QLinearMatMul": _Form("MatMul", _pairs(0, 3), lambda node: 6),
    "QGemm": _Form("Gemm", _pairs(0, 3), lambda node: 7, bias=6),
    "QLinearAdd": _Form("Add", _pairs(0, 3), lambda node: 6),
    "QLinearConcat": _Form("Concat", _rest, lambda node: 0),
    "QLinearAveragePool": _Form(
        "AveragePool", _pairs(0), lambda node: 3, left_out=("channels_last",)
    ),
    "QLinearGlobalAveragePool": _Form(
        "GlobalAveragePool", _pairs(0), lambda node: 3, left_out=("channels_last",)
    ),
}


def without_integer_operators(model: onnx.ModelProto) -> None:
    """Replace the integer operators of ``model`` in place; others stay as they are.

    Raises ValueError or IndexError for operators whose inputs are not as their definition says.
    """
    if not any(node.op_type in _FORMS for node in model.graph.node):
        return
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        form = _FORMS.get(node.op_type)
        known = form is not None and node.domain in ("", "ai.onnx", _VENDOR)
        if form is None or not known or _channels_last(node):
            nodes.append(node)
        else:
            nodes += _expanded(model, constants, node, form)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _channels_last(node: onnx.NodeProto) -> bool:
    return any(entry.name == "channels_last" and entry.i for entry in node.attribute)


def _expanded(
    model: onnx.ModelProto,
    constants: dict[str, onnx.TensorProto],
    node: onnx.NodeProto,
    form: _Form,
) -> list[onnx.NodeProto]:
    stem = node.name or node.output[0]
    added: list[onnx.NodeProto] = []
    inputs = []
    for data, step, zero in form.operands(node):
        name = f"{stem}/{data}"
        if node.input[data] in constants:
            model.graph.initializer.append(_real(constants, node, (data, step, zero), name))
        else:
            parts = [node.input[n] for n in (data, step, zero)]
            added.append(helper.make_node("DequantizeLinear", parts, [name], name=name))
        inputs.append(name)
    if form.bias is not None and len(node.input) > form.bias and node.input[form.bias]:
        step_of_input, step_of_weight = (_values(constants, node.input[n]) for n in (1, 4))
        whole = _values(constants, node.input[form.bias])
        bias = np.asarray(whole * step_of_input * step_of_weight, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(bias, f"{stem}/bias"))
        inputs.append(f"{stem}/bias")
    operated = helper.make_node(form.operation, inputs, [f"{stem}/real"], name=stem)
    operated.attribute.extend(x for x in node.attribute if x.name not in form.left_out)
    first = form.output(node)
    added.append(operated)
    ends = [f"{stem}/real", *node.input[first : first + 2]]
    if len(ends) > 1:
        name = f"{stem}/quantize"
        added.append(helper.make_node("QuantizeLinear", ends, [node.output[0]], name=name))
    else:
        operated.output[0] = node.output[0]  # an output that is left in real numbers
    return added


def _real(
    constants: dict[str, onnx.TensorProto],
    node: onnx.NodeProto,
    places: tuple[int, int, int],
    name: str,
) -> onnx.TensorProto:
    """Constant integers as real numbers; several steps count along the output channels."""
    whole, step, zero = (_values(constants, node.input[n]) for n in places)
    last = node.op_type in ("QLinearMatMul", "QGemm") and not _transposed(node)
    axes = [1] * whole.ndim
    if step.size > 1:
        axes[-1 if last else 0] = step.size
        step, zero = step.reshape(axes), zero.reshape(axes) if zero.size > 1 else zero
    return numpy_helper.from_array(np.asarray((whole - zero) * step, np.float32), name)


def _transposed(node: onnx.NodeProto) -> bool:
    return any(entry.name == "transB" and entry.i for entry in node.attribute)


def _values(constants: dict[str, onnx.TensorProto], name: str) -> np.ndarray:
    if name not in constants:
        raise ValueError(f"{name or 'an input'} of an integer operator is not constant")
    return np.asarray(numpy_helper.to_array(constants[name]), np.float64)
