"""Reading single images into the shape that a network takes.

A picture becomes grey and smaller on whole numbers alone, so that a program on the chip can do the
same bit by bit (``firmware/camera/prepare.c``):

* grey = (9798 red + 19235 green + 3735 blue + 16384) / 32768, rounded down: the weights of ITU-R
  BT.601 in 1 / 32768;
* a pixel of the smaller picture is the exact mean of the area that it covers, parts of pixels
  counted as such, rounded to the nearest level, half a level up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

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
    channels, rows, columns = input_shape
    if channels == 1 and picture.ndim == 3:
        picture = grey(picture)
    picture = fitted(picture, rows, columns, crop=crop)
    if channels == 1:
        return picture[None]
    return np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))


def decoded(path: Path) -> Uint8Array:
    """Picture uint8 [rows, columns, 3] with blue first.

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


def grey(picture: Uint8Array) -> Uint8Array:
    """Grey levels [rows, columns] of a picture [rows, columns, 3] with blue first."""
    blue, green, red = (picture[..., n].astype(np.uint32) for n in range(3))
    return ((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15).astype(np.uint8)


def from_rgb565(raw: bytes, rows: int, columns: int) -> Uint8Array:
    """A picture [rows, columns, 3], blue first, of the pixels that a camera's bus carries.

    Args:
        raw: two bytes a pixel, the high one first: 5 bits of red, 6 of green, 5 of blue. The upper
            bits of a colour are repeated below it, so that the brightest pixel has 255.
        rows: of the picture.
        columns: of the picture; ``raw`` has 2 * rows * columns bytes.
    """
    pixels = np.frombuffer(raw, ">u2").reshape(rows, columns).astype(np.uint16)
    red, green, blue = pixels >> 11, pixels >> 5 & 63, pixels & 31
    levels = (blue << 3 | blue >> 2, green << 2 | green >> 4, red << 3 | red >> 2)
    return np.stack(levels, axis=-1).astype(np.uint8)


def fitted(picture: Uint8Array, rows: int, columns: int, *, crop: bool) -> Uint8Array:
    """A picture in rows x columns: its middle part if ``crop``, else all of it, stretched."""
    if crop:
        top, left, height, width = middle(picture.shape[0], picture.shape[1], rows, columns)
        picture = picture[top : top + height, left : left + width]
    if picture.shape[:2] == (rows, columns):
        return picture
    if picture.shape[0] >= rows and picture.shape[1] >= columns:
        return _area_means(picture, rows, columns)
    import cv2

    larger = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(larger, np.uint8)


def middle(height: int, width: int, rows: int, columns: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest middle part with the sides of rows x columns."""
    kept_height = max(min(height, round(width * rows / columns)), 1)
    kept_width = max(min(width, round(height * columns / rows)), 1)
    return (height - kept_height) // 2, (width - kept_width) // 2, kept_height, kept_width


def _area_means(picture: Uint8Array, rows: int, columns: int) -> Uint8Array:
    """The mean of the area of each pixel of a smaller picture.

    Sums of whole numbers below 2^53 are exact in the float64 that the matrix product takes.
    """
    height, width = picture.shape[:2]
    down, across = _overlaps(height, rows), _overlaps(width, columns)
    planes = picture.reshape(height, width, -1).transpose(2, 0, 1).astype(np.float64)
    sums = (down @ planes @ across.T).astype(np.int64)
    means = ((2 * sums + height * width) // (2 * height * width)).astype(np.uint8)
    return np.ascontiguousarray(means.transpose(1, 2, 0)).reshape(rows, columns, *picture.shape[2:])


def _overlaps(many: int, few: int) -> npt.NDArray[np.float64]:
    """[few, many]: how much of each of ``many`` pixels lies in each of ``few``, in 1 / few."""
    begin = np.arange(few)[:, None] * many
    place = np.arange(many)[None, :] * few
    shared = np.minimum(begin + many, place + few) - np.maximum(begin, place)
    return np.asarray(np.maximum(shared, 0), np.float64)
