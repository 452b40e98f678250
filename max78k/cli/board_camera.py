"""Pictures for the virtual board's camera, decoded from files or a webcam."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from max78k.datasets.frames import frames
from max78k.datasets.images import fitted
from max78k.errors import InputError

Picture = npt.NDArray[np.uint8]
Size = tuple[int, int]  # rows, columns

_LONGEST_SIDE = 1024  # of what the sensor can deliver, with room


def parse_size(text: str) -> Size:
    """Read ``WxH``; returns (rows, columns). Raises InputError E-BOARD-CAMERA."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    size = (int(match[2]), int(match[1])) if match else (0, 0)
    if not all(0 < side <= _LONGEST_SIDE for side in size):
        raise InputError(
            "E-BOARD-CAMERA",
            f"{text!r} is not a size of pictures of at most {_LONGEST_SIDE} pixels a side.",
            "--camera-size 64x64",
        )
    return size


def pictures(source: str, wanted: Callable[[], Size | None]) -> Iterator[Picture]:
    """What the camera sees at each capture: uint8 (rows, columns, 3), red first.

    An image is seen for ever; the images of a folder, in order of their names, and the frames of a
    video begin anew at their end; a webcam gives what it sees at the time.

    Args:
        source: path of an image, a folder of images or a video; ``webcam`` or ``webcam:N``.
        wanted: asked at each capture for (rows, columns); None leaves a picture as it is. Others
            are cut to this shape around their middle and scaled.

    Raises:
        InputError: E-FRAMES-SOURCE, E-DATA-IMAGE; the source cannot be read, now or at a capture.
    """
    seen = frames(source, repeat=True)
    first = next(seen)  # a wrong source is told before the board boots
    return (_fitted(_red_first(frame), wanted()) for _, frame in itertools.chain([first], seen))


def _red_first(picture: Picture) -> Picture:
    """OpenCV keeps blue first."""
    return np.ascontiguousarray(picture[..., ::-1])


def _fitted(picture: Picture, size: Size | None) -> Picture:
    return picture if size is None else fitted(picture, *size, crop=True)
