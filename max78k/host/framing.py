"""Frames on the wire: COBS, header, CRC-32, and a decoder that finds its way back after damage.

The layout is that of :mod:`max78k.host.messages`. COBS (consistent overhead byte stuffing) leaves
no zero byte inside a frame, so that the zero which ends it is found again whatever was lost before.
A frame goes out between two zeros, of which one is enough: a byte that is lost or wrong costs one
frame at the most, also where it was a zero.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, fields

from max78k.host.messages import CRC, HEADER, MAX_FRAME, PROTOCOL_VERSION

_BLOCK = 254  # data bytes that one COBS code byte can announce
MAX_ENCODED = MAX_FRAME + -(-MAX_FRAME // _BLOCK)  # without the delimiter
FOREIGN_KEPT = 512  # last bytes that belong to no frame, kept for the diagnosis


class FrameError(ValueError):
    """Bytes between two delimiters are no frame; ``kind`` is a counter of Statistics."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        super().__init__(text)


@dataclass(frozen=True)
class Frame:
    """A frame whose CRC is right; ``version`` may be one that this host does not speak."""

    type: int
    sequence: int
    payload: bytes = b""
    version: int = PROTOCOL_VERSION


def cobs_encode(data: bytes) -> bytes:
    """``data`` without zero bytes, at most one byte per 254 longer; no delimiter."""
    out = bytearray()
    *zero_ended, last = data.split(b"\0")
    for run in zero_ended:
        full = len(run) - len(run) % _BLOCK
        _put_blocks(out, run[:full])
        out.append(len(run) - full + 1)
        out += run[full:]
    full = len(last) - len(last) % _BLOCK
    _put_blocks(out, last[:full])
    if full < len(last) or not full:  # a full block at the very end needs nothing after it
        out.append(len(last) - full + 1)
        out += last[full:]
    return bytes(out)


def _put_blocks(out: bytearray, run: bytes) -> None:
    """Append a run without zeros, a multiple of 254 bytes long, as blocks with code 255."""
    for start in range(0, len(run), _BLOCK):
        out.append(_BLOCK + 1)
        out += run[start : start + _BLOCK]


def cobs_decode(data: bytes) -> bytes:
    """Undo :func:`cobs_encode`; raises FrameError on a zero byte or a block that is cut off."""
    if 0 in data:
        raise FrameError("bad_stuffing", "zero byte inside COBS data")
    out = bytearray()
    position = 0
    while position < len(data):
        code = data[position]
        block = data[position + 1 : position + code]
        if len(block) != code - 1:
            raise FrameError("bad_stuffing", "COBS block is cut off")
        out += block
        position += code
        if code <= _BLOCK and position < len(data):
            out.append(0)
    return bytes(out)


def pack(frame: Frame) -> bytes:
    """The frame as it goes over the wire, with a delimiter at either end."""
    body = HEADER.pack(frame.version, frame.type, frame.sequence, len(frame.payload))
    body += frame.payload
    return b"\0" + cobs_encode(body + CRC.pack(zlib.crc32(body))) + b"\0"


def unpack(chunk: bytes) -> Frame:
    """The frame in ``chunk``, the bytes before a delimiter; raises FrameError if there is none."""
    data = cobs_decode(chunk)
    if not HEADER.size + CRC.size <= len(data) <= MAX_FRAME:
        raise FrameError("bad_length", f"{len(data)} bytes are no frame")
    body = data[: -CRC.size]
    if CRC.unpack(data[-CRC.size :])[0] != zlib.crc32(body):
        raise FrameError("bad_crc", "CRC differs")
    version, kind, sequence, length = HEADER.unpack_from(body)
    payload = body[HEADER.size :]
    if length != len(payload):
        arrived = f"header states {length} bytes of payload, {len(payload)} arrived"
        raise FrameError("bad_length", arrived)
    return Frame(kind, sequence, payload, version)


@dataclass
class Statistics:
    """What a decoder has seen since it was made."""

    frames: int = 0
    bad_chunks: int = 0  # delimited bytes with a wrong CRC, length or stuffing
    bad_stuffing: int = 0  # of the bad chunks: those that are no COBS data
    bad_length: int = 0  # of the bad chunks: shorter or longer than a frame, or than they state
    bad_crc: int = 0  # of the bad chunks: those whose CRC differs
    overlong_chunks: int = 0  # more bytes without a delimiter than any frame has
    foreign_bytes: int = 0  # bytes in bad and overlong chunks
    cut_chunks: int = 0  # no frames, and their beginning may have come before the listening began

    @property
    def damaged(self) -> int:
        """Chunks in which something was lost or wrong."""
        return self.bad_chunks + self.overlong_chunks

    def add(self, other: Statistics) -> None:
        """Count what another decoder, or this one at another time, has seen."""
        for entry in fields(self):
            name = entry.name
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Decoder:
    """Turns a byte stream, cut anywhere, into frames; memory stays below one frame.

    ``foreign`` holds the last bytes that belonged to no frame.
    """

    statistics: Statistics = field(default_factory=Statistics)
    foreign: bytes = b""
    _pending: bytearray = field(default_factory=bytearray)
    _known: int = 0  # bytes of the pending ones that are no evidence any more
    _skipping: bool = False  # inside an overlong chunk
    _cut: bool = False  # before the first delimiter since the listening began

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order."""
        frames = []
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._append(part)
            chunk, self._pending, self._known = bytes(self._pending), bytearray(), 0
            skipped, self._skipping = self._skipping, False
            cut, self._cut = self._cut, False
            if not chunk and not skipped:
                continue  # between two frames
            frame = None if skipped else self._frame(chunk, cut)
            if frame is not None:
                frames.append(frame)
        self._append(rest)
        return frames

    def unfinished(self) -> bytes:
        """Bytes since the last delimiter or :meth:`forget`, whichever came later."""
        return bytes(self._pending[self._known :])

    def forget(self) -> None:
        """Drop the evidence: what came before says nothing about the next request.

        A frame that has come in part is kept: its other part will come.
        """
        self._known = len(self._pending)
        self.foreign = b""

    def restart(self) -> None:
        """Begin anew on a line whose bytes so far have been dropped, perhaps amid a frame."""
        self._pending, self._known = bytearray(), 0
        self._skipping, self._cut = False, True
        self.foreign = b""

    def _append(self, part: bytes) -> None:
        if self._skipping:
            self._note_foreign(part)
            return
        self._pending += part
        if len(self._pending) > MAX_ENCODED:
            self.statistics.overlong_chunks += 1
            self._note_foreign(bytes(self._pending))
            self._pending, self._known = bytearray(), 0
            self._skipping = True

    def _frame(self, chunk: bytes, cut: bool) -> Frame | None:
        try:
            frame = unpack(chunk)
        except FrameError as error:
            if cut:
                self.statistics.cut_chunks += 1
                self._keep(chunk)
                return None
            self.statistics.bad_chunks += 1
            setattr(self.statistics, error.kind, getattr(self.statistics, error.kind) + 1)
            self._note_foreign(chunk)
            return None
        self.statistics.frames += 1
        return frame

    def _note_foreign(self, data: bytes) -> None:
        self.statistics.foreign_bytes += len(data)
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        self.foreign = (self.foreign + data)[-FOREIGN_KEPT:]
