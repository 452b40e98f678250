"""What meters on a serial port share: the port from ``open`` to ``close``, a reader beside it."""

from __future__ import annotations

from max78k.host.meters.collector import Chunks, Collector, as_lost
from max78k.host.ports import Port, open_port


class SerialMeter:
    """A meter on the port ``place``, opened at ``baud``, which has no effect on USB.

    ``open``, ``start`` and ``close`` are those of :class:`max78k.host.meters.meter.Meter` for an
    instrument that sends by itself. All raise ToolError ``E-METER-LOST`` where the port fails.
    """

    def __init__(self, place: str, baud: int = 115200) -> None:
        self._place, self._baud = place, baud
        self._port: Port | None = None
        self._collector: Collector | None = None

    def open(self) -> None:
        """Open the port."""
        self._port = open_port(self._place, self._baud)

    def start(self) -> None:
        """Begin to read."""
        assert self._port is not None
        self._collector = Collector(self._port, self._place)
        self._collector.start()

    def close(self) -> None:
        """Close the port."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def _send(self, command: bytes) -> None:
        assert self._port is not None
        with as_lost(self._place):
            self._port.write(command)

    def _collected(self) -> Chunks:
        """What has come since ``start``, which ends here."""
        assert self._collector is not None
        return self._collector.stop()
