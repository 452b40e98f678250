"""UART0-3: FIFOs of 8 bytes, both directions in time with the programmed baud rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block

_CTRL = mcu.UART_CTRL
_BCLKEN, _BCLKRDY = _CTRL.field("BCLKEN").mask, _CTRL.field("BCLKRDY").mask
_CHAR_SIZE, _PAR_EN, _ODD = map(_CTRL.field, ("CHAR_SIZE", "PAR_EN", "PAR_EO"))
_STOPBITS, _BCLKSRC = _CTRL.field("STOPBITS"), _CTRL.field("BCLKSRC")
_RX_THRESHOLD = _CTRL.field("RX_THD_VAL").mask
_STATUS = {field.name: field.lsb for field in mcu.UART_STATUS.fields}
_TX_FLUSH, _RX_FLUSH = _CTRL.field("TX_FLUSH").mask, _CTRL.field("RX_FLUSH").mask
_RX_OV = mcu.UART_INT_FL.field("RX_OV").mask
_RX_THD = mcu.UART_INT_FL.field("RX_THD").mask
_TX_HE = mcu.UART_INT_FL.field("TX_HE").mask
_DEPTH = mcu.UART_FIFO_BYTES
_DMA, _FDM = mcu.UART_DMA, _CTRL.field("FDM").mask
_CLKDIV, _INT_EN, _INT_FL = mcu.UART_CLKDIV.offset, mcu.UART_INT_EN.offset, mcu.UART_INT_FL.offset
_CLKDIV_MASK = mcu.UART_CLKDIV.field("CLKDIV").mask


# Bit clock sources by their codes; the others are the peripheral clock.
STANDARD_SOURCES = {mcu.UART_CLOCK_SOURCE_IBRO: SECOND // mcu.IBRO_HZ}
LOW_POWER_SOURCES = {0: SECOND // mcu.IBRO_HZ, 1: SECOND // mcu.ERTCO_HZ}


@dataclass(frozen=True)
class Frame:
    """A byte on a line: the level of each of its bits, and how long a bit takes (femtoseconds)."""

    levels: tuple[int, ...]
    bit_time: int


class Uart(Block):
    """One UART and the far end of its line.

    Interrupt flags are set by events (a byte with which the FIFO reaches the threshold, as the
    vendor's driver describes it; a byte that leaves it half empty or emptier) and stay until they
    are cleared.
    Bytes from the host wait until the receiver is enabled. Line speed on the host's side is not
    known, so there are no framing errors.

    Args:
        name: for messages.
        set_irq: drives the interrupt line.
        peripheral_period: gives the period of PCLK in femtoseconds.
        sources: periods of the other bit clock sources, by their codes.

    Attributes:
        line: what a byte becomes on its way, None where it is lost.
        on_frame: called with this, a byte and whether the chip sends it, when it begins.
        on_enable: called when the bit clock may have been switched.
        connected: whether a pin has been switched from GPIO to the UART.
        on_level: called while DMA is enabled, when a FIFO's level has changed.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        log: FindingLog,
        set_irq: Callable[[bool], None],
        peripheral_period: Callable[[], int],
        sources: Mapping[int, int] = STANDARD_SOURCES,
    ) -> None:
        super().__init__(name)
        self._clock = clock
        self._log = log
        self._set_irq = set_irq
        self._peripheral_period = peripheral_period
        self._sources = sources
        self.on_level: Callable[[], None] = lambda: None
        self.on_frame: Callable[[Uart, int, bool], None] = lambda uart, byte, sent: None
        self.on_enable: Callable[[], None] = lambda: None
        self.connected: Callable[[], bool] = lambda: True
        self.line: Callable[[int], int | None] = lambda byte: byte
        self._to_device: deque[int] = deque()
        self._to_host = bytearray()
        self._rx: deque[int] = deque()
        self._tx: deque[int] = deque()
        self._format = (-1, 0, 0)  # control word, bits of a byte, period of its clock source
        self._sending: Event | None = None
        self._receiving: Event | None = None
        self.readers |= {
            mcu.UART_STATUS.offset: self._read_status,
            mcu.UART_CTRL.offset: self._read_ctrl,
            mcu.UART_FIFO.offset: self._read_fifo,
            mcu.UART_TXPEEK.offset: lambda: self._tx[0] if self._tx else 0,
        }
        self.writers |= {
            mcu.UART_STATUS.offset: lambda value: None,
            mcu.UART_CTRL.offset: self._write_ctrl,
            mcu.UART_FIFO.offset: self._write_fifo,
            mcu.UART_INT_FL.offset: self._write_flags,
            mcu.UART_INT_EN.offset: self._write_enables,
            _DMA.offset: self._write_dma,
        }

        self.narrow_writers[mcu.UART_FIFO.offset] = lambda value, size: self._write_fifo(value)

    # -- the host's end

    def host_write(self, data: bytes) -> None:
        """Send bytes to the device."""
        self._to_device.extend(data)
        self._start_receiving()

    def host_read(self) -> bytes:
        """All bytes that the device has sent since the last call."""
        data = bytes(self._to_host)
        self._to_host.clear()
        return data

    @property
    def host_waiting(self) -> int:
        """Bytes from the host that the device has not received yet."""
        return len(self._to_device)

    # -- the device's end

    def reset(self) -> None:
        """Registers and FIFOs; a byte on the line is lost."""
        super().reset()
        self._clock.cancel(self._sending)
        self._clock.cancel(self._receiving)
        self._sending = self._receiving = None
        self._rx.clear()
        self._tx.clear()
        self._set_irq(False)
        self.on_enable()

    @property
    def enabled(self) -> bool:
        """The bit clock runs."""
        return bool(self.words.get(_CTRL.offset, 0) & _BCLKEN)

    @property
    def _byte_time(self) -> int:
        word = self.words.get(_CTRL.offset, 0)
        if word != self._format[0]:
            bits = 1 + 5 + _CHAR_SIZE.get(word) + _PAR_EN.get(word) + 1 + _STOPBITS.get(word)
            self._format = word, bits, self._sources.get(_BCLKSRC.get(word), 0)
        _, bits, period = self._format
        divisor = max(self.words.get(_CLKDIV, 0) & _CLKDIV_MASK, 1)
        time = bits * divisor * (period or self._peripheral_period())
        return time // 2 if word & _FDM else time  # then the divisor counts half clocks

    def _read_ctrl(self) -> int:
        value = self.words.get(mcu.UART_CTRL.offset, 0)
        return value | (_BCLKRDY if value & _BCLKEN else 0)

    def _write_ctrl(self, value: int) -> None:
        if value & _RX_FLUSH:
            self._rx.clear()
        if value & _TX_FLUSH:
            self._tx.clear()
        self.words[mcu.UART_CTRL.offset] = value & ~(_RX_FLUSH | _TX_FLUSH | _BCLKRDY)
        self.on_enable()
        self._start_receiving()
        self._start_sending()

    def _read_status(self) -> int:
        rx, tx = len(self._rx), len(self._tx)
        return (
            (self._sending is not None) << _STATUS["TX_BUSY"]
            | (self._receiving is not None) << _STATUS["RX_BUSY"]
            | (not rx) << _STATUS["RX_EM"]
            | (rx == _DEPTH) << _STATUS["RX_FULL"]
            | (not tx) << _STATUS["TX_EM"]
            | (tx == _DEPTH) << _STATUS["TX_FULL"]
            | rx << _STATUS["RX_LVL"]
            | tx << _STATUS["TX_LVL"]
        )

    def _read_fifo(self) -> int:
        return self._rx.popleft() if self._rx else 0

    def _write_fifo(self, value: int) -> None:
        if len(self._tx) == _DEPTH:
            self._log.add(
                "E-BOARD-UART-FULL", f"{self.name}: a byte is written to a full FIFO and lost"
            )
            return
        self._tx.append(value & 0xFF)
        self._start_sending()

    def _write_flags(self, value: int) -> None:
        self.words[_INT_FL] = self.words.get(_INT_FL, 0) & ~value
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[_INT_EN] = value
        self._update_irq()

    def _raise(self, flag: int) -> None:
        self.words[_INT_FL] = self.words.get(_INT_FL, 0) | flag
        self._update_irq()

    def _update_irq(self) -> None:
        self._set_irq(bool(self.words.get(_INT_FL, 0) & self.words.get(_INT_EN, 0)))

    def _write_dma(self, value: int) -> None:
        self.words[_DMA.offset] = value
        self.on_level()

    def _level_changed(self) -> None:
        if self.words.get(_DMA.offset, 0):
            self.on_level()

    def wants_receive_dma(self) -> bool:
        """Request line for bytes to be fetched."""
        fields = _DMA.unpack(self.words.get(_DMA.offset, 0))
        return bool(fields["RX_EN"]) and len(self._rx) >= max(fields["RX_THD_VAL"], 1)

    def wants_transmit_dma(self) -> bool:
        """Request line for bytes to be sent."""
        fields = _DMA.unpack(self.words.get(_DMA.offset, 0))
        room = len(self._tx) < _DEPTH and len(self._tx) <= fields["TX_THD_VAL"]
        return bool(fields["TX_EN"]) and room

    # -- the line

    def frame(self, byte: int) -> Frame:
        """What a byte is on the line, in the present format."""
        word, time = self.words.get(_CTRL.offset, 0), self._byte_time
        data = [byte >> n & 1 for n in range(5 + _CHAR_SIZE.get(word))]
        parity = [_ODD.get(word) ^ sum(data) & 1] if _PAR_EN.get(word) else []
        levels = (0, *data, *parity, *(1,) * (1 + _STOPBITS.get(word)))
        return Frame(levels, time // len(levels))

    def _start_sending(self) -> None:
        """Move a byte into the shift register, from where it reaches the host a byte time later."""
        if self._sending is None and self._tx and self.enabled:
            if not self.connected():
                self._log.add(
                    "E-BOARD-PINS", f"{self.name} sends, but its pins are still those of the GPIO"
                )
            byte = self._tx.popleft()
            self.on_frame(self, byte, True)
            self._sending = self._clock.schedule(
                self._byte_time, lambda: self._sent(byte), work=True
            )
            if len(self._tx) <= _DEPTH // 2:
                self._raise(_TX_HE)
            self._level_changed()

    def _sent(self, byte: int) -> None:
        self._sending = None
        arrives = self.line(byte)
        if arrives is not None:
            self._to_host.append(arrives)
        self._start_sending()

    def _start_receiving(self) -> None:
        if self._receiving is None and self._to_device and self.enabled:
            self.on_frame(self, self._to_device[0], False)
            self._receiving = self._clock.schedule(self._byte_time, self._received, work=True)

    def _received(self) -> None:
        self._receiving = None
        if not self.enabled:
            return
        byte = self.line(self._to_device.popleft())
        if byte is None:
            pass
        elif len(self._rx) == _DEPTH:
            self._log.add(
                "E-BOARD-UART-OVERRUN", f"{self.name}: a byte arrives at a full FIFO and is lost"
            )
            self._raise(_RX_OV)
        else:
            self._rx.append(byte)
            if len(self._rx) == (self.words[_CTRL.offset] & _RX_THRESHOLD or 1):
                self._raise(_RX_THD)
            self._level_changed()
        self._start_receiving()
