"""The bytes of a port as they go and come, for a bundle that explains a failure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

from max78k.host.ports import Port

MOST_BYTES = 4 << 20  # the last ones are kept


class PortLog:
    """A port that notes what passes; everything else goes on to the port itself.

    Attributes:
        dropped: bytes at the beginning that had to make room.
    """

    def __init__(self, port: Port, most_bytes: int = MOST_BYTES) -> None:
        self._port, self._most = port, most_bytes
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
        self._held += len(data)
        while self._held > self._most:
            gone = self._passed.popleft()
            self._held -= len(gone[2])
            self.dropped += len(gone[2])
