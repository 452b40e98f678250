"""What there is of a recording after each step of its preparation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.csi import amplitude
from max78k.csi.preparation import Preparation
from max78k.csi.recording import Recording
from max78k.csi.time_frequency import transformer_image
from max78k.errors import InputError

_IMAGES = {"image": "log spectrogram", "cosines": "cosines"}

FloatArray = npt.NDArray[np.float64]


def steps(recording: Recording, preparation: Preparation) -> dict[str, FloatArray]:
    """Pictures by step: the whole recording's, then the first window's [channels, packets], and
    images of its middle channel, of the network and of a transformer.

    Raises InputError ``E-CSI-SHORT`` for a recording shorter than a window.
    """
    every = amplitude.amplitudes(recording, np.arange(recording.subcarriers))
    pictures = {f"amplitude of {recording.subcarriers} subcarriers, in sixteenths": _drawn(every)}
    for name, values in preparation.stages(recording):
        pictures[name] = _drawn(values)
    windows = preparation.cut(np.asarray(values, np.int64))[:1]
    if not len(windows):
        raise InputError(
            "E-CSI-SHORT",
            f"{recording.name} has {len(recording)} packets, a window needs {preparation.packets}.",
            "--window with fewer packets.",
        )
    middle = preparation.channels // 2
    moving = preparation.moving(windows)
    if preparation.form == "series":
        inputs = preparation.with_gain(moving).inputs(moving)[0]
        pictures["first window, input of the network"] = inputs.astype(np.float64)
    else:
        still = amplitude.without_mean(amplitude.thinned(windows, preparation.thin))[0]
        pictures["first window without its mean"] = _drawn(still)
        name = f"its {_IMAGES[preparation.form]}, channel {middle}, input of the network"
        pictures[name] = moving[0, :, :, middle].astype(np.float64)
    spectrogram = transformer_image(amplitude.without_mean(windows)[0].astype(np.float64))
    name = f"its spectrogram, channel {middle}, input of a transformer"
    return pictures | {name: spectrogram[middle].astype(np.float64)}


def _drawn(values: npt.NDArray[np.int64] | FloatArray) -> FloatArray:
    """Packets from left to right."""
    return np.asarray(values.T, np.float64)
