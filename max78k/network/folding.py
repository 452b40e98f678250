"""Pictures cut into interleaved ones, which are the channels that a network reads.

A network that reads 48x48 pixels at once as 4 channels of 24x24 keeps all of them and has a quarter
of the positions to compute. The order of the channels is that of ai8x-training's ``fold``: those of
the first row and column of each square, then of the next column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]


def folded_shape(picture: Shape, fold: int) -> Shape:
    """Shape (channels, rows, columns) of a folded picture; the sides are multiples of ``fold``."""
    if fold == 1:
        return picture
    channels, rows, columns = picture
    return (channels * fold * fold, rows // fold, columns // fold)


def picture_shape(folded: Shape, fold: int) -> Shape:
    """What :func:`folded_shape` was made from."""
    if fold == 1:
        return folded
    channels, rows, columns = folded
    return (channels // (fold * fold), rows * fold, columns * fold)


def folded(pictures: npt.NDArray[Any], fold: int) -> npt.NDArray[Any]:
    """Pictures [..., channels, rows, columns] as [..., *folded_shape]."""
    parts = [
        pictures[..., row::fold, column::fold] for row in range(fold) for column in range(fold)
    ]
    return np.concatenate(parts, axis=-3) if fold > 1 else pictures
