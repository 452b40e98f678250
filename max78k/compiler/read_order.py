"""When a layer reads each word of its input and writes each word of its output.

Time is counted in pooled input pixels, row by row. The hardware reads each input word once, keeps
what it needs in its line buffers, and writes an output pixel, in all its passes, when the last
input pixel under its kernel has arrived. An output may therefore follow its input through the same
memory as long as it does not overtake it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.compiler.placed import Placed

TimeArray = npt.NDArray[np.int64]


def read_times(placed: Placed) -> TimeArray:
    """For each input word of an instance, from ``in_offset`` on, when it is last read."""
    shape = placed.geometry
    stride = shape.layer.pool.stride[0] if shape.layer.pool else 1
    row, column = (
        np.minimum(np.arange(size) // stride, pooled - 1)
        for size, pooled in zip(shape.size, shape.pooled, strict=True)
    )
    pixels = (row[:, None] * shape.pooled[1] + column).reshape(-1)
    if placed.planar:
        padded = np.pad(pixels, (0, -len(pixels) % 4))
        return np.asarray(padded.reshape(-1, 4).max(axis=1), np.int64)
    return np.repeat(pixels, shape.in_passes * shape.operands)


def write_times(placed: Placed) -> TimeArray:
    """For each output pixel, when it is written.

    A flattening layer counts as writing before it reads: whether it reads its one long pixel again
    for each output is not known, so that nothing may lie over it.
    """
    shape = placed.geometry
    if shape.flattens:
        return np.full(1, -1, np.int64)
    zoom = 2 if shape.transposed else 1
    row, column = (
        np.clip((np.arange(size) - pad + kernel - 1) // zoom, 0, available - 1)
        for size, pad, kernel, available in zip(
            shape.out_size, shape.padding, shape.kernel, shape.pooled, strict=True
        )
    )
    return np.asarray((row[:, None] * shape.pooled[1] + column).reshape(-1), np.int64)
