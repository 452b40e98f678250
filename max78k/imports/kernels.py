"""Kernels of other sizes and paddings, set into those that the chip has."""

from __future__ import annotations

import numpy as np

from max78k.chip import limits
from max78k.imports.float_graph import FloatArray, Window


def chip_kernel(weight: FloatArray, window: Window) -> tuple[FloatArray, int]:
    """Kernel and padding that the chip has, with the same result.

    A kernel of up to 3x3 is set into one of 3x3 with zeros so that all four paddings are equal:
    1x3 with padding (0, 1), 1x1 with padding 1, 2x2 with padding after the data alone. In one
    dimension the kernel grows as far as is needed, up to 9 values.

    Args:
        weight: [out, in, rows, columns] or [out, in, length].
        window: of the convolution; its stride does not matter.

    Raises:
        ValueError: there is no such kernel.
    """
    sizes = weight.shape[2:]
    before, after = window.before, window.after
    whole = len(sizes) == 1 or sizes in limits.CONV2D_KERNELS
    reach = (sizes[0] - 1) * window.dilation[0]
    if whole and len({*before, *after}) == 1 and before[0] <= min(limits.PADDING, reach):
        return weight, before[0]
    lengths = range(sizes[0], limits.CONV1D_KERNEL + 1) if len(sizes) == 1 else (3,)
    for length in lengths if max(window.dilation) == 1 else ():
        for padding in range(limits.PADDING + 1):
            starts = [padding - n for n in before]
            rests = [length - size - start for size, start in zip(sizes, starts, strict=True)]
            if min(starts + rests) < 0 or [padding - rest for rest in rests] != list(after):
                continue
            grown = np.zeros((*weight.shape[:2], *(length,) * len(sizes)))
            inner = [slice(o, o + s) for o, s in zip(starts, sizes, strict=True)]
            at = (slice(None), slice(None), *inner)
            grown[at] = weight
            return grown, padding
    raise ValueError(f"no kernel for {sizes} with padding {before}, {after}")
