"""From packets to whole numbers that a network reads: the arithmetic that firmware also does.

All steps are on integers, so that the firmware gives the same numbers; it does all but the third:

1. amplitude in sixteenths, ``isqrt(256 * (imaginary^2 + real^2))``, 0 ... 2,896;
2. every packet scaled to the mean LEVEL over its chosen subcarriers, which takes away the
   receiver's automatic gain: ``(a * channels * LEVEL + sum / 2) / sum``;
3. if asked, the median of the last values of each subcarrier, and the mean of every few packets:
   ``(sum + n // 2) // n``;
4. the mean of each subcarrier over the window taken off, which takes away what does not move;
5. ``(d * gain + 128) >> 8``, clipped to -128 ... 127.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.csi.recording import Recording
from max78k.errors import InputError

LEVEL = 1024
CHANNELS = 52
MOST_CHANNELS_ON_BOARD = 63  # so that a scaled amplitude of the firmware has 16 bits
GAIN_UNIT = 256  # a gain of 1
HIGHEST_GAIN = (1 << 15) - 1  # so that the firmware's products have 31 bits

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

# Subcarriers without energy: the guard bands and the carrier itself, by number of subcarriers.
_SILENT = {
    64: {*range(6), 32, *range(59, 64)},
    128: {*range(6), *range(59, 66), *range(123, 128)},
}


def live_subcarriers(count: int, channels: int = CHANNELS) -> Int64Array:
    """The subcarriers to use: those with energy, evenly thinned to ``channels``.

    Raises InputError ``E-CSI-SUBCARRIERS`` where there are fewer.
    """
    live = [n for n in range(count) if n not in _SILENT[count]]
    if not 1 <= channels <= len(live):
        raise InputError(
            "E-CSI-SUBCARRIERS",
            f"{channels} of {count} subcarriers are wanted, {len(live)} carry a signal.",
            f"1 ... {len(live)}.",
        )
    places = np.arange(channels) * len(live) // channels
    return np.array(live, dtype=np.int64)[places]


def amplitudes(recording: Recording, subcarriers: Int64Array) -> Int64Array:
    """Amplitudes in sixteenths, int64 [packets, channels]."""
    values = recording.csi.astype(np.int64)
    power = values[:, 0::2] ** 2 + values[:, 1::2] ** 2
    return isqrt(256 * power[:, subcarriers])


def level(amplitude: Int64Array) -> Int64Array:
    """Every packet scaled to a mean of LEVEL; a silent packet becomes zeros. [packets, channels]"""
    total = amplitude.sum(axis=1, keepdims=True)
    scaled = (amplitude * amplitude.shape[1] * LEVEL + total // 2) // np.maximum(total, 1)
    return np.asarray(np.where(total > 0, scaled, 0))


def running_median(series: Int64Array, length: int) -> Int64Array:
    """The median of the last ``length`` values, an odd number; [packets - length + 1, channels]."""
    if length == 1:
        return series
    if len(series) < length:
        return series[:0]
    last = np.lib.stride_tricks.sliding_window_view(series, length, axis=0)
    return np.ascontiguousarray(np.partition(last, length // 2, axis=-1)[..., length // 2])


def thinned(windows: Int64Array, share: int) -> Int64Array:
    """The rounded mean of every ``share`` packets; [N, packets / share, channels]."""
    if share == 1:
        return windows
    count, packets, channels = windows.shape
    total = windows.reshape(count, packets // share, share, channels).sum(axis=2)
    return np.asarray((total + share // 2) // share)


def without_mean(window: Int64Array) -> Int64Array:
    """The mean of each subcarrier over the window taken off; [..., packets, channels]."""
    packets = window.shape[-2]
    mean = (window.sum(axis=-2, keepdims=True) + packets // 2) // packets
    return np.asarray(window - mean)


def to_int8(window: Int64Array, gain: int) -> Int8Array:
    """What the network reads, int8 [..., channels, packets]; ``gain`` in 1 / GAIN_UNIT."""
    scaled = (window * gain + GAIN_UNIT // 2) >> 8
    return np.ascontiguousarray(np.clip(scaled, -128, 127).swapaxes(-1, -2)).astype(np.int8)


def fitting_gain(windows: Int64Array, share: float = 0.995) -> int:
    """The gain at which ``share`` of all values of windows without mean fit into 8 bits."""
    size = float(np.quantile(np.abs(windows), share))
    return int(np.clip(round(127 * GAIN_UNIT / max(size, 1.0)), 1, HIGHEST_GAIN))


def isqrt(values: Int64Array) -> Int64Array:
    """Whole square roots, rounded down; exact for values below 2^52."""
    root = np.sqrt(values.astype(np.float64)).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    return np.asarray(root)
