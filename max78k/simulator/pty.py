"""A pseudo-terminal as a serial port: host programs open its path like that of a real port."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from max78k.errors import ToolError

_READ_BYTES = 4096
# Towards the host for a reader that is slow, where older bytes are lost, as with a port that nobody
# reads; from the host in one go.
_HELD_BYTES = 65536


class PseudoTerminal:
    """The device's end of a pseudo-terminal that passes all 256 byte values unchanged.

    The host's end is kept open here as well, so that host programs may come and go.

    Args:
        link: a symbolic link to make to the port; an old link there is replaced.

    Raises:
        ToolError: E-BOARD-PTY; the system has no pseudo-terminals, or the link cannot be made.
    """

    def __init__(self, link: Path | None = None) -> None:
        try:
            import tty

            self._master, self._slave = os.openpty()
        except (ImportError, AttributeError, OSError) as error:
            raise ToolError(
                "E-BOARD-PTY", f"no pseudo-terminal can be opened: {error}", "Linux or macOS"
            ) from error
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._held = bytearray()
        self._link: Path | None = None
        if link is not None:
            self._make_link(link)

    @property
    def descriptors(self) -> list[int]:
        """For ``select``: readable when the host has sent something."""
        return [self._master]

    def read(self) -> bytes:
        """What the host has sent, without waiting; a host that goes on has the next call."""
        received = bytearray()
        with contextlib.suppress(BlockingIOError):
            while len(received) < _HELD_BYTES and (data := os.read(self._master, _READ_BYTES)):
                received += data
        return bytes(received)

    def write(self, data: bytes) -> None:
        """Send to the host; what the system does not take now is sent with the next call."""
        self._held += data
        with contextlib.suppress(BlockingIOError):
            while self._held:
                del self._held[: os.write(self._master, self._held)]
        del self._held[:-_HELD_BYTES]

    def close(self) -> None:
        """Close both ends and remove the link, if it still is ours."""
        os.close(self._master)
        os.close(self._slave)
        if self._link is not None and self._link.is_symlink():
            if str(self._link.readlink()) == self.path:
                self._link.unlink()

    def _make_link(self, link: Path) -> None:
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.path)
        except OSError as error:
            self.close()
            raise ToolError(
                "E-BOARD-PTY", f"cannot make the link {link}: {error.strerror}", "another --link"
            ) from error
        self._link = link
