"""Reading a serial instrument beside everything else, with the time at which bytes came."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from max78k.errors import ToolError
from max78k.host.ports import PORT_ERRORS, Port

Chunks = list[tuple[float, bytes]]  # (host's time.monotonic after the read, bytes)
_CHUNK = 1 << 16


@contextmanager
def as_lost(name: str) -> Iterator[None]:
    """Raise ToolError ``E-METER-LOST`` where the port of the meter on ``name`` fails."""
    try:
        yield
    except PORT_ERRORS as error:
        raise _lost(name, f"failed: {error}") from error


def _lost(name: str, why: str) -> ToolError:
    return ToolError(
        "E-METER-LOST",
        f"the meter on {name} {why}.",
        "check its cable and its port, and that no other program reads it",
    )


class Collector:
    """Reads a port in a thread of its own, from ``start`` to ``stop``."""

    def __init__(self, port: Port, name: str) -> None:
        self._port, self._name = port, name
        self._chunks: Chunks = []
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="meter", daemon=True)

    def start(self) -> None:
        """Begin; what came before is dropped. Raises ToolError ``E-METER-LOST``."""
        with as_lost(self._name):
            self._port.reset_input_buffer()
        self._thread.start()

    def stop(self) -> Chunks:
        """End. Raises ToolError ``E-METER-LOST`` if the port failed or nothing came."""
        self._stop.set()
        self._thread.join()
        if self._error is not None or not self._chunks:
            why = f"failed: {self._error}" if self._error is not None else "sent nothing"
            raise _lost(self._name, why)
        return self._chunks

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                data = self._port.read(min(max(self._port.in_waiting, 1), _CHUNK))
                if data:
                    self._chunks.append((time.monotonic(), data))
        except Exception as error:  # pySerial's own, OSError, TypeError of a port closed meanwhile
            self._error = error


def whole_lines(chunks: Chunks) -> list[tuple[float, str]]:
    """Lines with the time at which their last byte came; the first, maybe cut off, is left out."""
    lines, rest = [], b""
    for moment, data in chunks:
        *done, rest = (rest + data).split(b"\n")
        lines += [(moment, line.decode("ascii", "replace").strip()) for line in done]
    return [line for line in lines[1:] if line[1]]


def numbers(line: str) -> list[float] | None:
    """Comma-separated finite numbers, or None."""
    try:
        values = [float(cell) for cell in line.split(",")]
    except ValueError:
        return None
    return values if all(abs(value) < float("inf") for value in values) else None
