"""What a receiver must find among the bytes that reached it, by other code than the receivers'.

Bytes between two zeros are a chunk. A chunk is a message if it is COBS data (by the ``cobs``
package), no shorter or longer than a message, and ends with the CRC-32 of the rest.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field

from cobs import cobs

from max78k.host.messages import MAX_PAYLOAD

SOUND, COBS, LENGTH, CRC = "sound", "COBS", "length", "CRC"
CUT = "cut"  # no message, and its beginning may have come before the listening began
_AROUND = 10  # bytes of header and CRC
_LONGEST = MAX_PAYLOAD + _AROUND
_LONGEST_CHUNK = _LONGEST + -(-_LONGEST // 254)


@dataclass(frozen=True)
class Chunk:
    """Bytes between two delimiters; the fields of the header count only if ``kind`` is sound."""

    kind: str
    type: int = 0
    sequence: int = 0
    payload: bytes = b""
    crc: int = 0


def judge(chunk: bytes) -> Chunk:
    """What a receiver must take the bytes for."""
    if len(chunk) > _LONGEST_CHUNK:
        return Chunk(LENGTH)
    try:
        data = cobs.decode(chunk)
    except cobs.DecodeError:
        return Chunk(COBS)
    if not _AROUND <= len(data) <= _LONGEST:
        return Chunk(LENGTH)
    body, (crc,) = data[:-4], struct.unpack("<I", data[-4:])
    if crc != zlib.crc32(body):
        return Chunk(CRC)
    _, kind, sequence, length = struct.unpack_from("<BBHH", body)
    if length != len(body) - 6:
        return Chunk(LENGTH)
    return Chunk(SOUND, kind, sequence, body[6:], crc)


@dataclass
class Ledger:
    """Chunks that have reached a receiver, counted by what they are.

    ``cuts``: the receiver may begin to listen in the middle of a message, and knows it.
    """

    cuts: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _arriving: bytearray = field(default_factory=bytearray)
    _begun: bool = False  # a delimiter has come since the listening began

    def take(self, data: bytes) -> list[Chunk]:
        """The chunks that ``data`` ends."""
        *parts, rest = (bytes(self._arriving) + data).split(b"\0")
        self._arriving = bytearray(rest)
        chunks = [judge(part) for part in parts if part]
        if self.cuts and not self._begun and parts and parts[0] and chunks[0].kind != SOUND:
            chunks[0] = Chunk(CUT)
        self._begun |= bool(parts)
        self.counts.update(chunk.kind for chunk in chunks)
        return chunks

    def restart(self) -> None:
        """The receiver has dropped what it had of a chunk."""
        self._arriving.clear()
        self._begun = False
