"""Faces in pictures as they come: find, cut, ask, draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Uint8Array
from max78k.datasets.face_finder import Box, FaceFinder, cut
from max78k.datasets.frames import Frame
from max78k.datasets.images import as_input
from max78k.errors import InputError
from max78k.flows.evaluation import softmax
from max78k.network import Network

FloatArray = npt.NDArray[np.float64]
# Output values of one int8 input, and microseconds on the board (None where nobody measures).
Infer = Callable[[npt.NDArray[np.int8]], tuple[npt.ArrayLike, float | None]]

_GREEN, _GREY = (90, 190, 60), (150, 150, 150)  # blue first
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Answer:
    """What is said of one picture.

    Attributes:
        name: of the picture.
        picture: as it came, blue first.
        box: where the face is; None where the whole picture was taken.
        pixels: what the network read, uint8 [channels, rows, columns].
        shares: softmax of the outputs, by class.
        board_us: microseconds from loading the input to the scores, on the board.
    """

    name: str
    picture: Uint8Array
    box: Box | None
    pixels: Uint8Array
    shares: FloatArray
    board_us: float | None

    @property
    def best(self) -> int:
        """Number of the class with the largest share."""
        return int(self.shares.argmax())


def answers(
    network: Network, infer: Infer, pictures: Iterable[Frame], finder: FaceFinder | None
) -> Iterator[Answer | str]:
    """An answer for each picture with a face; the name of each without.

    Args:
        network: reads pictures.
        infer: gives its output values.
        pictures: see :func:`max78k.datasets.frames.frames`.
        finder: finds faces; None takes the middle of each picture.

    Raises:
        InputError: E-LIVE-SHAPE for a network that reads no pictures.
    """
    if len(network.picture_shape) != 3 or network.picture_shape[0] not in (1, 3):
        raise InputError(
            "E-LIVE-SHAPE", f"{network.name} reads {list(network.picture_shape)}, no pictures."
        )
    for name, picture in pictures:
        box = None if finder is None else finder.find(picture)
        if finder is not None and box is None:
            yield name
            continue
        part = picture if box is None else cut(picture, box)
        pixels = as_input(part, network.picture_shape, crop=True)
        values, board_us = infer(network.from_pixels(pixels))
        scores = np.asarray(values, np.float64).reshape(1, -1) * network.output_step
        yield Answer(name, picture, box, pixels, softmax(scores)[0], board_us)


def annotated(answer: Answer, class_names: tuple[str, ...]) -> Uint8Array:
    """The picture with the face's frame, a bar for each class, and the board's time; blue first."""
    import cv2

    drawn = answer.picture.copy()
    if min(drawn.shape[:2]) < 240:
        times = -(-240 // min(drawn.shape[:2]))
        drawn = np.kron(drawn, np.ones((times, times, 1), np.uint8))
    elif answer.box is not None:
        top, left, side = answer.box
        cv2.rectangle(drawn, (left, top), (left + side, top + side), _GREEN, 2)
    for number, (name, share) in enumerate(zip(class_names, answer.shares, strict=True)):
        y = 16 + 18 * number
        colour = _GREEN if number == answer.best else _GREY
        cv2.rectangle(drawn, (4, y - 10), (4 + round(100 * float(share)), y + 2), colour, -1)
        text = f"{name} {100 * share:.0f} %"
        _write(drawn, text, (8, y))
    if answer.board_us is not None:
        _write(drawn, f"{answer.board_us / 1000:.2f} ms", (8, 16 + 18 * len(class_names)))
    return np.asarray(drawn, np.uint8)


def _write(picture: Uint8Array, text: str, place: tuple[int, int]) -> None:
    """White with a black rim, to be read on any picture."""
    import cv2

    for colour, thickness in ((_BLACK, 3), (_WHITE, 1)):
        cv2.putText(
            picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA
        )
