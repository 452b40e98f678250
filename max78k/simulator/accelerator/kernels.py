"""A layer's weights, taken out of the processors' byte streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from max78k.chip import limits
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import KernelMemory


def _positions(layer: Layer) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Byte positions (kernels, weights of a kernel) and bit positions (kernels, 1).

    The kernel counter runs in eighths of a slot; a slot of ``ks`` bytes holds 8 / bits kernels,
    the earlier ones in the lower bits, each with its last weight first.
    """
    assert layer.kernel is not None
    size = layer.kernel[0] * layer.kernel[1]
    unit = layer.kernel_start + np.arange(layer.kernels, dtype=np.intp) * layer.weight_bits
    taps = size - 1 - np.arange(size, dtype=np.intp)
    positions = (unit >> 3)[:, None] * size + layer.kernel_bytes_skipped + taps
    return positions, (unit & 7).astype(np.uint8)[:, None]


def weights(memory: KernelMemory, layer: Layer) -> NDArray[np.int8]:
    """Weights as (outputs, processors, passes, kernel rows, kernel columns).

    Positions past the end of the kernel memory wrap around; :func:`loaded` tells of them.
    """
    assert layer.kernel is not None
    positions, lanes = _positions(layer)
    stream = memory.stream[list(layer.processors)]
    raw = np.take(stream, positions, axis=1, mode="wrap")
    if layer.weight_bits < 8:
        sign = 1 << (layer.weight_bits - 1)
        raw = (raw >> lanes) & np.uint8(2 * sign - 1)
        raw = (raw ^ np.uint8(sign)) - np.uint8(sign)
    used = layer.outputs * layer.passes
    shape = (len(layer.processors), layer.outputs, layer.passes, *layer.kernel)
    values: NDArray[np.int8] = raw.view(np.int8)[:, :used].reshape(shape).swapaxes(0, 1)
    return values


def loaded(memory: KernelMemory, layer: Layer) -> NDArray[np.bool_]:
    """For every (output, processor): whether all kernel columns that it uses have been loaded."""
    positions, _ = _positions(layer)
    used = layer.outputs * layer.passes
    columns = positions[:used, (0, -1)] // limits.COLUMN_BYTES  # a kernel spans two at most
    known = memory.loaded[list(layer.processors)][:, columns % limits.KERNEL_COLUMNS]
    known &= columns < limits.KERNEL_COLUMNS
    shape = (len(layer.processors), layer.outputs, -1)
    complete: NDArray[np.bool_] = np.all(known.reshape(shape), axis=2).T
    return complete
