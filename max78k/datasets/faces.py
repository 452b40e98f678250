"""Drawn faces: seven emotions, 48x48 grey, as many as wanted, the same on every machine.

The task is made to be like FER-2013 in form (classes, size, tight crop) while it needs no download
and carries no picture of a person. Sample ``index`` of a seed is always the same picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from max78k.datasets import dice, face_drawing, face_traits

_BATCH = 16  # pictures drawn at once: their arrays stay in the cache


def faces(
    count: int, seed: int, start: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draw samples ``start`` ... ``start + count - 1`` of ``seed``.

    Returns:
        inputs uint8 [count, 1, 48, 48] and labels int64 [count], which number EMOTIONS. Of every
        seven samples that begin at a multiple of seven, each shows another emotion.
    """
    side = face_drawing.SIDE
    inputs = np.empty((count, 1, side, side), np.uint8)
    indexes = np.arange(start, start + count, dtype=np.int64)
    labels = _labels(indexes, seed)
    for first in range(0, count, _BATCH):
        part = slice(first, min(first + _BATCH, count))
        throws = dice.Dice(dice.keys(seed, indexes[part]))
        expression = face_traits.draw_expression(labels[part], throws)
        person = face_traits.draw_person(throws)
        scene = face_traits.draw_scene(throws)
        inputs[part, 0] = face_drawing.draw(expression, person, scene, throws)
    return inputs, labels


def _labels(indexes: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """Emotions in an order of chance inside every block of seven."""
    classes = len(face_traits.EMOTIONS)
    blocks = dice.keys(seed, -1 - indexes // classes)
    order = np.argsort(dice.Dice(blocks).words(classes), axis=1, kind="stable")
    return order[np.arange(len(indexes)), indexes % classes].astype(np.int64)
