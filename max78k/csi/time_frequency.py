"""Images of time and frequency: how fast the amplitude of each subcarrier changes, over time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError

SIDE = 32  # rows (frequencies) and columns (times) of an image for the chip
SEGMENT = 64  # packets of one column: 32 frequencies above 0
UNITS_PER_DECIBEL = 16

COSINES = 4  # packets from one column of a cosine image to the next, and its rows

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


def cosine_image(windows: Int64Array, segment: int = COSINES) -> Int64Array:
    """The first four of the orthonormal cosine transform (DCT-II) of every four packets.

    A logarithm of power keeps neither how strong a subcarrier is nor which way a movement went. The
    rows of this image are signed: the mean, the slope, the curvature and the turns of ``segment``
    packets. With segments of four nothing of a window is lost. Longer ones overlap: they reach to
    both sides of their four packets, and the window's first and last value go on beyond its ends.

    Args:
        windows: int64 [N, packets, channels] without their mean; what is left of whole fours at
            their beginning is not used.
        segment: packets that a column looks at, COSINES or more, an even number.

    Returns:
        int64 [N, COSINES, packets // COSINES, channels]; the lowest frequency first.
    """
    count, packets, channels = windows.shape
    columns, beside = packets // COSINES, (segment - COSINES) // 2
    whole = windows[:, packets - columns * COSINES :]
    longer = np.pad(whole, ((0, 0), (beside, beside), (0, 0)), mode="edge")
    rows, times = np.arange(COSINES)[:, None], np.arange(segment)[None] + 0.5
    cosines = np.cos(np.pi * rows * times / segment) * np.sqrt(2 / segment)
    cosines[0] /= np.sqrt(2)
    image = np.zeros((count, COSINES, columns, channels))
    for time in range(segment):
        every = longer[:, time : time + (columns - 1) * COSINES + 1 : COSINES]
        image += cosines[None, :, time, None, None] * every[:, None]
    return np.asarray(np.rint(image), np.int64)


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
