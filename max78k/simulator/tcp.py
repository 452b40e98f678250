"""A TCP port as the host's end of a serial line: ``socket://localhost:PORT`` for host programs."""

from __future__ import annotations

import contextlib
import socket

from max78k.errors import ToolError

_READ_BYTES = 4096
_HELD_BYTES = 65536  # for a reader that is slow or has not come yet


def listener(port: int, code: str, advice: str) -> socket.socket:
    """A socket that listens on localhost for one client; port 0 takes any free one.

    Raises ToolError with ``code`` and ``advice`` if the port cannot be opened.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ToolError(code, f"TCP port {port} cannot be opened: {error}", advice) from error
    listening.listen(1)
    return listening


class TcpPort:
    """Listens on localhost and serves one client at a time; clients may come and go.

    Raises ToolError E-BOARD-TCP if the port cannot be opened. Port 0 takes any free one.
    """

    def __init__(self, port: int) -> None:
        self._listener = listener(port, "E-BOARD-TCP", "another --port tcp:N")
        self._listener.setblocking(False)
        self._client: socket.socket | None = None
        self._held = bytearray()
        self.path = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def descriptors(self) -> list[int]:
        """For ``select``: readable when the host has sent something, or a client comes."""
        return [(self._client or self._listener).fileno()]

    def read(self) -> bytes:
        """All that the host has sent, without waiting."""
        if self._client is None:
            with contextlib.suppress(BlockingIOError):
                self._client, _ = self._listener.accept()
                self._client.setblocking(False)
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            data = self._client.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._client.close()
            self._client = None
        return data

    def write(self, data: bytes) -> None:
        """Send to the host; what the system does not take now is sent with the next call."""
        self._held += data
        if self._client is not None and self._held:
            with contextlib.suppress(OSError):
                del self._held[: self._client.send(self._held)]
        del self._held[:-_HELD_BYTES]

    def close(self) -> None:
        """Close the port and the connection."""
        if self._client is not None:
            self._client.close()
        self._listener.close()
