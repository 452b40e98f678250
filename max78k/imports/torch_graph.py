"""torch.nn modules to the float graph, by symbolic tracing and one run on zeros."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from max78k.errors import InputError
from max78k.imports.advice import advice
from max78k.imports.float_graph import (
    FloatArray,
    Graph,
    Kind,
    Sizes,
    Window,
)
from max78k.imports.torch_channels import part, parts, shuffle
from max78k.imports.torch_pooling import adaptive, largest, mean, pool, repeat
from max78k.imports.torch_reader import Handler, Reader, Recorder, spread
from max78k.network.network import INPUT
from max78k.network.shapes import Shape


def torch_graph(model: nn.Module, input_shape: Shape, name: str) -> Graph:
    """The float graph of ``model`` in evaluation; what cannot be mapped is in its ``refusals``.

    Args:
        model: a module of one input [N, *input_shape].
        input_shape: (channels, rows, columns) or (channels, length).
        name: name of the network.

    Raises:
        InputError: E-IMPORT-TRACE where ``forward`` depends on its data, or does not run.
    """
    model = model.eval()
    try:
        traced = fx.symbolic_trace(model)
        recorder = Recorder(traced)
        with torch.no_grad():
            recorder.run(torch.zeros(1, *input_shape))
    except Exception as error:  # whatever the forward of a foreign model raises
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            "E-IMPORT-TRACE",
            f"{type(model).__name__} cannot be traced with input {input_shape} "
            f"({type(error).__name__}: {reason}).",
            "a forward without conditions on tensors, or an ONNX export of the model.",
        ) from error
    reader = Reader(traced, recorder.values, Graph(name, input_shape))
    for node in traced.graph.nodes:
        _read(reader, node)
    return reader.graph


def _read(reader: Reader, node: fx.Node) -> None:
    """Add the node of the graph that ``node`` stands for, or a refusal."""
    if node.op == "placeholder":
        if reader.names:
            raise InputError("E-IMPORT-INPUT", "the model has several inputs.", "one input.")
        reader.names[node] = INPUT
    elif node.op == "output":
        reader.outputs(node)
    elif _holds_data(reader.values[node]) and any(
        source in reader.names for source in node.all_input_nodes
    ):
        handler = _handler(reader, node)
        value = reader.values[node]
        if handler is None or (isinstance(value, Tensor) and value.shape[:1] != (1,)):
            reader.refuse(node)
        else:
            handler(reader, node)


def _holds_data(value: Any) -> bool:
    """True for a tensor, and for several of them; a size is no data."""
    parts = value if isinstance(value, (tuple, list)) else [value]
    return any(isinstance(part, Tensor) for part in parts)


def _handler(reader: Reader, node: fx.Node) -> Handler | None:
    if node.op == "call_module":
        kinds = type(reader.module(node)).__mro__
        return next((_MODULES[kind] for kind in kinds if kind in _MODULES), None)
    if node.op == "call_method":
        return _METHODS.get(str(node.target))
    return _FUNCTIONS.get(node.target)


def _array(values: Tensor) -> FloatArray:
    array = np.asarray(values.detach().double().cpu().numpy(), np.float64)
    if not np.isfinite(array).all():
        raise InputError("E-IMPORT-WEIGHTS", "the model has weights that are not finite.")
    return array


def _convolution(reader: Reader, node: fx.Node) -> None:
    module = reader.module(node)
    axes = module.weight.ndim - 2
    padding = module.padding
    if module.padding_mode != "zeros":
        reader.refuse(node, f"padding of mode {module.padding_mode}", "zero padding.")
        return
    before: Sizes
    if isinstance(padding, str):
        spans = zip(module.dilation, module.kernel_size, strict=True)
        total = [d * (k - 1) if padding == "same" else 0 for d, k in spans]
        before, after = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    else:
        before = after = spread(padding, axes)
    window = Window(
        tuple(module.kernel_size), tuple(module.stride), tuple(module.dilation), before, after
    )
    reader.add(
        node,
        Kind.CONVTRANSPOSE if module.transposed else Kind.CONV,
        weight=_array(module.weight),
        bias=None if module.bias is None else _array(module.bias),
        window=window,
        groups=int(module.groups),
    )


def _linear(reader: Reader, node: fx.Node) -> None:
    module = reader.module(node)
    shape = reader.source_shape(node)
    if len(shape) != 1:
        text = f"a product along the last axis of {shape}"
        reader.refuse(node, text, "flattening before the linear layer, or a 1x1 convolution.")
        return
    bias = None if module.bias is None else _array(module.bias)
    reader.add(node, Kind.LINEAR, weight=_array(module.weight), bias=bias)


def _batch_norm(reader: Reader, node: fx.Node) -> None:
    module = reader.module(node)
    if module.running_var is None:
        reader.refuse(node, "batch norm without running statistics", "track_running_stats=True.")
        return
    mean, variance = _array(module.running_mean), _array(module.running_var)
    scale = 1 / np.sqrt(variance + module.eps)
    if module.weight is not None:
        scale = scale * _array(module.weight)
    shift = -mean * scale + (0.0 if module.bias is None else _array(module.bias))
    reader.add(node, Kind.AFFINE, weight=scale, bias=shift)


def _activation(function: str) -> Handler:
    return lambda reader, node: _add_activation(reader, node, function)


def _add_activation(reader: Reader, node: fx.Node, function: str) -> None:
    reader.add(node, Kind.ACTIVATION, function=function)


def _clip(reader: Reader, node: fx.Node) -> None:
    if node.op == "call_module":
        low, high = float(reader.module(node).min_val), float(reader.module(node).max_val)
    elif node.target is F.relu6:
        low, high = 0.0, 6.0
    else:
        names = ("min_val", "max_val") if node.target is F.hardtanh else ("min", "max")
        ends = (-1.0, 1.0) if node.target is F.hardtanh else (-np.inf, np.inf)
        bounds = [reader.argument(node, n + 1, names[n], ends[n]) for n in range(2)]
        low, high = (float(e if b is None else b) for b, e in zip(bounds, ends, strict=True))
    if low == 0 and high > 0:
        limit = high if np.isfinite(high) else None
        reader.add(node, Kind.ACTIVATION, function="relu", limit=limit)
    elif low == -high and high > 0:
        reader.add(node, Kind.ACTIVATION, limit=high)
    else:
        reader.refuse(node, f"clipping to {low:g}...{high:g}", "clipping from 0 up: ReLU.")


def _arithmetic(reader: Reader, node: fx.Node) -> None:
    left, right = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("other")
    sub = node.target in (operator.sub, operator.isub, torch.sub, "sub", "sub_")
    if reader.argument(node, 2, "alpha", 1) != 1:
        reader.refuse(node, "a factor on the second operand", "alpha=1.")
        return
    data = [x for x in (left, right) if isinstance(x, fx.Node) and x in reader.names]
    if len(data) == 2:
        if any(reader.values[x].shape != reader.values[node].shape for x in data):
            reader.refuse(node, "operands of different shapes", "operands of equal shapes.")
            return
        sources = [reader.names[x] for x in data]
        reader.add(node, Kind.SUB if sub else Kind.ADD, *sources)
        return
    constant = reader.argument(node, 1 if data[0] is left else 0, "other")
    shift = _by_channel(reader, node, constant)
    if shift is None:
        reader.refuse(node, "a constant that is not one number per channel", "one per channel.")
        return
    one = np.ones_like(shift)
    scale = -one if sub and data[0] is right else one
    shift = -shift if sub and data[0] is left else shift
    reader.add(node, Kind.AFFINE, weight=scale, bias=shift)


def _scale(reader: Reader, node: fx.Node) -> None:
    data = [n for n, x in enumerate(node.args[:2]) if isinstance(x, fx.Node) and x in reader.names]
    divides = node.target in (operator.truediv, torch.div, "div")
    value = None
    if len(data) == 1 and not (divides and data[0] == 1):
        value = _by_channel(reader, node, reader.argument(node, 1 - data[0], "other"))
    if value is None or (divides and not value.all()):
        reader.refuse(node, "a product or quotient of data", advice("mul"))
        return
    reader.add(node, Kind.AFFINE, weight=1 / value if divides else value)


def _negative(reader: Reader, node: fx.Node) -> None:
    reader.add(node, Kind.AFFINE, weight=-np.ones(reader.shape(node)[0]))


def _by_channel(reader: Reader, node: fx.Node, constant: Any) -> FloatArray | None:
    """A constant operand as one number per channel; None if it is something else."""
    shape = reader.shape(node)
    if isinstance(constant, (int, float)):
        return np.full(shape[0], float(constant))
    if not isinstance(constant, Tensor):
        return None
    values = _array(constant)
    full = (1,) * (len(shape) + 1 - values.ndim) + values.shape
    if values.size == 1:
        return np.full(shape[0], float(values.item()))
    if full != (1, shape[0], *(1,) * (len(shape) - 1)):
        return None
    return values.reshape(-1)


def _concat(reader: Reader, node: fx.Node) -> None:
    parts: Any = node.args[0] if node.args else node.kwargs["tensors"]
    axis = reader.argument(node, 1, "dim", 0) % (len(reader.shape(node)) + 1)
    if axis != 1 or not all(part in reader.names for part in parts):
        reader.refuse(node, f"concatenation along axis {axis}", "torch.cat(..., dim=1) of data.")
        return
    sources = [reader.names[part] for part in parts]
    if len(sources) == 1:
        reader.same(node)
    else:
        reader.add(node, Kind.CONCAT, *sources)


def _reshape(reader: Reader, node: fx.Node) -> None:
    reader.add(node, Kind.RESHAPE)


def _permute(reader: Reader, node: fx.Node) -> None:
    rank = len(reader.source_shape(node)) + 1
    if node.target in (torch.transpose, "transpose"):
        axes = list(range(rank))
        first, second = (reader.argument(node, n, f"dim{n - 1}") % rank for n in (1, 2))
        axes[first], axes[second] = axes[second], axes[first]
    else:
        given = reader.argument(node, 1, "dims")
        if not isinstance(given, (tuple, list)):
            given = [reader.argument(node, n, "dims") for n in range(1, rank + 1)]
        axes = [axis % rank for axis in given]
    if axes[0] != 0:
        reader.refuse(node, f"axes are put in the order {axes}", "the batch first.")
        return
    reader.add(node, Kind.TRANSPOSE, axes=tuple(axis - 1 for axis in axes[1:]))


def _pad(reader: Reader, node: fx.Node) -> None:
    axes = len(reader.source_shape(node)) - 1
    if node.op == "call_module":
        module = reader.module(node)
        pads, mode, level = module.padding, "constant", float(getattr(module, "value", 0.0))
    else:
        pads = reader.argument(node, 1, "pad")
        mode = reader.argument(node, 2, "mode", "constant")
        level = float(reader.argument(node, 3, "value") or 0.0)
    pads = [int(n) for n in pads]
    if mode != "constant" or level or min(pads) < 0 or len(pads) > 2 * axes:
        reader.refuse(node, f"padding {pads} of mode {mode} with {level:g}", "zero padding.")
        return
    pads += [0] * (2 * axes - len(pads))
    before, after = tuple(pads[0::2])[::-1], tuple(pads[1::2])[::-1]  # the last axis is first
    ones = (1,) * axes
    reader.add(node, Kind.PAD, window=Window(ones, ones, ones, before, after))


def _tail(reader: Reader, node: fx.Node) -> None:
    users = list(node.users)
    function = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}.get(
        reader.operation(node), reader.operation(node)
    )
    if len(users) != 1 or users[0].op != "output" or len(users[0].all_input_nodes) != 1:
        reader.refuse(node, "it is not the last operation")
        return
    reader.same(node)
    reader.graph.tail.append(function)
    reader.graph.notes.append(f"{function} after the last layer is left to the processor")


_MODULES: dict[type[nn.Module], Handler] = {
    nn.Conv1d: _convolution, nn.Conv2d: _convolution, nn.ConvTranspose2d: _convolution,
    nn.Linear: _linear, nn.BatchNorm1d: _batch_norm, nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _activation("relu"), nn.Hardtanh: _clip,
    nn.MaxPool1d: pool("max"), nn.MaxPool2d: pool("max"),
    nn.AvgPool1d: pool("avg"), nn.AvgPool2d: pool("avg"),
    nn.AdaptiveAvgPool1d: adaptive("avg"), nn.AdaptiveAvgPool2d: adaptive("avg"),
    nn.AdaptiveMaxPool1d: adaptive("max"), nn.AdaptiveMaxPool2d: adaptive("max"),
    nn.Flatten: _reshape, nn.Unflatten: _reshape, nn.Identity: Reader.same,
    nn.Dropout: Reader.same, nn.Dropout1d: Reader.same, nn.Dropout2d: Reader.same,
    nn.ConstantPad1d: _pad, nn.ConstantPad2d: _pad, nn.ZeroPad1d: _pad, nn.ZeroPad2d: _pad,
    nn.Softmax: _tail, nn.LogSoftmax: _tail, nn.Sigmoid: _tail,
    nn.Upsample: repeat, nn.UpsamplingNearest2d: repeat, nn.ChannelShuffle: shuffle,
}  # fmt: skip
_FUNCTIONS: dict[Any, Handler] = {
    F.relu: _activation("relu"), torch.relu: _activation("relu"), F.relu_: _activation("relu"),
    torch.abs: _activation("abs"), operator.abs: _activation("abs"),
    F.relu6: _clip, F.hardtanh: _clip, torch.clamp: _clip, torch.clip: _clip,
    F.max_pool1d: pool("max"), F.max_pool2d: pool("max"),
    torch.max_pool1d: pool("max"), torch.max_pool2d: pool("max"),
    F.avg_pool1d: pool("avg"), F.avg_pool2d: pool("avg"),
    F.adaptive_avg_pool1d: adaptive("avg"), F.adaptive_avg_pool2d: adaptive("avg"),
    F.adaptive_max_pool1d: adaptive("max"), F.adaptive_max_pool2d: adaptive("max"),
    torch.mean: mean, torch.flatten: _reshape, torch.reshape: _reshape,
    torch.squeeze: _reshape, torch.unsqueeze: _reshape, torch.cat: _concat, torch.concat: _concat,
    operator.add: _arithmetic, operator.iadd: _arithmetic, torch.add: _arithmetic,
    operator.sub: _arithmetic, operator.isub: _arithmetic, torch.sub: _arithmetic,
    operator.mul: _scale, torch.mul: _scale, operator.truediv: _scale, torch.div: _scale,
    F.dropout: Reader.same, F.dropout2d: Reader.same, F.pad: _pad,
    torch.permute: _permute, torch.transpose: _permute,
    F.softmax: _tail, torch.softmax: _tail, F.log_softmax: _tail, torch.log_softmax: _tail,
    torch.sigmoid: _tail, F.sigmoid: _tail,
    torch.amax: largest, operator.neg: _negative, torch.neg: _negative, F.interpolate: repeat,
    operator.getitem: part, torch.chunk: parts, torch.split: parts,
}  # fmt: skip
_METHODS: dict[str, Handler] = {
    "relu": _activation("relu"), "relu_": _activation("relu"), "abs": _activation("abs"),
    "clamp": _clip, "clip": _clip, "mean": mean,
    "flatten": _reshape, "view": _reshape, "reshape": _reshape, "squeeze": _reshape,
    "unsqueeze": _reshape, "add": _arithmetic, "add_": _arithmetic, "sub": _arithmetic,
    "mul": _scale, "div": _scale, "permute": _permute, "transpose": _permute,
    "contiguous": Reader.same, "float": Reader.same,
    "softmax": _tail, "log_softmax": _tail, "sigmoid": _tail,
    "amax": largest, "neg": _negative, "chunk": parts, "split": parts,
}  # fmt: skip
