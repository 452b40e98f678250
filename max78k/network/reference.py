"""The integer reference: what the chip computes, in exact integers, layer by layer.

Products are summed by matrix multiplication in float32 where no partial sum can reach 2**24, else
in float64, where none reaches 2**53: both are exact in any order of summation. Everything else is
integer arithmetic.

Arithmetic facts (settled by the vendor's known answers): average pooling truncates toward zero, or
rounds half away from zero when rounding is switched on; outputs round half up; clipping comes
before ReLU and Abs; |-128| becomes 127; a 32-bit output is the bare accumulator.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.network.network import INPUT, Activation, Eltwise, Layer, Network, Operation, Pool

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
Kept = TypeVar("Kept")

_BATCH = 16

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
        int64 arrays [N, channels, ...]; a linear layer gives [N, channels]. Where the network has
        buffers, the inputs are N inferences one after another, the first one on zeros.
    """
    if tuple(inputs.shape[1:]) != tuple(network.input_shape):
        raise InputError(
            "E-INPUT-SHAPE",
            f"network {network.name} takes {tuple(network.input_shape)}, "
            f"the input has {tuple(inputs.shape[1:])}.",
        )
    if not network.buffers:
        return _infer(network, inputs.astype(np.int64), {})
    held = {buffer.name: np.zeros((1, *buffer.shape), np.int64) for buffer in network.buffers}
    parts = [_infer(network, one[None].astype(np.int64), held) for one in inputs]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _infer(network: Network, inputs: IntArray, held: dict[str, IntArray]) -> dict[str, IntArray]:
    """Outputs of all layers; ``held`` is what the buffers hold, and is changed."""
    values: dict[str, IntArray] = {INPUT: inputs}
    for layer in network.layers:
        operands = [values[name] if name in values else held[name] for name in layer.inputs]
        output = run_layer(layer, operands, network.average_rounds)
        values[layer.name] = output
        if layer.buffer is not None:
            whole = held[layer.buffer].copy()  # a reader before may have kept a view
            rows = (*output.shape, 1)[2]
            window = whole[:, :, layer.buffer_row : layer.buffer_row + rows]
            window[...] = output.reshape(window.shape)
            held[layer.buffer] = whole
    del values[INPUT]
    return values


def outputs(network: Network, inputs: npt.NDArray[np.int8]) -> IntArray:
    """The network's output for many inputs, int64 [N, values]; several outputs are joined."""

    def joined(values: dict[str, IntArray]) -> IntArray:
        rows = [values[name].reshape(len(values[name]), -1) for name in network.outputs]
        return np.concatenate(rows, axis=1)

    return np.concatenate(_in_batches(network, inputs, joined))


def layers(network: Network, inputs: npt.NDArray[np.int8]) -> dict[str, IntArray]:
    """As :func:`run`, for more inputs than one batch."""
    parts = _in_batches(network, inputs, lambda values: values)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_batches(
    network: Network,
    inputs: npt.NDArray[np.int8],
    keep: Callable[[dict[str, IntArray]], Kept],
) -> list[Kept]:
    """What ``keep`` makes of each batch's layers.

    Batches run on all processors, each with one thread for its matrix products: these are too small
    to be shared out, and BLAS threads that wait for each other took ten times as long.
    """
    if network.buffers:  # one after another
        return [keep(run(network, inputs))]
    starts = range(0, len(inputs), _BATCH)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(lambda n: keep(run(network, inputs[n : n + _BATCH])), starts))


def run_layer(layer: Layer, operands: list[IntArray], average_rounds: bool = False) -> IntArray:
    """Output of one layer for its operands (int64 [N, channels, ...])."""
    data = stages(layer, operands, average_rounds).data
    if layer.operation is Operation.PASSTHROUGH:
        return data
    accumulator = accumulate(layer, data)
    return accumulator if layer.output_width == 32 else finish(layer, accumulator)


@dataclass(frozen=True, eq=False)
class Stages:
    """Values inside a layer, in front of its operation.

    Attributes:
        operands: as read; without an element-wise operation one, joined along the channels.
        pooled: after pooling; where pooling follows the combination, its one result.
        combined: result of the element-wise operation; None without one.
        data: what the operation gets.
    """

    operands: list[IntArray]
    pooled: list[IntArray]
    combined: IntArray | None
    data: IntArray


