"""From a recording to windows that a network reads, by choices that are kept with them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from max78k.csi import amplitude, filters
from max78k.csi.recording import SUBCARRIERS, Recording
from max78k.csi.time_frequency import COSINES, cosine_image, log_image
from max78k.errors import InputError

Form = Literal["series", "image", "cosines"]
FORMS: tuple[Form, ...] = ("series", "image", "cosines")

LOWEST_RATE, HIGHEST_RATE = 0.1, 10_000.0  # packets per second

# choices that networks from before them do not name
_LATER = {"median", "thin", "segment", "subcarriers"}

Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]
FloatArray = npt.NDArray[np.float64]


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
            each subcarrier, [channels, 32, 32]; or "cosines": cosine transforms at every fourth
            value, [channels, 4, window / thin / 4].
        segment: values that each of those cosine transforms looks at, an even number; beyond 4 they
            overlap.
        rate: packets per second to bring recordings with a clock to; 0 leaves them.
        spikes: whether single spikes are replaced by the median around them (Hampel).
        cutoff: Hz, of a low-pass filter (Butterworth); 0 is none. Needs a rate.
        gain: of the last step, in 1 / 256; 0 until it is chosen from the training windows.
        subcarriers: of the packets, 64 or 128; 0 until there are training windows, and where
            networks from before do not say it: then any. ``channels`` of them stand for other
            frequencies in each, so that packets of one are not for a network of the other.
    """

    channels: int = amplitude.CHANNELS
    window: int = 600
    step: int = 400
    median: int = 1
    thin: int = 1
    form: Form = "series"
    segment: int = COSINES
    rate: float = 0.0
    spikes: bool = False
    cutoff: float = 0.0
    gain: int = 0
    subcarriers: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.form not in FORMS or self.window < 16 or self.step < 1:
            raise InputError(
                "E-CSI-WINDOW",
                f"windows of {self.window} packets every {self.step}, as {self.form}.",
                "16 packets or more, a step of 1 or more.",
            )
        if self.subcarriers not in (0, *SUBCARRIERS):
            raise InputError(
                "E-CSI-SUBCARRIERS", f"packets of {self.subcarriers} subcarriers.", "64 or 128."
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
        values = self.window // self.thin
        if self.segment % 2 or not COSINES <= self.segment <= values:
            raise InputError(
                "E-CSI-SEGMENT",
                f"cosine transforms of {self.segment} values in windows of {values}.",
                f"an even --segment from {COSINES} to {values}.",
            )
        if self.segment != COSINES and self.form != "cosines":
            raise InputError(
                "E-CSI-SEGMENT",
                f"segments of {self.segment} values belong to no {self.form}.",
                "--form cosines with it, or no --segment.",
            )
        if self.rate and not LOWEST_RATE <= self.rate <= HIGHEST_RATE:  # also not a number
            raise InputError(
                "E-CSI-RATE",
                f"{self.rate:g} packets/s to bring recordings to.",
                f"{LOWEST_RATE:g} ... {HIGHEST_RATE:g}, or 0 to leave them.",
            )
        if not 0 <= self.cutoff < math.inf:
            raise InputError(
                "E-CSI-CUTOFF", f"a cutoff of {self.cutoff:g} Hz.", "above 0, or 0 for no filter."
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
        for _, values in self.stages(recording):
            last = values
        return np.asarray(last, np.int64)

    def stages(self, recording: Recording) -> Iterator[tuple[str, Int64Array | FloatArray]]:
        """What there is after each step to :meth:`series`, which is the last, with its name.

        Amplitudes in sixteenths [packets, channels], then those scaled to one level.

        Raises InputError ``E-CSI-SUBCARRIERS`` for a recording of another number of subcarriers.
        """
        if self.subcarriers not in (0, recording.subcarriers):
            raise other_subcarriers(recording.name, recording.subcarriers, self.subcarriers)
        chosen = amplitude.live_subcarriers(recording.subcarriers, self.channels)
        values = amplitude.amplitudes(recording, chosen)
        yield f"{self.channels} subcarriers with a signal", values
        for name, cleaned in self._cleaned(values, recording):
            yield name, cleaned
            values = np.maximum(np.rint(cleaned), 0).astype(np.int64)
        values = amplitude.level(values)
        yield "every packet at the same level", values
        if self.median > 1:
            values = amplitude.running_median(values, self.median)
            yield f"median of the last {self.median}", values

    def _cleaned(
        self, values: Int64Array, recording: Recording
    ) -> Iterator[tuple[str, FloatArray]]:
        """The filters that are asked for, one after the other; each reads what the last gave."""
        cleaned = values.astype(np.float64)
        if self.spikes:
            cleaned, found = filters.hampel(cleaned)
            yield f"{found:,} spikes replaced", cleaned
        rate = self.rate or recording.rate
        if self.rate:
            if recording.seconds is None:
                raise InputError(
                    "E-CSI-CLOCK",
                    f"{recording.name} has no times of its packets to bring to a rate.",
                    "leave --rate out.",
                )
            cleaned, _ = filters.resample(cleaned, recording.seconds, self.rate)
            yield f"{self.rate:g} packets/s", cleaned
        if self.cutoff:
            if not rate:
                raise InputError(
                    "E-CSI-CLOCK",
                    f"{recording.name} has no rate, which a filter in Hz needs.",
                    "leave --cutoff out.",
                )
            yield f"nothing above {self.cutoff:g} Hz", filters.lowpass(cleaned, rate, self.cutoff)

    def cut(self, series: Int64Array) -> Int64Array:
        """All whole windows [N, window, channels]; none for a recording that is shorter."""
        if len(series) < self.window:
            return np.zeros((0, self.window, self.channels), np.int64)
        every = np.lib.stride_tricks.sliding_window_view(series, self.window, axis=0)
        return np.asarray(every[:: self.step].swapaxes(1, 2))

    def window_seconds(self, recording: Recording) -> FloatArray:
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
        return cosine_image(still, self.segment) if self.form == "cosines" else still

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


def other_subcarriers(name: str, found: int, wanted: int) -> InputError:
    """Why packets are not for a network that learnt from packets of another bandwidth."""
    return InputError(
        "E-CSI-SUBCARRIERS",
        f"{name} has {found} subcarriers; the network learnt from packets of {wanted}.",
        f"let the receiver give {wanted} subcarriers, or train with recordings of {found}.",
    )


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
