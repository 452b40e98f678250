"""What the camera application of the firmware says: lines of ``key=value`` items.

* ``frame=N class=N score=N capture_us=N prepare_us=N load_us=N inference_us=N unload_us=N
  post_us=N period_us=N name=TEXT`` for every picture that the network has answered;
* ``picture=N rows=N columns=N class=N input_crc=HEX picture_crc=HEX scores=N,N,...`` and then
  ``row=N data=BASE64`` for each row of a picture that was asked for, as RGB565;
* ``network=TEXT ...`` after a start, ``state=...`` and ``error=...`` when something has happened.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

TOGGLE, RECORD = b"s", b"r"  # what the host may send: start or stop, send the next picture
PHASES = ("capture", "prepare", "load", "inference", "unload", "post")
_LONGEST_LINE = 1 << 16
_MOST_ROWS = 480


@dataclass(frozen=True)
class CameraFrame:
    """The answer to one picture; times in microseconds, from the board's timer.

    ``period_us`` is the time since the picture before, 0 for the first one after a start.
    """

    number: int
    class_index: int
    name: str
    score: int
    phases_us: Mapping[str, int]
    period_us: int


@dataclass(frozen=True)
class CameraPicture:
    """A picture that was sent; ``raw`` holds 2 * rows * columns bytes of RGB565."""

    number: int
    rows: int
    columns: int
    class_index: int
    input_crc: int
    scores: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True)
class CameraText:
    """Any other line; ``damaged`` is set where a picture or an answer was lost on the way."""

    text: str
    damaged: bool = False


CameraEvent = CameraFrame | CameraPicture | CameraText


class CameraLines:
    """Reads what the application sends, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._header: dict[str, str] | None = None
        self._rows: dict[int, bytes] = {}

    def feed(self, data: bytes) -> list[CameraEvent]:
        """The events that ``data`` completes. Never raises: what is wrong is told as text."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LONGEST_LINE:]
        events: list[CameraEvent] = []
        for line in lines:
            text = line.decode("utf-8", "replace").strip("\r\0 ")
            if text:
                events += self._line(text)
        return events

    def _line(self, text: str) -> list[CameraEvent]:
        is_row = text.startswith("row=")
        lost = [] if is_row else self._give_up()
        try:
            return lost + (self._row(_items(text)) if is_row else self._other(text))
        except (KeyError, ValueError):
            return lost + (self._give_up() or [CameraText(text[:80], damaged=True)])

    def _other(self, text: str) -> list[CameraEvent]:
        if text.startswith("frame="):
            return [_frame(text)]
        if not text.startswith("picture="):
            return [CameraText(text)]
        self._header = _items(text)
        rows, columns = int(self._header["rows"]), int(self._header["columns"])
        if not (0 < rows <= _MOST_ROWS and 0 < columns):
            raise ValueError
        return []

    def _row(self, items: dict[str, str]) -> list[CameraEvent]:
        if self._header is None:
            return []  # its picture has been told as damaged, or began before the host listened
        try:
            self._rows[int(items["row"])] = base64.b64decode(items["data"], validate=True)
        except binascii.Error:
            return self._give_up()
        rows = int(self._header["rows"])
        if len(self._rows) < rows:
            return []
        raw = b"".join(self._rows.get(row, b"") for row in range(rows))
        header, self._header, self._rows = self._header, None, {}
        size = 2 * rows * int(header["columns"])
        if len(raw) != size or zlib.crc32(raw) != int(header["picture_crc"], 16):
            return [CameraText(f"picture {header['picture']}", damaged=True)]
        return [_picture(header, raw)]

    def _give_up(self) -> list[CameraEvent]:
        """Forget a picture of which rows are missing."""
        header, self._header, self._rows = self._header, None, {}
        return [] if header is None else [CameraText(f"picture {header['picture']}", damaged=True)]


def _items(text: str) -> dict[str, str]:
    """The items of a line; a name is the last one and may hold spaces."""
    text, named, name = text.partition(" name=")
    items = dict(item.split("=", 1) for item in text.split())
    return {**items, "name": name} if named else items


def _frame(text: str) -> CameraFrame:
    items = _items(text)
    phases = {phase: int(items[f"{phase}_us"]) for phase in PHASES}
    return CameraFrame(
        int(items["frame"]), int(items["class"]), items["name"], int(items["score"]), phases,
        int(items["period_us"]),
    )  # fmt: skip


def _picture(header: dict[str, str], raw: bytes) -> CameraPicture:
    scores = tuple(int(score) for score in header["scores"].split(","))
    return CameraPicture(
        int(header["picture"]), int(header["rows"]), int(header["columns"]), int(header["class"]),
        int(header["input_crc"], 16), scores, raw,
    )  # fmt: skip
