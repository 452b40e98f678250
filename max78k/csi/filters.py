"""Cleaning amplitudes in time: spikes, noise above the movements of interest, uneven clocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError

FloatArray = npt.NDArray[np.float64]

_TO_SIGMA = 1.4826  # a normal distribution's standard deviation per median absolute deviation


def hampel(values: FloatArray, half: int = 5, sigmas: float = 3.0) -> tuple[FloatArray, int]:
    """Replace spikes by the median of their neighbourhood.

    Args:
        values: [packets, channels].
        half: packets to each side; at the ends the nearest packet is repeated.
        sigmas: a value farther than this many robust standard deviations is a spike.

    Returns:
        The cleaned values, and the number of spikes.
    """
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    middle = np.median(around, axis=-1)
    spread = _TO_SIGMA * np.median(np.abs(around - middle[..., None]), axis=-1)
    spike = np.abs(values - middle) > sigmas * spread
    return np.where(spike, middle, values), int(spike.sum())


def lowpass(values: FloatArray, rate: float, cutoff: float, order: int = 4) -> FloatArray:
    """Butterworth filter forth and back, so that nothing is delayed.

    Args:
        values: [packets, channels], evenly spaced in time.
        rate: packets per second.
        cutoff: Hz.
        order: of the filter.

    Raises:
        InputError: E-CSI-CUTOFF for a cutoff that is not between 0 and half the rate, E-CSI-SHORT
            for fewer packets than the filter needs.
    """
    from scipy.signal import butter, sosfiltfilt

    if not 0 < cutoff < rate / 2:
        raise InputError(
            "E-CSI-CUTOFF",
            f"a cutoff of {cutoff:g} Hz is not between 0 and half the rate of {rate:g} packets/s.",
        )
    sections = butter(order, cutoff, fs=rate, output="sos")
    needed = 3 * (2 * len(sections) + 1)
    if len(values) <= needed:
        raise InputError(
            "E-CSI-SHORT",
            f"{len(values)} packets are too few for the filter: it needs {needed + 1}.",
        )
    return np.asarray(sosfiltfilt(sections, values, axis=0))


def resample(values: FloatArray, seconds: FloatArray, rate: float) -> tuple[FloatArray, FloatArray]:
    """Values at even times by straight lines between packets.

    Args:
        values: [packets, channels].
        seconds: [packets], times of the packets; of packets at one time the last counts.
        rate: wanted packets per second.

    Returns:
        Values [even packets, channels] and their times.
    """
    order = np.argsort(seconds, kind="stable")
    times, values = seconds[order], values[order]
    last = np.append(np.diff(times) > 0, True)
    times, values = times[last], values[last]
    even = times[0] + np.arange(int(np.floor((times[-1] - times[0]) * rate + 1e-9)) + 1) / rate
    columns = [np.interp(even, times, values[:, channel]) for channel in range(values.shape[1])]
    return np.stack(columns, axis=1), even