def stages(layer: Layer, sources: list[IntArray], average_rounds: bool = False) -> Stages:
    """What a layer makes of its producers' outputs before it convolves."""
    parts = _parts(layer, sources)
    if layer.eltwise is None:
        joined = _cut(layer, np.concatenate(parts, axis=1))
        data = pool(joined, layer.pool, average_rounds)
        return Stages([joined], [data], None, data)
    parts = [_cut(layer, part) for part in parts]
    if layer.pool_first:
        pooled = [pool(part, layer.pool, average_rounds) for part in parts]
        combined = combine(layer.eltwise, pooled)
        return Stages(parts, pooled, combined, combined)
    combined = combine(layer.eltwise, parts)
    data = pool(combined, layer.pool, average_rounds)
    return Stages(parts, [data], combined, data)


def _parts(layer: Layer, sources: list[IntArray]) -> list[IntArray]:
    """What the layer makes of its producers: cut along the channels, seen in another size."""
    parts = [part for source in sources for part in np.split(source, layer.split, axis=1)]
    if layer.view is None:
        return parts
    return [part.reshape(*part.shape[:2], *layer.view) for part in parts]


def _cut(layer: Layer, data: IntArray) -> IntArray:
    """The part of the data that the layer reads."""
    cut = layer.cut
    if cut is None:
        return data
    stop = None if cut.channels is None else cut.channel + cut.channels
    data = data[:, cut.channel : stop]
    return data[:, :, cut.top : data.shape[2] - cut.bottom] if data.ndim > 2 else data


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
    result: IntArray
    if window.kind == "max":
        result = windows.max(axis=(-2, -1))
    else:
        result = _average(windows.sum(axis=(-2, -1)), size[0] * size[1], average_rounds)
    return result[..., 0] if squeeze else result


def _average(total: IntArray, count: int, rounds: bool) -> IntArray:
    magnitude = (2 * np.abs(total) + count) // (2 * count) if rounds else np.abs(total) // count
    average: IntArray = np.clip(np.sign(total) * magnitude, -128, 127)
    return average


def combine(function: Eltwise, operands: list[IntArray]) -> IntArray:
    """Element-wise combination, clipped once at the end."""
    combined: IntArray = np.clip(reduce(_COMBINE[function], operands), -128, 127)
    return combined


def accumulate(layer: Layer, data: IntArray) -> IntArray:
    """Accumulator values: sum of products plus 128 * bias."""
    assert layer.weight is not None
    if layer.operation is Operation.LINEAR:
        number = _exact_type(layer.weight)
        total = data.reshape(len(data), -1).astype(number) @ layer.weight.T.astype(number)
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
    result: IntArray = total.astype(np.int64)
    if layer.bias is not None:
        bias = layer.bias.astype(np.int64) * BIAS_UNIT
        result += bias.reshape(1, -1, *(1,) * (result.ndim - 2))
    return result


def _transposed(layer: Layer, data: IntArray) -> FloatArray:
    """Stride 2, output padding 1: correlate the zero-stuffed input with the flipped kernel."""
    assert layer.weight is not None
    n, channels, rows, columns = (*data.shape, 1, 1)[:4]
    stuffed = np.zeros((n, channels, 2 * rows - 1, 2 * columns - 1), np.int64)
    stuffed[:, :, ::2, ::2] = data.reshape(n, channels, rows, columns)
    before = 2 - layer.padding
    weight = layer.weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    return _correlate(stuffed, weight, ((before, before + 1),) * 2, (1, 1))


def _correlate(
    data: IntArray,
    weight: npt.NDArray[np.int8],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, int],
) -> FloatArray:
    """Correlation [N, M, H', W'] as one matrix product for each sample."""
    n = len(data)
    out, channels, kh, kw = weight.shape
    number = _exact_type(weight)
    padded = np.pad(data.astype(number), ((0, 0), (0, 0), *padding))
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, (kh, kw), strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    windows = windows[..., :: dilation[0], :: dilation[1]]
    rows, columns = windows.shape[2:4]
    patches = windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, channels * kh * kw, rows * columns)
    total: FloatArray = weight.reshape(out, -1).astype(number) @ patches
    return total.reshape(n, out, rows, columns)


def _exact_type(weight: npt.NDArray[np.int8]) -> type[np.float32] | type[np.float64]:
    """float32 where no partial sum of 8-bit products can reach 2**24, else float64."""
    bound = 128 * np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1).max()
    return np.float32 if bound < 1 << 24 else np.float64


def finish(layer: Layer, accumulator: IntArray) -> IntArray:
    """Shift, round half up, clip to 8 bits, activate."""
    exponent = layer.output_shift + 1 - layer.weight_bits
    value: IntArray
    if exponent >= 0:
        value = accumulator << exponent
    else:
        value = (accumulator + (1 << (-exponent - 1))) >> -exponent
    value = np.clip(value, -128, 127)
    if layer.activation is Activation.RELU:
        value = np.maximum(value, 0)
    elif layer.activation is Activation.ABS:
        value = np.minimum(np.abs(value), 127)
    return value
