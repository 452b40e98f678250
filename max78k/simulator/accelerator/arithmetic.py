"""The accelerator's integer arithmetic, stage by stage, on arrays of (channels, rows, columns)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Sums = NDArray[np.signedinteger[Any]]  # 64 bits wide where 32 might not hold them

LOWEST, HIGHEST = -128, 127
_SUBTRACT, _ADD, _OR = 0, 1, 2
_FLOAT32_EXACT = 1 << 24
_CHUNK = 1 << 12  # pixels of one matrix product; bounds the memory of the unrolled input


def _clip(x: NDArray[np.signedinteger]) -> Int8:
    clipped = np.minimum(x, x.dtype.type(HIGHEST))
    np.maximum(clipped, x.dtype.type(LOWEST), out=clipped)
    narrow: Int8 = clipped.astype(np.int8)
    return narrow


def _windows(
    x: NDArray[np.signedinteger], window: tuple[int, int], stride: int
) -> Iterator[NDArray[np.signedinteger]]:
    rows = (x.shape[-2] + stride - window[0]) // stride
    columns = (x.shape[-1] + stride - window[1]) // stride
    for r in range(window[0]):
        for c in range(window[1]):
            yield x[
                ...,
                r : r + (rows - 1) * stride + 1 : stride,
                c : c + (columns - 1) * stride + 1 : stride,
            ]


def max_pool(x: Int8, window: tuple[int, int], stride: int) -> Int8:
    """Signed maximum of every window over the last two axes; a 1x1 window only decimates."""
    parts = _windows(x, window, stride)
    result: Int8 = next(parts).astype(np.int8)
    for part in parts:
        np.maximum(result, part, out=result)
    return result


def average_pool(x: Int8, window: tuple[int, int], stride: int, rounding: bool) -> Int8:
    """Mean of every window: truncated toward zero, or rounded half away from zero."""
    parts = _windows(x, window, stride)
    total: Int32 = next(parts).astype(np.int32)
    for part in parts:
        total += part
    count = window[0] * window[1]
    size = np.abs(total)
    size = (2 * size + count) // (2 * count) if rounding else size // count
    return _clip(np.sign(total) * size)


def elementwise(x: Int8, function: int) -> Int8:
    """Combine operands along axis 0, in order; sums are clipped once, at the end.

    ``function`` is the register's code: 0 subtract, 1 add, 2 or, 3 exclusive or.
    """
    if function == _OR:
        joined: Int8 = np.bitwise_or.reduce(x, axis=0)
        return joined
    if function not in (_SUBTRACT, _ADD):
        joined = np.bitwise_xor.reduce(x, axis=0)
        return joined
    wide = x.astype(np.int32)
    rest = wide[1:].sum(axis=0)
    total = wide[0] + rest if function == _ADD else wide[0] - rest
    return _clip(total)


def zero_stuff(x: Int8) -> Int8:
    """Pixels of a transposed convolution's input moved apart: a zero between neighbours."""
    channels, rows, columns = x.shape
    result = np.zeros((channels, 2 * rows - 1, 2 * columns - 1), np.int8)
    result[:, ::2, ::2] = x
    return result


class Kernels:
    """Weights (outputs, channels, kernel rows, kernel columns), ready to be multiplied.

    Products run through floating-point matrix multiplication, in single precision only where the
    weights prove that no partial sum reaches 2**24, so that the sums are exact.
    """

    def __init__(self, weights: Int8, constant: Int32 | None = None) -> None:
        outputs, _, *self.size = weights.shape
        largest = int(np.abs(weights.astype(np.int32)).sum(axis=(1, 2, 3)).max(initial=0))
        single = largest * -LOWEST < _FLOAT32_EXACT
        self._constant = constant
        self._float: type[np.floating[Any]] = np.float32 if single else np.float64
        self._integer: type[np.signedinteger[Any]] = np.int32 if single else np.int64
        matrix = weights.transpose(0, 2, 3, 1).reshape(outputs, weights[0].size)
        self._matrix = np.ascontiguousarray(matrix, self._float)

    @classmethod
    def exclusive_or(cls, weights: Int8) -> Kernels:
        """1-bit weights as a mask: 0 leaves the data as they are, -1 inverts all their bits.

        That is x or -x - 1: a product with 2 w + 1, and w once for every weight.
        """
        inverted = weights.astype(np.int32).sum(axis=(1, 2, 3), dtype=np.int32)
        return cls(2 * weights + np.int8(1), inverted)

    def convolve(self, x: Int8, before: tuple[int, int], after: tuple[int, int]) -> Sums:
        """Correlation of ``x`` (channels, rows, columns) as (outputs, rows, columns), exact.

        Zero padding of ``before`` / ``after`` rows and columns; stride 1.
        """
        kh, kw = self.size
        rows, columns = (
            size + b + a for size, b, a in zip(x.shape[1:], before, after, strict=True)
        )
        padded = np.zeros((len(x), rows, columns), self._float)
        padded[:, before[0] : rows - after[0], before[1] : columns - after[1]] = x
        flat = padded.reshape(len(x), rows * columns)
        out_rows, out_columns = rows - kh + 1, columns - kw + 1
        # Rows stay `columns` long, so that a tap is a shift of the flattened input; the few sums
        # that run over a row's end are cut off afterwards.
        taps = [r * columns + c for r in range(kh) for c in range(kw)]
        length = (out_rows - 1) * columns + out_columns
        sums: Sums = np.zeros((len(self._matrix), out_rows * columns), self._integer)
        for start in range(0, length, _CHUNK):
            stop = min(start + _CHUNK, length)
            parts = [flat[:, start + tap : stop + tap] for tap in taps]
            unrolled = np.concatenate(parts) if len(parts) > 1 else parts[0]
            sums[:, start:stop] = self._matrix @ unrolled
        if self._constant is not None:
            sums += self._constant[:, None]
        return sums.reshape(-1, out_rows, columns)[:, :, :out_columns]


def scale(sums: Sums, shift: int) -> Int8:
    """8-bit output of the accumulators: 7 - ``shift`` bits dropped, half rounds up, clipped."""
    right = 7 - shift
    if right > 0:
        return _clip((sums + sums.dtype.type(1 << (right - 1))) >> right)
    return _clip(_clip(sums).astype(np.int32) << -right)  # clipped first: it cannot overflow


def activate(x: Int8, relu: bool, absolute: bool) -> Int8:
    """ReLU or the magnitude; the magnitude of -128 is 127."""
    if relu:
        positive: Int8 = np.maximum(x, np.int8(0))
        return positive
    if absolute:
        return _clip(np.abs(x.astype(np.int16)))
    return x
