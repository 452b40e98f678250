"""ONNX nodes to the float graph: one small function per operation, listed in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from max78k.errors import InputError
from max78k.imports.advice import advice
from max78k.imports.float_graph import (
    FloatArray,
    Graph,
    Kind,
    Sizes,
    Window,
    plane_window,
    usable_name,
    with_ceiling,
)
from max78k.imports.onnx_channels import negative, resize, slice_of, split
from max78k.imports.onnx_file import OnnxFile, read_onnx, why_unsized
from max78k.imports.onnx_reader import Reader, attribute
from max78k.network.network import INPUT

TAIL = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}


def onnx_graph(path: Path, name: str = "") -> tuple[Graph, OnnxFile]:
    """The float graph of an ONNX file; what cannot be mapped is in its ``refusals``.

    Args:
        path: the ``.onnx`` file.
        name: name of the network; the file's, if empty.

    Raises:
        InputError: see :func:`max78k.imports.onnx_file.read_onnx`.
    """
    file = read_onnx(path)
    reader = Reader(file, name or usable_name(path.stem, (), "network"))
    for node in file.nodes:
        _read(reader, node)
    reader.finish()
    return reader.graph, file


def _read(reader: Reader, node: onnx.NodeProto) -> None:
    """Add the node of the graph that ``node`` stands for, or a refusal."""
    handler = _HANDLERS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if handler is None:
        reader.refuse(node)
        return
    if not reader.shapes_are_known(node):
        reader.refuse(node, *why_unsized(reader.file.model, node))
        return
    try:
        handler(reader, node)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        text = f"{reader.origin(node)} is malformed ({type(error).__name__}: {error})."
        raise InputError("E-IMPORT-NODE", text) from error


def _window(reader: Reader, node: onnx.NodeProto, size: Sizes) -> Window:
    """Kernel or pooling window with explicit padding."""
    axes = len(size)
    stride = tuple(attribute(node, "strides", [1] * axes))
    dilation = tuple(attribute(node, "dilations", [1] * axes))
    pads = tuple(attribute(node, "pads", [0] * 2 * axes))
    automatic = attribute(node, "auto_pad", b"NOTSET").decode()
    before, after = pads[:axes], pads[axes:]
    data, result = reader.shape(node.input[0])[1:], reader.shape(node.output[0])[1:]
    if automatic.startswith("SAME"):
        span = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
        total = [
            max((r - 1) * s + n - d, 0)
            for r, s, n, d in zip(result, stride, span, data, strict=True)
        ]
        small, large = tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
        before, after = (small, large) if automatic == "SAME_UPPER" else (large, small)
    if len({axes, len(stride), len(dilation), len(before), len(after), len(data)}) != 1:
        raise ValueError("kernel, strides, dilations and pads have different numbers of axes")
    return Window(size, stride, dilation, before, after)


def _conv(reader: Reader, node: onnx.NodeProto) -> None:
    if not all(position == 0 or not reader.is_data(node, position) for position in range(3)):
        reader.refuse(node, "its weights depend on the input", advice("matmul"))
        return
    weight = reader.weights(node, 1)
    if weight.ndim not in (3, 4):
        reader.refuse(node, f"a convolution along {weight.ndim - 2} axes", advice("conv3d"))
        return
    bias = reader.constant(node, 2)
    reader.add(
        node,
        Kind.CONV if node.op_type == "Conv" else Kind.CONVTRANSPOSE,
        weight=weight,
        bias=None if bias is None else reader.weights(node, 2),
        window=_window(reader, node, tuple(weight.shape[2:])),
        groups=int(attribute(node, "group", 1)),
        weight_scale=_given_step(reader, node.input[1]),
    )


def _given_step(reader: Reader, tensor: str) -> float | None:
    """Step of a weight tensor that a DequantizeLinear of the file has made, if it is one step."""
    for node in reader.file.model.graph.node:
        if node.op_type == "DequantizeLinear" and tensor in node.output:
            scale = reader.file.constants.get(node.input[1])
            return float(scale.ravel()[0]) if scale is not None and scale.size == 1 else None
    return None


def _gemm(reader: Reader, node: onnx.NodeProto) -> None:
    if reader.is_data(node, 1) or not reader.is_data(node, 0):
        reader.refuse(node, "a product of data with data", advice("matmul"))
        return
    if len(reader.shape(node.input[0])) != 1 or attribute(node, "transA", 0):
        text = f"a product along the last axis of {reader.shape(node.input[0])}"
        reader.refuse(node, text, "flattening before the linear layer, or a 1x1 convolution.")
        return
    matrix = reader.weights(node, 1)
    scale = attribute(node, "alpha", 1.0)
    weight = (matrix if attribute(node, "transB", 0) else matrix.T) * scale
    bias = None
    if reader.constant(node, 2) is not None:
        shift = reader.weights(node, 2) * attribute(node, "beta", 1.0)
        bias = np.broadcast_to(shift.reshape(-1), (len(weight),)).copy()
    given = _given_step(reader, node.input[1]) if scale == 1.0 else None
    reader.add(node, Kind.LINEAR, weight=weight, bias=bias, weight_scale=given)


def _batch_norm(reader: Reader, node: onnx.NodeProto) -> None:
    gamma, beta, mean, variance = (reader.weights(node, position) for position in range(1, 5))
    variance = variance + attribute(node, "epsilon", 1e-5)
    if (variance <= 0).any():
        raise ValueError("a variance is not positive")
    scale = gamma / np.sqrt(variance)
    reader.add(node, Kind.AFFINE, weight=scale, bias=beta - mean * scale)


def _relu(reader: Reader, node: onnx.NodeProto) -> None:
    reader.add(node, Kind.ACTIVATION, function="abs" if node.op_type == "Abs" else "relu")


def _clip(reader: Reader, node: onnx.NodeProto) -> None:
    low, high = _bounds(reader, node)
    if low == 0 and high > 0:
        reader.add(
            node, Kind.ACTIVATION, function="relu", limit=high if np.isfinite(high) else None
        )
    elif low == -high and high > 0:
        reader.add(node, Kind.ACTIVATION, limit=high)
    else:
        reader.refuse(node, f"clipping to {low:g}...{high:g}", "clipping from 0 up: ReLU.")


def _bounds(reader: Reader, node: onnx.NodeProto) -> tuple[float, float]:
    values = []
    for position, name, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        given = reader.constant(node, position)
        values.append(float(attribute(node, name, default) if given is None else given.item()))
    return values[0], values[1]


def _pool(reader: Reader, node: onnx.NodeProto) -> None:
    function = "max" if "Max" in node.op_type else "avg"
    if node.op_type.startswith("Global"):
        whole = reader.shape(node.input[0])[1:]
        reader.add(node, Kind.POOL, function=function, window=plane_window(whole))
        return
    window = _window(reader, node, tuple(attribute(node, "kernel_shape")))
    data, result = reader.shape(node.input[0])[1:], reader.shape(node.output[0])[1:]
    source, rounded = reader.source(node), with_ceiling(window, data, result)
    counts_zeros = function == "avg" and attribute(node, "count_include_pad", 0)
    if counts_zeros and window.padded and rounded == window:
        pads = zip(data, window.before, window.after, strict=True)
        shape = (reader.shape(node.input[0])[0], *(b + n + a for n, b, a in pads))
        ones, zeros = (1,) * len(data), (0,) * len(data)
        pad = replace(window, size=ones, stride=ones, dilation=ones)
        reader.add(node, Kind.PAD, window=pad, shape=shape)
        source, rounded = reader.names[node.output[0]], replace(window, before=zeros, after=zeros)
    reader.add(node, Kind.POOL, source, function=function, window=rounded)


def _reduce(reader: Reader, node: onnx.NodeProto) -> None:
    axes = attribute(node, "axes")
    if axes is None and reader.constant(node, 1) is not None:
        axes = reader.constant(node, 1)
    shape = reader.shape(node.input[0])
    rank = len(shape) + 1
    reduced = sorted(int(axis) % rank for axis in (axes if axes is not None else ()))
    function, word = ("avg", "mean") if node.op_type == "ReduceMean" else ("max", "maximum")
    if reduced != list(range(2, rank)):
        text, hint = f"a {word} over the axes {reduced}", f"the {word} over all rows and columns."
        reader.refuse(node, text, hint)
        return
    reader.add(node, Kind.POOL, function=function, window=plane_window(shape[1:]))
    pooled = reader.graph.nodes[reader.names[node.output[0]]]
    if len(pooled.shape) == 1:  # keepdims=0: one value per channel
        reader.graph.put(replace(pooled, shape=(shape[0], *(1,) * (rank - 2))))
        reader.add(node, Kind.RESHAPE, pooled.name)


def _arithmetic(reader: Reader, node: onnx.NodeProto) -> None:
    """Add, Sub, Mul, Div: of two data, or of data and a constant."""
    data = [position for position in range(len(node.input)) if reader.is_data(node, position)]
    if len(data) == len(node.input):
        _combination(reader, node)
        return
    if len(node.input) != 2 or not data:
        reader.refuse(node)
        return
    value = _by_channel(reader, node, 1 - data[0])
    reverse = data[0] == 1
    if value is None or (reverse and node.op_type == "Div"):
        reader.refuse(node, "a constant that is not one number per channel", "one per channel.")
        return
    one, zero = np.ones_like(value), np.zeros_like(value)
    scale, shift = {
        "Add": (one, value),
        "Sub": (-one, value) if reverse else (one, -value),
        "Mul": (value, zero),
        "Div": (one / np.where(value == 0, 1, value), zero),
    }[node.op_type]
    reader.add(node, Kind.AFFINE, reader.source(node, data[0]), weight=scale, bias=shift)


def _combination(reader: Reader, node: onnx.NodeProto) -> None:
    kinds = {"Add": Kind.ADD, "Sum": Kind.ADD, "Sub": Kind.SUB}
    kind = kinds.get(node.op_type)
    if kind is None:
        reader.refuse(node, "an operation on two data")
        return
    if any(reader.shape(name) != reader.shape(node.output[0]) for name in node.input):
        shapes = " and ".join(str(reader.shape(name)) for name in node.input)
        reader.refuse(node, f"operands of different shapes {shapes}", "operands of equal shapes.")
        return
    sources = [reader.source(node, position) for position in range(len(node.input))]
    if len(sources) == 1:
        reader.same(node)
    else:
        reader.add(node, kind, *sources)


def _by_channel(reader: Reader, node: onnx.NodeProto, position: int) -> FloatArray | None:
    """A constant operand as one number per channel; None if it is something else."""
    values = reader.weights(node, position)
    shape = reader.shape(node.output[0])
    if values.size == 1:
        return np.full(shape[0], float(values.ravel()[0]))
    full = (1,) * (len(shape) + 1 - values.ndim) + values.shape
    if full != (1, shape[0], *(1,) * (len(shape) - 1)):
        return None
    return values.reshape(-1)


def _concat(reader: Reader, node: onnx.NodeProto) -> None:
    rank = len(reader.shape(node.output[0])) + 1
    axis = int(attribute(node, "axis", 1)) % rank
    if axis != 1 or not all(reader.is_data(node, position) for position in range(len(node.input))):
        reader.refuse(
            node, f"concatenation along axis {axis}", "concatenation of channels, axis 1."
        )
        return
    sources = [reader.source(node, position) for position in range(len(node.input))]
    if len(sources) == 1:
        reader.same(node)
    else:
        reader.add(node, Kind.CONCAT, *sources)


def _reshape(reader: Reader, node: onnx.NodeProto) -> None:
    reader.add(node, Kind.RESHAPE)


def _transpose(reader: Reader, node: onnx.NodeProto) -> None:
    if reader.channels_last and node.input[0] == reader.file.input:
        reader.same(node)
        return
    rank = len(reader.shape(node.input[0])) + 1
    axes = tuple(attribute(node, "perm", list(range(rank))[::-1]))
    if axes[0] != 0:
        reader.refuse(node, f"axes are put in the order {axes}", "the batch first.")
        return
    reader.add(node, Kind.TRANSPOSE, axes=tuple(axis - 1 for axis in axes[1:]))


def _pad(reader: Reader, node: onnx.NodeProto) -> None:
    pads = attribute(node, "pads")
    if pads is None:
        pads = reader.weights(node, 1).astype(int).tolist()
    rank = len(reader.shape(node.input[0])) + 1
    value = reader.constant(node, 2)
    level = float(attribute(node, "value", 0.0) if value is None else value.item())
    before, after = tuple(pads[2:rank]), tuple(pads[rank + 2 :])
    outer = [*pads[:2], *pads[rank : rank + 2]]
    mode = attribute(node, "mode", b"constant").decode()
    if mode != "constant" or level or any(outer) or min(pads) < 0 or len(pads) != 2 * rank:
        reader.refuse(node, f"padding {pads} of mode {mode} with {level:g}", "zero padding.")
        return
    if not any(pads):
        reader.same(node)
        return
    ones = (1,) * len(before)
    reader.add(node, Kind.PAD, window=Window(ones, ones, ones, before, after))


def _tail(reader: Reader, node: onnx.NodeProto) -> None:
    if not reader.is_last(node):
        reader.refuse(node, "it is not the last operation")
        return
    reader.same(node)
    function = TAIL[node.op_type]
    reader.graph.tail.append(function)
    reader.graph.notes.append(f"{function} after the last layer is left to the processor")


def _quantize(reader: Reader, node: onnx.NodeProto) -> None:
    """QuantizeLinear: what it gives is a range; the pair's second half changes nothing.

    Integers that begin at zero stand for ReLU, which quantizers leave out before them.
    """
    scale = reader.weights(node, 1)
    zero = reader.constant(node, 2)
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    if scale.size != 1 or kind not in (np.dtype(np.int8), np.dtype(np.uint8)):
        reader.refuse(node, f"{kind} data with {scale.size} steps", "8-bit data with one step.")
        return
    offset = 0 if zero is None else int(zero.item())
    bounds = np.iinfo(kind)
    low, high = bounds.min - offset, bounds.max - offset
    step = float(scale.item()) * max(-low / 128, high / 127)
    if low == 0 and reader.source(node) != INPUT:
        reader.add(node, Kind.ACTIVATION, function="relu")
        reader.add(node, Kind.QUANTIZE, reader.names[node.output[0]], scale=step)
    else:
        reader.add(node, Kind.QUANTIZE, scale=step)


def _cast(reader: Reader, node: onnx.NodeProto) -> None:
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    if attribute(node, "to") in kinds:
        reader.same(node)
    else:
        reader.refuse(node, "conversion to integers", "floating-point data throughout.")


_HANDLERS: dict[str, Callable[[Reader, onnx.NodeProto], None]] = {
    "Conv": _conv, "ConvTranspose": _conv, "Gemm": _gemm, "MatMul": _gemm,
    "BatchNormalization": _batch_norm, "Relu": _relu, "Abs": _relu, "Clip": _clip,
    "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": _pool, "GlobalMaxPool": _pool,
    "ReduceMean": _reduce, "ReduceMax": _reduce, "Add": _arithmetic, "Sub": _arithmetic,
    "Mul": _arithmetic, "Div": _arithmetic, "Sum": _combination, "Concat": _concat,
    "Flatten": _reshape, "Reshape": _reshape, "Squeeze": _reshape, "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Pad": _pad, "Identity": Reader.same, "Dropout": Reader.same, "Cast": _cast,
    "Softmax": _tail, "LogSoftmax": _tail, "Sigmoid": _tail,
    "QuantizeLinear": _quantize, "DequantizeLinear": Reader.same,
    "Neg": negative, "Slice": slice_of, "Split": split, "Resize": resize, "Upsample": resize,
}  # fmt: skip
