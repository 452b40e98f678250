"""Pictures one after another: of a file, a folder, a video or a webcam."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from max78k.datasets.dataset import Uint8Array
from max78k.datasets.images import decoded
from max78k.errors import InputError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
WEBCAM = re.compile(r"(?:webcam(?::(\d{1,2}))?|(\d{1,2}))")

Frame = tuple[str, Uint8Array]  # its name; [rows, columns, 3], blue first


class PngNames:
    """PNG files for pictures as they come, no name twice, in upper or lower case."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, name: str | Path) -> Path:
        """``photo.jpg`` gets photo.png, a later ``photo.bmp`` photo-2.png; folders stay."""
        path = Path(name)
        base = path.with_suffix("") if path.suffix.lower() in IMAGES else path
        own, number = base, 1
        while str(own).lower() in self._taken:
            number += 1
            own = base.with_name(f"{base.name}-{number}")
        self._taken.add(str(own).lower())
        return own.with_name(f"{own.name}.png")


def frames(
    source: str,
    *,
    repeat: bool = False,
    unreadable: Callable[[InputError], None] | None = None,
) -> Iterator[Frame]:
    """All pictures of a source, in order of names or of time.

    Args:
        source: path of an image, a folder of images or a video; ``webcam``, ``webcam:N`` or ``N``.
        repeat: begin anew at the end, for ever; a webcam has no end.
        unreadable: is told of each picture of a folder that cannot be read and is left out; without
            it the first one is an error.

    Raises:
        InputError: E-FRAMES-SOURCE, E-DATA-IMAGE; the source cannot be read, now or at a picture.
    """
    match = WEBCAM.fullmatch(source)
    path = Path(source)
    if match and not path.exists():
        yield from _video(int(match[1] or match[2] or 0), source)
    while True:
        if path.is_dir():
            pictures = _folder(path, unreadable)
            first = next(pictures, None)
            if first is None:
                raise _refusal(source, "holds no images")
            yield first
            yield from pictures
        elif path.suffix.lower() in IMAGES:
            picture = decoded(path)
            yield path.name, picture
            while repeat:
                yield path.name, picture
        else:
            yield from _video(source, source)
        if not repeat:
            return


def _folder(path: Path, unreadable: Callable[[InputError], None] | None) -> Iterator[Frame]:
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in IMAGES:
            continue
        try:
            picture = decoded(file)
        except InputError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        yield file.name, picture


def _video(source: str | int, name: str) -> Iterator[Frame]:
    import cv2

    if isinstance(source, str) and not Path(source).is_file():
        raise _refusal(name, "does not exist")
    capture, number = cv2.VideoCapture(source), 0
    try:
        while True:
            found, frame = capture.read()
            if not found and (number == 0 or isinstance(source, int)):
                raise _refusal(name, "gives no pictures")
            if not found:
                return
            number += 1
            yield f"{Path(name).stem}-{number:06}", np.asarray(frame, np.uint8)
    finally:
        capture.release()


def _refusal(source: str, why: str) -> InputError:
    return InputError(
        "E-FRAMES-SOURCE", f"{source} {why}.", "an image, a folder of images, a video, or webcam:0"
    )
