"""What there is of a recording after each step of its preparation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.csi import amplitude
from max78k.csi.preparation import Preparation
from max78k.csi.recording import Recording
from max78k.errors import InputError


def steps(recording: Recording, preparation: Preparation) -> dict[str, npt.NDArray[np.float64]]:
    """Pictures by step: all subcarriers, the chosen ones, cleaned, and the first window's input.

    Raises InputError ``E-CSI-SHORT`` for a recording shorter than a window.
    """
    every = amplitude.amplitudes(recording, np.arange(recording.subcarriers)) / 16
    chosen = amplitude.live_subcarriers(recording.subcarriers, preparation.channels)
    series = preparation.series(recording)
    windows = preparation.cut(series)
    if not len(windows):
        raise InputError(
            "E-CSI-SHORT",
            f"{recording.name} has {len(recording)} packets, a window needs {preparation.packets}.",
            "--window with fewer packets.",
        )
    pictures = {
        f"amplitude of {recording.subcarriers} subcarriers": every.T,
        f"{preparation.channels} subcarriers with a signal": every.T[chosen],
        "cleaned, every packet at the same level": series.T.astype(np.float64),
    }
    moving = preparation.moving(windows[:1])
    fitted = preparation.with_gain(moving)
    if preparation.form != "series":
        middle = preparation.channels // 2
        pictures["first window without its mean"] = amplitude.without_mean(windows[:1])[0].T.astype(
            np.float64
        )
        name = "log spectrogram" if preparation.form == "image" else "cosines"
        pictures[f"its {name}, channel {middle}"] = moving[0, :, :, middle].astype(np.float64)
    else:
        pictures["input of the network: the first window"] = fitted.inputs(moving)[0].astype(
            np.float64
        )
    return pictures
