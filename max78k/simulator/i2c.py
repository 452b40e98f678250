"""I2C0-2 as masters on buses with devices.

Slave mode and moving the lines by register are not modelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from max78k.chip import io_registers as io
from max78k.simulator.clock import Clock, Event
from max78k.simulator.peripherals import Block

_CTRL_EN = io.I2C_CTRL.field("EN").mask | io.I2C_CTRL.field("MST_MODE").mask
_START, _RESTART, _STOP = (io.I2C_MSTCTRL.field(n).mask for n in ("START", "RESTART", "STOP"))
_FLAG = {field.name: field.mask for field in io.I2C_INTFL0.fields}
_FLUSH = 1 << 7  # in both FIFO control registers
_DEPTH = io.I2C_FIFO_BYTES
_BITS = 9  # of a byte with its acknowledgement


class I2cDevice(Protocol):
    """Something with an address on a bus."""

    def start(self, reading: bool) -> None:
        """A transfer begins that is addressed to it."""

    def write(self, byte: int) -> None:
        """Take a byte."""

    def read(self) -> int:
        """Give a byte."""


class Pmic:
    """MAX20303: registers that count up; a command is echoed where the result is read."""

    ADDRESS = 0x28
    _IDENTITY, _COMMAND, _RESULT = 0x00, 0x17, 0x18
    _HARDWARE_ID = 0x02

    def __init__(self) -> None:
        self.registers = bytearray(256)
        self.registers[self._IDENTITY] = self._HARDWARE_ID
        self._place: int | None = None

    def start(self, reading: bool) -> None:
        """A write begins with the register's number."""
        if not reading:
            self._place = None

    def write(self, byte: int) -> None:
        """The number of a register, then what goes into it and the next ones."""
        if self._place is None:
            self._place = byte
            return
        if self._place != self._IDENTITY:
            self.registers[self._place] = byte
        if self._place == self._COMMAND:
            self.registers[self._RESULT] = byte
        self._place = (self._place + 1) % 256

    def read(self) -> int:
        """The register, and on to the next."""
        place = self._place or 0
        self._place = (place + 1) % 256
        return self.registers[place]


