"""A layer's weights, taken out of the processors' byte streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.simulator.accelerator.arithmetic import Kernels
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import LANES, KernelMemory
from max78k.simulator.accelerator.output import Finding


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


class LayerKernels:
    """The weights of one layer in the form in which they are multiplied.

    ``exclusive_or`` is the mode in which a 1-bit weight inverts the data or leaves it alone.

    Attributes:
        kernels: of the processors whose quadrants the master listens to.
        heard: which (processors x passes) these are.
        used: (processors, passes) with any weight that data are multiplied by.
        defined: outputs that have all their kernels.
        live: those of them that are not zero altogether.
        findings: kernels that were never loaded.
    """

    def __init__(self, memory: KernelMemory, layer: Layer, exclusive_or: bool) -> None:
        values = weights(memory, layer)
        complete = loaded(memory, layer)
        self.defined: NDArray[np.bool_] = np.all(complete, axis=1)
        self.live: NDArray[np.bool_] = np.any(values, axis=(1, 2, 3, 4)) & self.defined
        self.findings = _absent(layer, complete)
        self.used: NDArray[np.bool_] = np.any(values, axis=(0, 3, 4))
        quadrant = limits.PROCESSORS_PER_QUADRANT
        heard = np.array([p // quadrant in layer.sources for p in layer.processors])
        self.heard = np.repeat(heard, layer.passes)
        chosen = values[:, heard].reshape(layer.outputs, -1, *values.shape[3:])
        if exclusive_or and layer.weight_bits == 1:
            self.used[:] = True
            self.kernels = Kernels.exclusive_or(chosen)
        else:
            self.kernels = Kernels(chosen)


def _absent(layer: Layer, complete: NDArray[np.bool_]) -> list[Finding]:
    """What the layer runs through without having been loaded.

    An output map that begins inside a word leaves up to three leading slots of each pass unused.
    The machine runs through them all the same; they need no kernels.
    """
    defined = complete.all(axis=1)
    slot = np.arange(layer.outputs) % layer.slots
    first = int(slot[defined].min()) if defined.any() else 0
    needed = slot >= (first if first < LANES else 0)
    needed[layer.surplus :] = False
    absent = np.argwhere(needed[:, None] & ~complete)
    if not len(absent):
        return []
    output, i = (int(v) for v in absent[0])
    processor = layer.processors[i]
    text = (
        f"layer {layer.number}: the kernels of output {output} in processor {processor} "
        "were never loaded or do not exist"
    )
    return [(text, addresses.kernel_memory(processor))]
