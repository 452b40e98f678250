"""Kernel memory: packing weights into 72-bit columns.

A processor's kernels form a byte stream that fills columns from the layer's first column upward,
least significant byte first. Weights enter last tap first; kernels narrower than 8 bits share
bytes, the earlier kernel in the lower bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.image import KernelBlock
from max78k.compiler.placed import Placed
from max78k.network.geometry import Geometry
from max78k.network.network import Operation

Int8Array = npt.NDArray[np.int8]
ByteArray = npt.NDArray[np.uint8]


def hardware_weight(shape: Geometry) -> Int8Array:
    """Weights as correlation kernels, int8 [outputs, channels, taps] (flattening: taps = pixels).

    A transposed convolution is a correlation with the turned kernel; a dilated 1-D kernel has
    zeros between its taps, or is the middle column of a 3x3 one (of two taps: its lower rows). A
    widened 1x1 kernel is the middle of a 3x3 one.
    """
    layer = shape.layer
    weight = layer.weight
    assert weight is not None
    if layer.operation is Operation.CONVTRANSPOSE2D:
        weight = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    elif shape.widened:
        weight = np.pad(weight, ((0, 0), (0, 0), (1, 1), (1, 1)))
    elif shape.folded:
        above = limits.FOLDED_KERNEL - weight.shape[2]
        weight = np.pad(weight[..., None], ((0, 0), (0, 0), (above, 0), (1, 1)))
    elif layer.operation is Operation.CONV1D and layer.dilation > 1:
        spread = np.zeros((*weight.shape[:2], shape.taps), np.int8)
        spread[..., :: layer.dilation] = weight
        weight = spread
    return weight.reshape(shape.outputs, shape.channels, -1)


def kernel_list(placed: Placed) -> Int8Array:
    """Kernels in the order of the hardware's counter, int8 [processors, kernels, taps].

    The order is output pass, output slot, input pass; a flattening layer goes through output
    channel, pixel, input pass. Absent channels and unused slots have zero kernels.
    """
    shape = placed.geometry
    weight = hardware_weight(shape)
    in_passes, count = shape.in_passes, shape.in_processors
    whole = np.zeros((shape.outputs, in_passes * count, weight.shape[2]), np.int8)
    whole[:, : shape.channels] = weight
    padded = whole.reshape(shape.outputs, in_passes, count, -1)
    if shape.flattens:
        kernels = padded.transpose(2, 0, 3, 1).reshape(count, -1, 1)
        empty = placed.kernel_count - kernels.shape[1]
        return np.pad(kernels, ((0, 0), (empty, 0), (0, 0)))
    first = bits.lowest(placed.output_processors) - placed.lead
    slot_of = [p - first for p in bits.members(placed.output_processors)]
    slots = np.zeros((shape.out_passes, placed.slots, *padded.shape[1:]), np.int8)
    for channel in range(shape.outputs):
        out_pass, ordinal = divmod(channel, shape.out_processors)
        slots[out_pass, slot_of[ordinal]] = padded[channel]
    ordered: Int8Array = slots.transpose(3, 0, 1, 2, 4)
    return ordered.reshape(count, -1, shape.taps)


def pack(kernels: Int8Array, weight_bits: int) -> ByteArray:
    """Columns of a kernel list: uint8 [processors, columns, 9], bytes B0 (high) to B8 (low)."""
    count, length, taps = kernels.shape
    per_group = 8 // weight_bits
    groups = -(-length // per_group)
    raw = np.zeros((count, groups * per_group, taps), np.uint8)
    raw[:, :length] = kernels.view(np.uint8) & ((1 << weight_bits) - 1)
    raw = raw.reshape(count, groups, per_group, taps)[..., ::-1]
    shifts = (np.arange(per_group, dtype=np.uint8) * weight_bits)[:, None]
    stream = np.bitwise_or.reduce(raw << shifts, axis=2).reshape(count, groups * taps)
    columns = column_count(length, taps, weight_bits)
    padded = np.zeros((count, columns * limits.COLUMN_BYTES), np.uint8)
    padded[:, : stream.shape[1]] = stream
    result: ByteArray = padded.reshape(count, columns, limits.COLUMN_BYTES)[..., ::-1]
    return np.ascontiguousarray(result)


def column_count(kernels: int, taps: int, weight_bits: int) -> int:
    """72-bit columns that ``kernels`` kernels take in each processor."""
    groups = -(-kernels // (8 // weight_bits))
    return -(-groups * taps // limits.COLUMN_BYTES)


def layer_columns(placed: Placed) -> int:
    """Columns that a layer takes in each of its processors; 0 without kernels."""
    shape = placed.geometry
    return column_count(placed.kernel_count, shape.taps, placed.layer.weight_bits)


def content_column(placed: Placed) -> int:
    """First column that holds a kernel of some channel: before it are empty leading slots."""
    shape = placed.geometry
    empty = placed.lead * shape.out_passes * shape.steps * shape.taps * placed.layer.weight_bits
    return placed.kernel_column + empty // (8 * limits.COLUMN_BYTES)


def kernel_blocks(placed: Placed) -> list[KernelBlock]:
    """Kernel memory contents of one layer, one block per processor."""
    if not placed.geometry.convolves:
        return []
    columns = pack(kernel_list(placed), placed.layer.weight_bits)
    processors = bits.members(placed.processors)
    return [
        KernelBlock(processor, placed.kernel_column, columns[n])
        for n, processor in enumerate(processors)
    ]