class I2c(Block):
    """One controller and its bus.

    Args:
        devices: by 7-bit address.
        peripheral_period: gives the period of PCLK in femtoseconds.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        set_irq: Callable[[bool], None],
        peripheral_period: Callable[[], int],
        devices: Mapping[int, I2cDevice],
    ) -> None:
        super().__init__(name, {io.I2C_FIFOLEN.offset: _DEPTH | _DEPTH << 8})
        self.devices = devices
        self._clock = clock
        self._set_irq = set_irq
        self._peripheral_period = peripheral_period
        self._tx: deque[int] = deque()
        self._rx: deque[int] = deque()
        self._event: Event | None = None
        self._state = "idle"  # idle, address, write, read, held
        self._device: I2cDevice | None = None
        self._left = 0
        self.readers |= {
            io.I2C_STATUS.offset: self._status,
            io.I2C_FIFO.offset: self._read_fifo,
            io.I2C_RXCTRL1.offset: lambda: self._word(io.I2C_RXCTRL1.offset) | len(self._rx) << 8,
            io.I2C_TXCTRL1.offset: lambda: len(self._tx) << 8,
            io.I2C_CTRL.offset: lambda: self._word(io.I2C_CTRL.offset) | 3 << 8,  # lines are high
            io.I2C_INTFL0.offset: self._flags,
        }
        self.writers |= {
            io.I2C_FIFO.offset: self._write_fifo,
            io.I2C_MSTCTRL.offset: self._write_master,
            io.I2C_INTFL0.offset: self._clear_flags,
            io.I2C_INTEN0.offset: self._write_enables,
            io.I2C_RXCTRL0.offset: lambda value: self._write_control(io.I2C_RXCTRL0.offset, value),
            io.I2C_TXCTRL0.offset: lambda value: self._write_control(io.I2C_TXCTRL0.offset, value),
            io.I2C_CTRL.offset: self._write_ctrl,
        }

        self.narrow_writers[io.I2C_FIFO.offset] = lambda value, size: self._write_fifo(value)

    def reset(self) -> None:
        """Idle, FIFOs empty."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._tx.clear()
        self._rx.clear()
        self._state = "idle"
        self._set_irq(False)

    def _word(self, offset: int) -> int:
        return self.words.get(offset, 0)

    # -- registers

    def _status(self) -> int:
        rx, tx, busy = len(self._rx), len(self._tx), self._state != "idle"
        return (
            busy
            | (not rx) << 1
            | (rx == _DEPTH) << 2
            | (not tx) << 3
            | (tx == _DEPTH) << 4
            | (busy << 5)
        )

    def _flags(self) -> int:
        """Event flags, and the two that follow the FIFOs' levels."""
        value = self._word(io.I2C_INTFL0.offset)
        rx = io.I2C_RXCTRL0.field("THD").get(self._word(io.I2C_RXCTRL0.offset))
        tx = io.I2C_TXCTRL0.field("THD").get(self._word(io.I2C_TXCTRL0.offset))
        if len(self._rx) >= max(rx, 1):
            value |= _FLAG["RX_THD"]
        if len(self._tx) <= tx:
            value |= _FLAG["TX_THD"]
        return value

    def _update_irq(self) -> None:
        self._set_irq(bool(self._flags() & self._word(io.I2C_INTEN0.offset)))

    def _raise(self, *names: str) -> None:
        for name in names:
            self.words[io.I2C_INTFL0.offset] = self._word(io.I2C_INTFL0.offset) | _FLAG[name]
        self._update_irq()

    def _clear_flags(self, value: int) -> None:
        self.words[io.I2C_INTFL0.offset] = self._word(io.I2C_INTFL0.offset) & ~value
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[io.I2C_INTEN0.offset] = value
        self._update_irq()

    def _write_control(self, offset: int, value: int) -> None:
        if value & _FLUSH:
            (self._rx if offset == io.I2C_RXCTRL0.offset else self._tx).clear()
        self.words[offset] = value & ~_FLUSH
        self._go_on()

    def _write_ctrl(self, value: int) -> None:
        self.words[io.I2C_CTRL.offset] = value
        if value & _CTRL_EN != _CTRL_EN:
            self._clock.cancel(self._event)
            self._event, self._state = None, "idle"
            self._tx.clear()
            self._rx.clear()
            self.words[io.I2C_MSTCTRL.offset] = 0

    def _read_fifo(self) -> int:
        byte = self._rx.popleft() if self._rx else 0
        self._go_on()
        return byte

    def _write_fifo(self, value: int) -> None:
        if len(self._tx) < _DEPTH:
            self._tx.append(value & 0xFF)
        self._go_on()

    def _write_master(self, value: int) -> None:
        if self._word(io.I2C_CTRL.offset) & _CTRL_EN == _CTRL_EN:
            self.words[io.I2C_MSTCTRL.offset] = value
            self._go_on()

    # -- the bus

    @property
    def _byte_time(self) -> int:
        low = io.I2C_CLKLO.field("LO").get(self._word(io.I2C_CLKLO.offset))
        high = io.I2C_CLKHI.field("HI").get(self._word(io.I2C_CLKHI.offset))
        return _BITS * (low + high + 2) * self._peripheral_period()

    def _take(self, bit: int) -> bool:
        """Whether the master's bit is set; clears it."""
        value = self._word(io.I2C_MSTCTRL.offset)
        self.words[io.I2C_MSTCTRL.offset] = value & ~bit
        return bool(value & bit)

    def _go_on(self) -> None:
        """Begin the next byte or condition, if there is one to begin; the line may be stretched."""
        if self._event is None:
            self._begin()
        self._update_irq()

    def _begin(self) -> None:
        if self._state == "idle":
            if self._take(_START) or self._take(_RESTART):
                self._state = "address"
            else:
                return
        ready = {
            "address": bool(self._tx),
            "write": bool(self._tx),
            "read": self._left > 0 and len(self._rx) < _DEPTH,
        }.get(self._state, False)
        if ready:
            action = {"address": self._address, "write": self._write_byte, "read": self._read_byte}
            self._event = self._clock.schedule(self._byte_time, action[self._state], work=True)
        elif self._state in ("write", "held") or (self._state == "read" and not self._left):
            if self._take(_RESTART):
                self._state = "address"
                self._begin()
            elif self._take(_STOP):
                self._state = "idle"
                self._raise("STOP")

    def _address(self) -> None:
        self._event = None
        if not self._tx:  # flushed meanwhile
            return
        byte = self._tx.popleft()
        self._device = self.devices.get(byte >> 1)
        if self._device is None:
            self._tx.clear()
            self._state = "held"
            self._raise("ADDR_NACK_ERR")
        else:
            self._device.start(bool(byte & 1))
            self._state = "read" if byte & 1 else "write"
            self._left = io.I2C_RXCTRL1.field("CNT").get(self._word(io.I2C_RXCTRL1.offset)) or 256
            self._raise("ADDR_ACK")
        self._go_on()

    def _write_byte(self) -> None:
        self._event = None
        if self._tx and self._device is not None:
            self._device.write(self._tx.popleft())
        if not self._tx:
            self._raise("DONE")
        self._go_on()

    def _read_byte(self) -> None:
        self._event = None
        assert self._device is not None
        self._rx.append(self._device.read())
        self._left -= 1
        if not self._left:
            self._raise("DONE")
        self._go_on()
