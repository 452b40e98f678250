"""From a recording to windows that a network reads, by choices that are kept with them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from max78k.csi import amplitude, filters
from max78k.csi.recording import Recording
from max78k.csi.time_frequency import cosine_image, log_image
from max78k.errors import InputError

Form = Literal["series", "image", "cosines"]
FORMS: tuple[Form, ...] = ("series", "image", "cosines")

_LATER = {"median", "thin"}  # choices that networks from before them do not name

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Preparation:
    """What is done to packets before a network reads them.

    Attributes:
        channels: subcarriers to use.
        window: packets of a window.
        step: packets from the start of one window to that of the next.
        median: a value is the median of the last so many of its subcarrier, an odd number: single
            broken packets go. Unlike ``spikes`` it needs no later packets, so it can be streamed.
        thin: the mean of so many packets is one value of a window; divides ``window``.
        form: "series" [channels, window / thin], or "image": the logarithm of a spectrogram for
            each subcarrier, [channels, 32, 32]; or "cosines": the cosine transform of every four
            values, [channels, 4, window / thin / 4].
        rate: packets per second to bring recordings with a clock to; 0 leaves them.
        spikes: whether single spikes are replaced by the median around them (Hampel).
        cutoff: Hz, of a low-pass filter (Butterworth); 0 is none. Needs a rate.
        gain: of the last step, in 1 / 256; 0 until it is chosen from the training windows.
    """

    channels: int = amplitude.CHANNELS
    window: int = 600
    step: int = 400
    median: int = 1
    thin: int = 1
    form: Form = "series"
    rate: float = 0.0
    spikes: bool = False
    cutoff: float = 0.0
    gain: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.form not in FORMS or self.window < 16 or self.step < 1:
            raise InputError(
                "E-CSI-WINDOW",
                f"windows of {self.window} packets every {self.step}, as {self.form}.",
                "16 packets or more, a step of 1 or more.",
            )
        if self.median < 1 or self.median % 2 == 0:
            raise InputError(
                "E-CSI-MEDIAN", f"a median of the last {self.median} values.", "1, 3, 5, 7 ..."
            )
        if self.thin < 1 or self.window % self.thin:
            raise InputError(
                "E-CSI-THIN",
                f"windows of {self.window} packets are no whole number of {self.thin}.",
                f"a --thin that divides {self.window}.",
            )

    @property
    def packets(self) -> int:
        """Packets that make one window: those of its first median come before it."""
        return self.window + self.median - 1

    @property
    def local(self) -> bool:
        """Whether the firmware can make these windows: amplitudes as they are, one by one."""
        return self.form == "series" and self.median == self.thin == 1

    def series(self, recording: Recording) -> Int64Array:
        """Amplitudes of a whole recording, cleaned and scaled to one level [packets, channels].

        There are ``median - 1`` fewer than packets, none for a recording without so many.
        """
        chosen = amplitude.live_subcarriers(recording.subcarriers, self.channels)
        values = amplitude.amplitudes(recording, chosen)
        if self.spikes or self.rate or self.cutoff:
            values = np.maximum(np.rint(self._cleaned(values, recording)), 0).astype(np.int64)
        return amplitude.running_median(amplitude.level(values), self.median)

    def _cleaned(self, values: Int64Array, recording: Recording) -> npt.NDArray[np.float64]:
        cleaned = values.astype(np.float64)
        if self.spikes:
            cleaned, _ = filters.hampel(cleaned)
        rate = self.rate or recording.rate
        if self.rate:
            if recording.seconds is None:
                raise InputError(
                    "E-CSI-CLOCK",
                    f"{recording.name} has no times of its packets to bring to a rate.",
                    "leave --rate out.",
                )
            cleaned, _ = filters.resample(cleaned, recording.seconds, self.rate)
        if self.cutoff:
            if not rate:
                raise InputError(
                    "E-CSI-CLOCK",
                    f"{recording.name} has no rate, which a filter in Hz needs.",
                    "leave --cutoff out.",
                )
            cleaned = filters.lowpass(cleaned, rate, self.cutoff)
        return cleaned

    def cut(self, series: Int64Array) -> Int64Array:
        """All whole windows [N, window, channels]; none for a recording that is shorter."""
        if len(series) < self.window:
            return np.zeros((0, self.window, self.channels), np.int64)
        every = np.lib.stride_tricks.sliding_window_view(series, self.window, axis=0)
        return np.asarray(every[:: self.step].swapaxes(1, 2))

    def window_seconds(self, recording: Recording) -> npt.NDArray[np.float64]:
        """Times of the first and last value of each window that :meth:`cut` gives, [N, 2].

        Seconds of the receiver's clock from the recording's first packet on; NaN without a clock.
        """
        seconds = recording.seconds
        if seconds is None:
            seconds = np.full(len(recording), np.nan)
        elif self.rate:
            seconds = filters.resample(seconds[:, None], seconds, self.rate)[1]
        seconds = seconds[self.median - 1 :]
        first = np.arange(0, max(len(seconds) - self.window + 1, 0), self.step)
        return np.stack([seconds[first], seconds[first + self.window - 1]], axis=1)

    def moving(self, windows: Int64Array) -> Int64Array:
        """What moves in each window: [N, values, channels], or [N, rows, columns, channels]."""
        windows = amplitude.thinned(windows, self.thin)
        if self.form == "image":
            return log_image(windows)
        still = amplitude.without_mean(windows)
        return cosine_image(still) if self.form == "cosines" else still

    def with_gain(self, moving: Int64Array) -> Preparation:
        """The same with the gain that suits training windows."""
        return replace(self, gain=amplitude.fitting_gain(moving))

    def inputs(self, moving: Int64Array) -> Int8Array:
        """What the network reads, int8 [N, channels, ...]."""
        if self.form != "series":
            flat = moving.reshape(len(moving), -1, self.channels)
            size = moving.shape[1:3]
            return amplitude.to_int8(flat, self.gain).reshape(-1, self.channels, *size)
        return amplitude.to_int8(moving, self.gain)

    def of(self, recording: Recording) -> Int8Array:
        """All windows of a recording as a network reads them."""
        return self.inputs(self.moving(self.cut(self.series(recording))))

    def to_json(self) -> str:
        """One line that :func:`from_json` reads."""
        return json.dumps(asdict(self), sort_keys=True)


def from_json(text: str) -> Preparation:
    """The choices that :meth:`Preparation.to_json` wrote.

    Raises InputError ``E-CSI-PREPARATION``.
    """
    try:
        values = json.loads(text)
        known = {item.name for item in fields(Preparation)}
        if not isinstance(values, dict) or not known - _LATER <= set(values) <= known:
            raise ValueError(f"keys are not {', '.join(sorted(known))}")
        return Preparation(**values)
    except (ValueError, TypeError) as error:
        raise InputError(
            "E-CSI-PREPARATION", f"{text[:60]!r} is no preparation: {error}."
        ) from None
