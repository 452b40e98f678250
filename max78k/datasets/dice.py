"""Random numbers that are the same on every machine and with every version of every library.

A number is a hash of (seed, index, counter): sample 1000 can be drawn without samples 0-999, and
many samples are drawn at once. The mixing function is that of the SplitMix64 generator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UintArray = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float32]

_GOLDEN = 0x9E37_79B9_7F4A_7C15
_WORD = (1 << 64) - 1


def mix(values: UintArray) -> UintArray:
    """Hash every 64-bit word; a bijection in which every input bit reaches every output bit."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def keys(seed: int, indexes: npt.NDArray[np.int64]) -> UintArray:
    """One key per index, uint64 in the shape of ``indexes``; keys of two seeds are unrelated."""
    start = mix(np.array([(seed * _GOLDEN + _GOLDEN) & _WORD], dtype=np.uint64))
    return mix(start + indexes.astype(np.uint64) * np.uint64(_GOLDEN))


def permutation(count: int, seed: int) -> npt.NDArray[np.int64]:
    """The numbers 0 ... count - 1 in an order that depends on ``seed`` alone."""
    order = np.argsort(keys(seed, np.arange(count, dtype=np.int64)), kind="stable")
    return order.astype(np.int64)


class Dice:
    """A row of random numbers for each of ``n`` samples; every call takes the next column.

    Results are float32 [n, 1, 1], ready to be combined with pictures [n, rows, columns].
    """

    def __init__(self, sample_keys: UintArray) -> None:
        """``sample_keys`` is uint64 [n], see :func:`keys`."""
        self._keys = sample_keys
        self._column = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> FloatArray:
        """Evenly distributed from ``low`` to ``high``."""
        unit = (self.words(1) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        scaled = np.float32(low) + unit * np.float32(high - low)
        return np.asarray(scaled.reshape(-1, 1, 1), dtype=np.float32)

    def bell(self, mean: float, spread: float) -> FloatArray:
        """Bell-shaped around ``mean`` with standard deviation ``spread``, within 3 of it."""
        total = self.uniform() + self.uniform() + self.uniform()
        return np.asarray(mean + spread * (total - np.float32(1.5)) * np.float32(2))

    def chance(self, probability: float) -> FloatArray:
        """1 with ``probability``, else 0."""
        return np.asarray(self.uniform() < np.float32(probability), dtype=np.float32)

    def words(self, count: int) -> UintArray:
        """``count`` random words per sample, uint64 [n, count]."""
        columns = np.arange(self._column, self._column + count, dtype=np.uint64)
        self._column += count
        return mix(self._keys[:, None] + (columns + np.uint64(1)) * np.uint64(_GOLDEN))
