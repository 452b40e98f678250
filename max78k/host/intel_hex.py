"""Writing Intel HEX: records with a checksum each, addresses of 32 bits."""

from __future__ import annotations

from collections.abc import Iterable

_BYTES = 16  # of content in one record
_DATA, _END, _UPPER_ADDRESS = 0, 1, 4
_BORDER = 0x10000  # that a record must not cross


def intel_hex(segments: Iterable[tuple[int, bytes]]) -> str:
    """The file's text for (address, content) of each segment."""
    lines = []
    upper = None
    for start, content in segments:
        for position in range(0, len(content), _BYTES):
            for address, part in _split(start + position, content[position:][:_BYTES]):
                if address // _BORDER != upper:
                    upper = address // _BORDER
                    lines.append(_record(_UPPER_ADDRESS, 0, upper.to_bytes(2, "big")))
                lines.append(_record(_DATA, address % _BORDER, part))
    lines.append(_record(_END, 0, b""))
    return "\n".join(lines) + "\n"


def _split(address: int, content: bytes) -> list[tuple[int, bytes]]:
    room = _BORDER - address % _BORDER
    parts = [(address, content[:room]), (address + room, content[room:])]
    return [(start, part) for start, part in parts if part]


def _record(kind: int, address: int, content: bytes) -> str:
    body = bytes([len(content)]) + address.to_bytes(2, "big") + bytes([kind]) + content
    return ":" + (body + bytes([-sum(body) & 0xFF])).hex().upper()
