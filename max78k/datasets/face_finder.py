"""Finding the face in a photograph.

OpenCV finds faces with the network YuNet, whose file does not come with OpenCV or with this
package: the user gives its path. See :data:`WHERE`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from max78k.datasets.dataset import Uint8Array
from max78k.errors import InputError

WHERE = (
    "face_detection_yunet_2023mar.onnx (232,589 bytes, MIT licence) of the folder "
    "models/face_detection_yunet in https://github.com/opencv/opencv_zoo"
)
LONGEST_SIDE = 640  # of what is searched: YuNet is for faces of about 10 to 300 pixels
LEAST_SCORE = 0.7
_POINTER = b"version https://git-lfs"  # what stands in a clone without Git LFS
_PLACE = re.compile(r"^OpenCV\S* \S+: error: ")  # in its source
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

        level = cv2.utils.logging.getLogLevel()
        try:
            if not model.is_file():
                raise ValueError("there is no such file")
            if _begins_with(model, _POINTER):
                raise ValueError("it is a Git LFS pointer, not the file itself (git lfs pull)")
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self._network = cv2.FaceDetectorYN.create(
                str(model), "", (320, 320), score_threshold=LEAST_SCORE
            )
            self.find(np.zeros((64, 64, 3), np.uint8))  # another network fails here
        except (cv2.error, ValueError, OSError) as error:
            reason = _PLACE.sub("", str(error).strip().splitlines()[-1]).rstrip(".")
            raise InputError(
                "E-FACE-MODEL", f"{model} cannot find faces: {reason}.", WHERE + "."
            ) from None
        finally:
            cv2.utils.logging.setLogLevel(level)

    def find(self, picture: Uint8Array) -> Box | None:
        """The largest face of a picture [rows, columns, 3]; None if there is none."""
        import cv2

        scale = max(*picture.shape[:2], LONGEST_SIDE) / LONGEST_SIDE
        rows, columns = (max(round(side / scale), 1) for side in picture.shape[:2])
        if scale > 1:
            smaller = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
            picture = np.asarray(smaller, np.uint8)
        self._network.setInputSize((columns, rows))
        _, found = self._network.detect(picture)
        if found is None or not len(found):
            return None
        faces = (scale * np.asarray(found)[:, :4]).tolist()
        left, top, width, height = max(faces, key=lambda face: face[2] * face[3])
        side = max(width, height) * (1 + 2 * MARGIN)
        return Box(
            round(top + height / 2 - side / 2), round(left + width / 2 - side / 2), round(side)
        )


def _begins_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def cut(picture: Uint8Array, box: Box) -> Uint8Array:
    """What is in the box; beyond the picture its border goes on."""
    rows, columns = picture.shape[:2]
    down = np.clip(np.arange(box.top, box.top + max(box.side, 1)), 0, rows - 1)
    across = np.clip(np.arange(box.left, box.left + max(box.side, 1)), 0, columns - 1)
    return np.ascontiguousarray(picture[down[:, None], across])
