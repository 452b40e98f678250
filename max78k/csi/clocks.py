"""From the receiver's clock to the camera's."""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.errors import InputError

COLUMNS = ("recording", "csi_seconds", "video_seconds")
MOST_DRIFT = 1e-3  # quartz differs by less than a tenth of it: more is a wrong moment
MOST_MISFIT = 0.1  # seconds that a moment may be off the line through all

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clock:
    """Video seconds are ``offset + pace * CSI seconds``; both count from their first moment."""

    offset: float = 0.0
    pace: float = 1.0

    def video(self, seconds: FloatArray) -> FloatArray:
        """The video's time at times of the recording."""
        return self.offset + self.pace * seconds


def read_moments(path: Path, recordings: Collection[str]) -> dict[str, Clock]:
    """Clocks from moments that can be told in both, as a clap.

    Args:
        path: CSV with the columns COLUMNS. One moment of a recording gives its offset, more of
            them also how fast the clocks go against each other.
        recordings: names that may stand in it.

    Raises:
        InputError: E-CSI-MOMENTS for a file that is not so, E-CSI-DRIFT for moments that do not
            lie on a line, or on one that no two clocks make.
    """
    moments: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise ValueError(f"its first line is not {','.join(COLUMNS)}")
            for row in rows:
                name = row[COLUMNS[0]]
                if name not in recordings:
                    raise ValueError(f"there is no recording {name}")
                one = float(row[COLUMNS[1]]), float(row[COLUMNS[2]])
                if not np.isfinite(one).all():
                    raise ValueError(f"a moment of {name} is not finite")
                moments.setdefault(name, []).append(one)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            "E-CSI-MOMENTS", f"{path} cannot be used: {error}.",
            f"a CSV of {','.join(COLUMNS)}, names as in `csi prepare`.",
        ) from None  # fmt: skip
    return {name: _clock(name, np.array(pairs)) for name, pairs in moments.items()}


def _clock(name: str, moments: FloatArray) -> Clock:
    heard, seen = moments.T
    if np.ptp(heard) == 0:
        return Clock(float((seen - heard).mean()))
    pace, offset = (float(value) for value in np.polyfit(heard, seen, 1))
    misfit = float(np.abs(offset + pace * heard - seen).max())
    if abs(pace - 1) > MOST_DRIFT or misfit > MOST_MISFIT:
        raise InputError(
            "E-CSI-DRIFT",
            f"by its {len(moments)} moments the video's clock of {name} goes {pace:.4f} times as "
            f"fast as the receiver's, and one moment is {misfit:.2f} s off.",
            f"moments that agree within {MOST_MISFIT:g} s and {MOST_DRIFT:.1%}.",
        )
    return Clock(offset, pace)
