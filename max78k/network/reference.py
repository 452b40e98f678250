"""The integer reference: what the chip computes, in exact integers, layer by layer.

Products are summed with float64 matrix multiplication, which is exact here: no partial sum of 8-bit
products reaches 2**53. Everything else is integer arithmetic.

Arithmetic facts (settled by the vendor's known answers): average pooling truncates toward zero, or
rounds half away from zero when rounding is switched on; outputs round half up; clipping comes
before ReLU and Abs; |-128| becomes 127; a 32-bit output is the bare accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np
import numpy.typing as npt

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.network.network import INPUT, Activation, Eltwise, Layer, Network, Operation, Pool

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_COMBINE = {
    Eltwise.ADD: np.add,
    Eltwise.SUB: np.subtract,
    Eltwise.OR: np.bitwise_or,
    Eltwise.XOR: np.bitwise_xor,
}


def run(network: Network, inputs: npt.NDArray[np.int8]) -> dict[str, IntArray]:
    """Outputs of all layers, by name.

    Args:
        network: the network.
        inputs: int8 [N, *network.input_shape].

    Returns:
        int64 arrays [N, channels, ...]; a linear layer gives [N, channels].
    """
    if tuple(inputs.shape[1:]) != tuple(network.input_shape):
        raise InputError(
            "E-INPUT-SHAPE",
            f"network {network.name} takes {tuple(network.input_shape)}, "
            f"the input has {tuple(inputs.shape[1:])}.",
        )
    values: dict[str, IntArray] = {INPUT: inputs.astype(np.int64)}
    for layer in network.layers:
        operands = [values[name] for name in layer.inputs]
        values[layer.name] = run_layer(layer, operands, network.average_rounds)
    del values[INPUT]
    return values


def outputs(network: Network, inputs: npt.NDArray[np.int8], batch: int = 64) -> IntArray:
    """The network's output for many inputs, int64 [N, values]; several outputs are joined."""
    parts = []
    for start in range(0, len(inputs), batch):
        values = run(network, inputs[start : start + batch])
        rows = [values[name].reshape(len(values[name]), -1) for name in network.outputs]
        parts.append(np.concatenate(rows, axis=1))
    return np.concatenate(parts)


def run_layer(layer: Layer, operands: list[IntArray], average_rounds: bool = False) -> IntArray:
    """Output of one layer for its operands (int64 [N, channels, ...])."""
    if layer.eltwise is None:
        data = pool(np.concatenate(operands, axis=1), layer.pool, average_rounds)
    elif layer.pool_first:
        pooled = [pool(operand, layer.pool, average_rounds) for operand in operands]
        data = combine(layer.eltwise, pooled)
    else:
        data = pool(combine(layer.eltwise, operands), layer.pool, average_rounds)
    if layer.operation is Operation.PASSTHROUGH:
        return data
    accumulator = accumulate(layer, data)
    return accumulator if layer.output_width == 32 else finish(layer, accumulator)


def pool(data: IntArray, window: Pool | None, average_rounds: bool = False) -> IntArray:
    """Max or average pooling of [N, C, H, W] or [N, C, L]."""
    if window is None:
        return data
    squeeze = data.ndim == 3
    if squeeze:
        data = data[..., None]
    size, stride = window.size, window.stride
    windows = np.lib.stride_tricks.sliding_window_view(data, size, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1]]
    if window.kind == "max":
        result = windows.max(axis=(-2, -1))
    else:
        result = _average(windows.sum(axis=(-2, -1)), size[0] * size[1], average_rounds)
    return result[..., 0] if squeeze else result


def _average(total: IntArray, count: int, rounds: bool) -> IntArray:
    magnitude = (2 * np.abs(total) + count) // (2 * count) if rounds else np.abs(total) // count
    return np.clip(np.sign(total) * magnitude, -128, 127)


def combine(function: Eltwise, operands: list[IntArray]) -> IntArray:
    """Element-wise combination, clipped once at the end."""
    return np.clip(reduce(_COMBINE[function], operands), -128, 127)


def accumulate(layer: Layer, data: IntArray) -> IntArray:
    """Accumulator values: sum of products plus 128 * bias."""
    assert layer.weight is not None
    if layer.operation is Operation.LINEAR:
        flat = data.reshape(len(data), -1).astype(np.float64)
        total = flat @ layer.weight.T.astype(np.float64)
    elif layer.operation is Operation.CONV1D:
        spread = data.reshape(*data.shape[:2], -1, 1)
        weight = layer.weight[..., None]
        padding = ((layer.padding, layer.padding), (0, 0))
        total = _correlate(spread, weight, padding, (layer.dilation, 1))[..., 0]
    elif layer.operation is Operation.CONVTRANSPOSE2D:
        total = _transposed(layer, data)
    else:
        padding = ((layer.padding,) * 2,) * 2
        spread = data.reshape(*data.shape[:2], *(data.shape[2:] or (1, 1)))
        total = _correlate(spread, layer.weight, padding, (layer.dilation,) * 2)
    result = total.astype(np.int64)
    if layer.bias is not None:
        bias = layer.bias.astype(np.int64) * BIAS_UNIT
        result += bias.reshape(1, -1, *(1,) * (result.ndim - 2))
    return result


def _transposed(layer: Layer, data: IntArray) -> FloatArray:
    """Stride 2, output padding 1: correlate the zero-stuffed input with the flipped kernel."""
    assert layer.weight is not None
    n, channels, rows, columns = data.shape
    stuffed = np.zeros((n, channels, 2 * rows - 1, 2 * columns - 1), np.int64)
    stuffed[:, :, ::2, ::2] = data
    before = 2 - layer.padding
    weight = layer.weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    return _correlate(stuffed, weight, ((before, before + 1),) * 2, (1, 1))


def _correlate(
    data: IntArray,
    weight: npt.NDArray[np.int8],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, int],
) -> FloatArray:
    n, _, rows, columns = data.shape
    out, _, kh, kw = weight.shape
    padded = np.pad(data.astype(np.float64), ((0, 0), (0, 0), *padding))
    out_rows = rows + sum(padding[0]) - dilation[0] * (kh - 1)
    out_columns = columns + sum(padding[1]) - dilation[1] * (kw - 1)
    total = np.zeros((n, out, out_rows * out_columns))
    taps = weight.astype(np.float64)
    for i, j in _grid(kh, kw):
        top, left = i * dilation[0], j * dilation[1]
        part = padded[:, :, top : top + out_rows, left : left + out_columns]
        total += taps[:, :, i, j] @ part.reshape(n, part.shape[1], -1)
    return total.reshape(n, out, out_rows, out_columns)


def _grid(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(rows) for j in range(columns))


def finish(layer: Layer, accumulator: IntArray) -> IntArray:
    """Shift, round half up, clip to 8 bits, activate."""
    exponent = layer.output_shift + 1 - layer.weight_bits
    if exponent >= 0:
        value = accumulator << exponent
    else:
        value = (accumulator + (1 << (-exponent - 1))) >> -exponent
    value = np.clip(value, -128, 127)
    if layer.activation is Activation.RELU:
        return np.maximum(value, 0)
    if layer.activation is Activation.ABS:
        return np.minimum(np.abs(value), 127)
    return value
