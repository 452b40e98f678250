"""The bytes of a port as they go and come, for a bundle that explains a failure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from max78k.host.ports import Port

MOST_BYTES = 16 << 20  # of memory, for the last ones
_ENTRY_BYTES = 128  # beside the bytes themselves, which often come one by one


class PortLog:
    """A port that notes what passes; everything else goes on to the port itself.

    Attributes:
        dropped: bytes at the beginning that had to make room.
    """

    def __init__(self, port: Port) -> None:
        self._port = port
        self._passed: deque[tuple[float, str, bytes]] = deque()
        self._held = 0
        self._start = time.perf_counter()
        self.dropped = 0

    @property
    def baudrate(self) -> int:
        """Of the port; a change of it is noted too."""
        return self._port.baudrate

    @baudrate.setter
    def baudrate(self, rate: int) -> None:
        self._port.baudrate = rate
        self._note("=", str(rate).encode())

    @property
    def in_waiting(self) -> int:
        """See :class:`max78k.host.ports.Port`."""
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        """See :class:`max78k.host.ports.Port`."""
        data = self._port.read(size)
        if data:
            self._note("<", data)
        return data

    def write(self, data: bytes, /) -> int | None:
        """See :class:`max78k.host.ports.Port`."""
        self._note(">", data)
        return self._port.write(data)

    def reset_input_buffer(self) -> None:
        """See :class:`max78k.host.ports.Port`."""
        self._port.reset_input_buffer()

    def close(self) -> None:
        """See :class:`max78k.host.ports.Port`."""
        self._port.close()

    def lines(self) -> Iterator[str]:
        """``SECONDS > HEX`` to the board, ``<`` from it, ``SECONDS = RATE`` at a change of rate."""
        for seconds, way, data in self._passed:
            yield f"{seconds:.6f} {way} {data.decode() if way == '=' else data.hex()}"

    def _note(self, way: str, data: bytes) -> None:
        self._passed.append((time.perf_counter() - self._start, way, bytes(data)))
        self._held += _ENTRY_BYTES + len(data)
        while self._held > MOST_BYTES:
            gone = self._passed.popleft()
            self._held -= _ENTRY_BYTES + len(gone[2])
            self.dropped += len(gone[2])
