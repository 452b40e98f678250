"""When a layer reads and writes: an output must not overwrite input that is still to be read.

Time is counted in pooled input pixels, row by row: the machine reads each once, and writes an
output pixel, in all its passes, as soon as the last input pixel under its kernel has arrived.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from max78k.chip import limits
from max78k.simulator.accelerator.layer import Layer


def last_reads(layer: Layer) -> NDArray[np.intp]:
    """For each input word of a processor, from the read pointer on, when it is last read."""
    rows, columns = layer.pooled
    row = np.minimum(np.arange(layer.rows) // layer.stride, rows - 1)
    column = np.minimum(np.arange(layer.columns) // layer.stride, columns - 1)
    pixels = (row[:, None] * columns + column).reshape(-1)
    if not layer.big_data:
        return np.repeat(pixels, layer.passes * layer.operands)
    lanes = limits.PROCESSORS_PER_INSTANCE
    padded = np.pad(pixels, (0, -len(pixels) % lanes))
    latest: NDArray[np.intp] = padded.reshape(-1, lanes).max(axis=1)
    return latest


def writes(layer: Layer) -> NDArray[np.intp]:
    """For each output pixel, when it is written."""
    rows, columns = layer.pooled
    kernel = layer.kernel or (1, 1)
    spread = 2 if layer.transposed else 1
    row, column = (
        np.clip((np.arange(size) - pad + length - 1) // spread, 0, available - 1)
        for size, pad, length, available in zip(
            layer.output_size, layer.pad, kernel, (rows, columns), strict=True
        )
    )
    return (row[:, None] * columns + column).reshape(-1)
