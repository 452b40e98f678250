"""Finding the face in a photograph.

OpenCV finds faces with the network YuNet, whose file (``face_detection_yunet_*.onnx``, MIT licence,
from OpenCV's model zoo) does not come with OpenCV or with this package: the user gives its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from max78k.datasets.dataset import Uint8Array
from max78k.errors import InputError

LEAST_SCORE = 0.7
MARGIN = 0.1  # of the face's size that is added on every side


class Box(NamedTuple):
    """A square in a picture, in pixels; it may reach beyond the border."""

    top: int
    left: int
    side: int


class FaceFinder:
    """YuNet on pictures of any size.

    Raises InputError ``E-FACE-MODEL`` for a file that OpenCV cannot use.
    """

    def __init__(self, model: Path) -> None:
        import cv2

        try:
            if not model.is_file():
                raise ValueError("there is no such file")
            self._network = cv2.FaceDetectorYN.create(
                str(model), "", (320, 320), score_threshold=LEAST_SCORE
            )
        except (cv2.error, ValueError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                "E-FACE-MODEL",
                f"{model} cannot find faces: {reason}.",
                "face_detection_yunet_2023mar.onnx of OpenCV's model zoo.",
            ) from None

    def find(self, picture: Uint8Array) -> Box | None:
        """The largest face of a picture [rows, columns, 3]; None if there is none."""
        rows, columns = picture.shape[:2]
        self._network.setInputSize((columns, rows))
        _, found = self._network.detect(picture)
        if found is None or not len(found):
            return None
        left, top, width, height = max(np.asarray(found)[:, :4].tolist(), key=lambda f: f[2] * f[3])
        side = max(width, height) * (1 + 2 * MARGIN)
        return Box(
            round(top + height / 2 - side / 2), round(left + width / 2 - side / 2), round(side)
        )


def cut(picture: Uint8Array, box: Box) -> Uint8Array:
    """What is in the box; beyond the picture its border goes on."""
    rows, columns = picture.shape[:2]
    down = np.clip(np.arange(box.top, box.top + max(box.side, 1)), 0, rows - 1)
    across = np.clip(np.arange(box.left, box.left + max(box.side, 1)), 0, columns - 1)
    return np.ascontiguousarray(picture[down[:, None], across])
