"""Images of time and frequency: how fast the amplitude of each subcarrier changes, over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError

SIDE = 32  # rows (frequencies) and columns (times) of an image for the chip
SEGMENT = 64  # packets of one column: 32 frequencies above 0
UNITS_PER_DECIBEL = 16

COSINES = 4  # packets of one column of a cosine image, and its rows

TRANSFORMER_SEGMENT = 200
TRANSFORMER_SIDE = 224

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def log_image(windows: Int64Array) -> Int64Array:
    """Power in dB by frequency and time, without its mean over the image.

    Args:
        windows: int64 [N, packets, channels].

    Returns:
        int64 [N, SIDE, SIDE, channels] in 1 / UNITS_PER_DECIBEL dB; the lowest frequency first.

    Raises:
        InputError: E-CSI-WINDOW for windows too short for SIDE columns.
    """
    packets = windows.shape[1]
    hop = (packets - SEGMENT) // (SIDE - 1)
    if hop < 1:
        raise InputError(
            "E-CSI-WINDOW",
            f"a window of {packets} packets is too short for an image.",
            f"{SEGMENT + SIDE - 1} packets or more.",
        )
    frames = np.lib.stride_tricks.sliding_window_view(windows, SEGMENT, axis=1)
    frames = frames[:, : hop * (SIDE - 1) + 1 : hop].astype(
        np.float64
    )  # [N, SIDE, channels, SEGMENT]
    frames = (frames - frames.mean(axis=-1, keepdims=True)) * np.hanning(SEGMENT)
    power = np.abs(np.fft.rfft(frames, axis=-1)[..., 1:]) ** 2 / SEGMENT
    decibel = 10 * np.log10(power + 1)
    decibel -= decibel.mean(axis=(1, 3), keepdims=True)
    return np.asarray(np.rint(UNITS_PER_DECIBEL * decibel).transpose(0, 3, 1, 2), np.int64)


def cosine_image(windows: Int64Array) -> Int64Array:
    """The orthonormal cosine transform (DCT-II) of every four packets: nothing of a window is lost.

    A logarithm of power keeps neither how strong a subcarrier is nor which way a movement went. The
    rows of this image are signed: the mean of four packets, their slope, their curvature, the rest.

    Args:
        windows: int64 [N, packets, channels] without their mean; what is left of whole fours at
            their beginning is not used.

    Returns:
        int64 [N, COSINES, packets // COSINES, channels]; the lowest frequency first.
    """
    count, packets, channels = windows.shape
    columns = packets // COSINES
    fours = windows[:, packets - columns * COSINES :].reshape(count, columns, COSINES, channels)
    rows, times = np.arange(COSINES)[:, None], np.arange(COSINES)[None] + 0.5
    cosines = np.cos(np.pi * rows * times / COSINES) * np.sqrt(2 / COSINES)
    cosines[0] /= np.sqrt(2)
    return np.asarray(np.rint(np.einsum("rt,nctk->nrck", cosines, fours)), np.int64)


def transformer_image(window: FloatArray) -> npt.NDArray[np.float32]:
    """A window as the vision transformer reads it.

    A spectrogram with segments of 200 packets in dB, stretched to 224 x 224, each subcarrier with
    mean 0 and deviation 1.

    Args:
        window: [packets, channels].

    Returns:
        float32 [channels, 224, 224].
    """
    import cv2
    from scipy.signal import spectrogram

    segment = min(TRANSFORMER_SEGMENT, len(window))
    _, _, power = spectrogram(window.T, nperseg=segment)
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    images = [
        cv2.resize(one, (TRANSFORMER_SIDE, TRANSFORMER_SIDE), interpolation=cv2.INTER_LINEAR)
        for one in decibel
    ]
    stack = np.stack(images).astype(np.float32)
    mean = stack.mean(axis=(1, 2), keepdims=True)
    return np.asarray((stack - mean) / (stack.std(axis=(1, 2), keepdims=True) + 1e-6), np.float32)
