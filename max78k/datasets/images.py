"""Reading single images into the shape that a network takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from max78k.datasets.dataset import Uint8Array
from max78k.errors import InputError


def load_image(path: Path, input_shape: tuple[int, ...], *, crop: bool = False) -> Uint8Array:
    """Read an image of any size and of any format that OpenCV knows.

    Args:
        path: the file.
        input_shape: (1, rows, columns) for grey or (3, rows, columns) for red, green, blue.
        crop: True keeps the picture's proportions and cuts its middle out; False stretches it.

    Returns:
        uint8 [*input_shape].

    Raises:
        InputError: E-DATA-IMAGE for a file that is no image, E-DATA-SHAPE for another
            ``input_shape``.
    """
    if len(input_shape) != 3 or input_shape[0] not in (1, 3):
        raise InputError(
            "E-DATA-SHAPE",
            f"{path}: an image cannot become an input of shape {list(input_shape)}.",
            "use a network with 1 (grey) or 3 (colour) input channels.",
        )
    return as_input(decoded(path), input_shape, crop=crop)


def as_input(picture: Uint8Array, input_shape: tuple[int, ...], *, crop: bool) -> Uint8Array:
    """What a network reads of a decoded picture: the one way for files, frames and cameras.

    Args:
        picture: uint8 [rows, columns], or [rows, columns, 3] with blue first.
        input_shape: (1, rows, columns) or (3, rows, columns).
        crop: see :func:`load_image`.
    """
    import cv2

    channels, rows, columns = input_shape
    if channels == 1 and picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    picture = fitted(picture, rows, columns, crop=crop)
    if channels == 1:
        return picture[None]
    return np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))


def decoded(path: Path) -> Uint8Array:
    """Picture uint8 [rows, columns, 3] with blue first.

    Always in colour: decoders make grey of colours with other rounding than :func:`as_input`, which
    also reads frames that no decoder has seen.

    Raises InputError E-DATA-IMAGE for a file that is no image.
    """
    import cv2

    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError("E-DATA-IMAGE", f"{path} cannot be read: {error.strerror}.") from None
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:  # more pixels than OpenCV takes
        picture = None
    if picture is None:
        raise InputError(
            "E-DATA-IMAGE", f"{path} is no image that can be read.", "give a PNG or JPEG file."
        )
    return np.asarray(picture, dtype=np.uint8)


def fitted(picture: Uint8Array, rows: int, columns: int, *, crop: bool) -> Uint8Array:
    """A picture in rows x columns: its middle part if ``crop``, else all of it, stretched."""
    import cv2

    if crop:
        picture = _centre(picture, rows, columns)
    if picture.shape[:2] != (rows, columns):
        smaller = picture.shape[0] >= rows and picture.shape[1] >= columns
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (columns, rows), interpolation=how), np.uint8)
    return picture


def _centre(picture: Uint8Array, rows: int, columns: int) -> Uint8Array:
    """The largest middle part with the proportions of rows x columns."""
    height, width = picture.shape[:2]
    kept_height = max(min(height, round(width * rows / columns)), 1)
    kept_width = max(min(width, round(height * columns / rows)), 1)
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return picture[top : top + kept_height, left : left + kept_width]
