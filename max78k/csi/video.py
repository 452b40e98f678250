"""When the frames of a video were taken, and the frames at some of these times.

The times are the frames' own timestamps as the file gives them, or those of a text file beside the
video: counting frames at a nominal rate would be wrong for cameras that slow down in the dark.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Uint8Array
from max78k.errors import InputError

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
TIMES_SUFFIX = ".times"  # of the text file beside a video: face.mp4.times
_MILLISECONDS = ("# timestamp format v2", "# timecode format v2")  # first line, from mkvextract

FloatArray = npt.NDArray[np.float64]


def frame_times(video: Path) -> FloatArray:
    """Seconds of each frame, float64 [frames].

    ``VIDEO.times``, if it exists, has a number for each frame in a line of its own: seconds, or
    milliseconds under the first line that mkvextract writes.

    Raises:
        InputError: E-VIDEO-FILE for a file without frames, E-VIDEO-TIMES where times are missing
            or no numbers, E-VIDEO-ORDER for a frame before the one in front of it.
    """
    import cv2

    with _opened(video) as capture:
        own = []
        while capture.grab():
            own.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    if not own:
        raise _no_frames(video)
    beside = video.with_name(video.name + TIMES_SUFFIX)
    times = _read_times(beside) if beside.is_file() else np.array(own)
    if len(times) != len(own):
        raise InputError(
            "E-VIDEO-TIMES", f"{beside} has {len(times)} times for {len(own)} frames.",
            "one line for each frame.",
        )  # fmt: skip
    if len(times) > 1 and not times.any():
        raise InputError(
            "E-VIDEO-TIMES", f"the frames of {video} have no times.",
            f"write them into {beside.name}, seconds, one line for each frame.",
        )  # fmt: skip
    back = np.flatnonzero(np.diff(times) < 0)
    if back.size:
        one = int(back[0])
        raise InputError(
            "E-VIDEO-ORDER",
            f"frame {one + 1} of {video} is of {times[one + 1]:.3f} s, after one of "
            f"{times[one]:.3f} s.",
            f"true times in {beside.name}, or a video that was not cut together.",
        )
    return times


def pictures_at(video: Path, numbers: Collection[int]) -> Iterator[tuple[int, Uint8Array]]:
    """The frames with these numbers from 0, in order: uint8 [rows, columns, 3], blue first.

    Raises InputError ``E-VIDEO-FILE`` for a frame that cannot be read. Every frame up to the last
    is passed through, since jumping is not exact in all formats.
    """
    wanted = set(numbers)
    with _opened(video) as capture:
        for number in range(max(wanted, default=-1) + 1):
            found = capture.grab()
            if number not in wanted:
                continue
            found, picture = capture.retrieve() if found else (False, None)
            if not found:
                raise InputError("E-VIDEO-FILE", f"frame {number} of {video} cannot be read.")
            yield number, np.asarray(picture, np.uint8)


@contextmanager
def _opened(video: Path) -> Iterator[Any]:
    import cv2

    if not video.is_file():
        raise _no_frames(video)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(str(video))
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        yield capture
    finally:
        capture.release()


def _no_frames(video: Path) -> InputError:
    return InputError("E-VIDEO-FILE", f"{video} gives no frames.", "a video that OpenCV reads.")


def _read_times(path: Path) -> FloatArray:
    try:
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        unit = 1.0
        if lines and lines[0].strip().lower() in _MILLISECONDS:
            lines, unit = lines[1:], 1e-3
        times = np.array([float(line.strip().rstrip(",")) for line in lines]) * unit
        if not np.isfinite(times).all():
            raise ValueError("a time is not finite")
    except (OSError, ValueError) as error:
        raise InputError(
            "E-VIDEO-TIMES", f"{path} holds no times: {error}.", "a number of seconds in each line."
        ) from None
    return times
