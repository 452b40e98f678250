"""The camera's control bus: an OVM7692 on two pins, moved one by one or by I2C2."""

from __future__ import annotations

from max78k.simulator.gpio import Gpio

SCL_PIN, SDA_PIN = 30, 31  # of port 0
ADDRESS = 0x3C
_IDENTITY = {0x0A: 0x76, 0x0B: 0x92, 0x1C: 0x7F, 0x1D: 0xA2}  # product, manufacturer
_OUTPUT_SIZE = (0xCC, 0xCE)  # columns, rows; high byte first
_SOFT_RESET = (0x12, 0x80)


class CameraControl:
    """Follows the lines of port 0, and pulls the data line low for acknowledgements and data.

    Attributes:
        registers: what firmware has written, by number.
    """

    def __init__(self) -> None:
        self.registers: dict[int, int] = dict(_IDENTITY)
        self._lines = (1, 1)
        self._bits = 0  # since the start or the last byte
        self._byte = 0
        self._phase = "idle"  # idle, address, number, value, read
        self._number = 0
        self._acknowledges = False
        self._pull = False

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns of the pictures that firmware asks for; None if it has not.

        The vendor's driver asks for one row more than it takes, and takes an even number of them.
        """
        columns, rows = (
            self.registers.get(number, 0) << 8 | self.registers.get(number + 1, 0)
            for number in _OUTPUT_SIZE
        )
        return (rows & ~1, columns) if rows > 1 and columns else None

    def look(self, port: Gpio) -> None:
        """Call when pins of the port have changed."""
        lines = port.levels >> SCL_PIN & 1, port.levels >> SDA_PIN & 1
        before, self._lines = self._lines, lines
        if lines == before:
            return
        if lines[0] and before[0]:
            self._condition(started=not lines[1])
        elif lines[0]:
            self._clock_rises(lines[1])
        elif before[0]:
            self._clock_falls()
        port.drive(SDA_PIN, not self._pull)
        self._lines = lines[0], port.levels >> SDA_PIN & 1

    def _condition(self, started: bool) -> None:
        """Data moves while the clock is high: start or stop."""
        self._phase = "address" if started else "idle"
        self._bits = self._byte = 0
        self._pull = self._acknowledges = False

    def _clock_rises(self, level: int) -> None:
        if self._phase == "idle":
            return
        self._bits += 1
        if self._bits <= 8 and self._phase != "read":
            self._byte = (self._byte << 1 | level) & 0xFF
            if self._bits == 8:
                self._take(self._byte)
        elif self._bits == 9 and self._phase == "read" and level and not self._acknowledges:
            self._phase = "idle"  # the master wants no more

    def _clock_falls(self) -> None:
        if self._bits == 9:
            self._bits = self._byte = 0
            self._acknowledges = False
        if self._bits == 8:
            self._pull = self._acknowledges
        elif self._phase == "read" and not self._acknowledges:
            value = self.registers.get(self._number, 0)
            self._pull = not value >> 7 - self._bits & 1
        else:
            self._pull = False

    def _take(self, byte: int) -> None:
        """A byte is complete; the acknowledgement follows with the falling clock."""
        self._acknowledges = True
        if self._phase == "address":
            self._acknowledges = byte >> 1 == ADDRESS
            self._phase = ("read" if byte & 1 else "number") if self._acknowledges else "idle"
        elif self._phase == "number":
            self._number, self._phase = byte, "value"
        else:
            self._store(byte)

    def _store(self, byte: int) -> None:
        if (self._number, byte & _SOFT_RESET[1]) == _SOFT_RESET:
            self.registers = dict(_IDENTITY)
        elif self._number not in _IDENTITY:
            self.registers[self._number] = byte
            self._number = (self._number + 1) & 0xFF

    # -- the same as a device of an I2C controller

    def start(self, reading: bool) -> None:
        """A write begins with the register's number."""
        self._phase = "read" if reading else "number"

    def write(self, byte: int) -> None:
        """The number of a register, then what goes into it."""
        if self._phase == "number":
            self._number, self._phase = byte, "value"
        else:
            self._store(byte)

    def read(self) -> int:
        """The register."""
        return self.registers.get(self._number, 0)
