"""UART0-3: FIFOs of 8 bytes, both directions in time with the programmed baud rate.

Bytes that the DMA moves one by one are carried out as runs: one event for many bytes where nobody
looks at each. A read of a register of the UART or of the DMA finds everything as it is at that
moment; a write, and a loop of reads, end a run after the byte under way. Only who looks at nothing
but the memory that the DMA fills sees bytes late, by at most a run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from max78k.chip import mcu_registers as mcu
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.dma import ByteStream
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
_LONGEST_RUN = 32  # bytes
_LOOKS = 16  # in one run; fewer than the equal reads that make a polling loop

# Bit clock sources by their codes; the others are the peripheral clock.
STANDARD_SOURCES = {mcu.UART_CLOCK_SOURCE_IBRO: SECOND // mcu.IBRO_HZ}
LOW_POWER_SOURCES = {0: SECOND // mcu.IBRO_HZ, 1: SECOND // mcu.ERTCO_HZ}


@dataclass
class _Run:
    """Bytes one after the other on a line, from a moment on."""

    begin: int = 0
    byte_time: int = 0
    bytes: int = 0
    looks: int = 0

    def take(self, now: int) -> int:
        """How many are over, of all but the last, which is left to the event at the end."""
        over = min((now - self.begin) // self.byte_time, self.bytes - 1)
        self.begin += over * self.byte_time
        self.bytes -= over
        return over


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
        listeners: called with this, a byte and whether the chip sends it, when it begins.
        receive_stream, transmit_stream: how the DMA moves its bytes.
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
        self.listeners: list[Callable[[Uart, int, bool], None]] = []
        self.receive_stream: ByteStream | None = None
        self.transmit_stream: ByteStream | None = None
        self.on_enable: Callable[[], None] = lambda: None
        self.connected: Callable[[], bool] = lambda: True
        self.line: Callable[[int], int | None] = lambda byte: byte
        self._to_device: deque[int] = deque()
        self._to_host = bytearray()
        self._rx: deque[int] = deque()
        self._tx: deque[int] = deque()
        self._dma = _DMA.unpack(0)
        self._format = (-1, 0, 0)  # control word, bits of a byte, period of its clock source
        self._sending: Event | None = None
        self._receiving: Event | None = None
        self._shifted = 0  # the byte that is being sent
        self._sent_run = _Run()
        self._received_run = _Run()
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

        self.narrow_writers[mcu.UART_FIFO.offset] = lambda value, size: self.write(
            mcu.UART_FIFO.offset, value
        )

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

    def reader(self, offset: int) -> Callable[[], int]:
        """What reads a register."""
        return partial(self.read, offset)

    def read(self, offset: int) -> int:
        """A register."""
        self.look()
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """A register."""
        self.end_runs()
        super().write(offset, value)

    def reset(self) -> None:
        """Registers and FIFOs; a byte on the line is lost."""
        super().reset()
        self._clock.cancel(self._sending)
        self._clock.cancel(self._receiving)
        self._sending = self._receiving = None
        self._sent_run, self._received_run = _Run(), _Run()
        self._dma = _DMA.unpack(0)
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
        self._dma = _DMA.unpack(value)
        self.on_level()

    def _level_changed(self) -> None:
        if self.words.get(_DMA.offset, 0):
            self.on_level()

    def wants_receive_dma(self) -> bool:
        """Request line for bytes to be fetched."""
        fields = self._dma
        return bool(fields["RX_EN"]) and len(self._rx) >= max(fields["RX_THD_VAL"], 1)

    def wants_transmit_dma(self) -> bool:
        """Request line for bytes to be sent."""
        fields = self._dma
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
            self._shifted = self._tx.popleft()
            for listener in self.listeners:
                listener(self, self._shifted, True)
            run = self._sent_run = self._begin(self._bytes_to_send())
            self._sending = self._clock.schedule(run.bytes * run.byte_time, self._sent, work=True)
            if run.bytes > 1 and self.transmit_stream is not None:
                self._tx.extend(self.transmit_stream.get(1))
            if len(self._tx) <= _DEPTH // 2:
                self._raise(_TX_HE)
            self._level_changed()

    def _sent(self) -> None:
        count, self._sent_run.bytes = self._sent_run.bytes, 0
        self._send_some(count - 1)
        self._sending = None
        self._arrive(bytes((self._shifted,)))
        self._start_sending()

    def _arrive(self, data: bytes) -> None:
        """At the host's end."""
        for byte in data:
            arrives = self.line(byte)
            if arrives is not None:
                self._to_host.append(arrives)

    def _start_receiving(self) -> None:
        if self._receiving is None and self._to_device and self.enabled:
            for listener in self.listeners:
                listener(self, self._to_device[0], False)
            run = self._received_run = self._begin(self._bytes_to_receive())
            time = run.bytes * run.byte_time
            self._receiving = self._clock.schedule(time, self._received, work=True)

    def _received(self) -> None:
        self._receiving = None
        count, self._received_run.bytes = self._received_run.bytes, 0
        if not self.enabled:
            return
        self._receive_some(count)
        self._start_receiving()

    def _receive_some(self, count: int) -> None:
        """Bytes have arrived; those that the DMA would fetch at once go where it takes them."""
        stream = self.receive_stream
        arrived = [self.line(self._to_device.popleft()) for _ in range(count)]
        data = bytes(byte for byte in arrived if byte is not None)
        if data and stream is not None and self._streams_in and stream.left >= len(data):
            stream.put(data)
            self._raise(_RX_THD)
            return
        for byte in data:
            self._fill(byte)

    def _fill(self, byte: int) -> None:
        if len(self._rx) == _DEPTH:
            self._log.add(
                "E-BOARD-UART-OVERRUN", f"{self.name}: a byte arrives at a full FIFO and is lost"
            )
            self._raise(_RX_OV)
            return
        self._rx.append(byte)
        if len(self._rx) == (self.words[_CTRL.offset] & _RX_THRESHOLD or 1):
            self._raise(_RX_THD)
        self._level_changed()

    # -- runs

    def look(self) -> None:
        """Carry out what runs have done so far; end them where a loop may wait for a byte."""
        for run, some in (
            (self._received_run, self._receive_some),
            (self._sent_run, self._send_some),
        ):
            if run.bytes > 1:
                some(run.take(self._clock.now))
                run.looks += 1
                if run.looks > _LOOKS:
                    self.end_runs()

    def end_runs(self) -> None:
        """End runs with the byte under way, at which what is about to change has its effect."""
        run = self._received_run
        if run.bytes > 1:
            self._receive_some(run.take(self._clock.now))
            self._clock.cancel(self._receiving)
            self._receiving = self._last(run, self._received)
        run = self._sent_run
        if run.bytes > 1:
            self._send_some(run.take(self._clock.now))
            self._clock.cancel(self._sending)
            self._sending = self._last(run, self._sent)

    def _last(self, run: _Run, action: Callable[[], None]) -> Event:
        run.bytes = 1
        delay = run.begin + run.byte_time - self._clock.now
        return self._clock.schedule(delay, action, work=True)

    def _begin(self, count: int) -> _Run:
        return _Run(self._clock.now, self._byte_time, count)

    @property
    def _streams_in(self) -> bool:
        """A byte that arrives is fetched at once."""
        return not self._rx and bool(self._dma["RX_EN"]) and self._dma["RX_THD_VAL"] <= 1

    def _runs(self, flag: int) -> bool:
        """Nobody follows each byte."""
        enabled, raised = self.words.get(_INT_EN, 0), self.words.get(_INT_FL, 0)
        return not self.listeners and not enabled & ~raised & flag

    def _bytes_to_receive(self) -> int:
        stream, waiting = self.receive_stream, len(self._to_device)
        if waiting > 1 and stream is not None and self._streams_in and self._runs(_RX_THD):
            return max(min(waiting, stream.left, _LONGEST_RUN), 1)
        return 1

    def _bytes_to_send(self) -> int:
        """The DMA puts a byte into the FIFO for each that leaves it; its last one is no more part
        of a run, so that its end comes in time."""
        stream, level = self.transmit_stream, len(self._tx)
        if stream is not None and level and level == self._dma["TX_THD_VAL"] and self._dma["TX_EN"]:
            if self._runs(_TX_HE):
                return max(min(stream.left - 1, _LONGEST_RUN), 1)
        return 1

    def _send_some(self, count: int) -> None:
        """So many bytes of a run have been sent, and as many have followed into the FIFO."""
        if count and self.transmit_stream is not None:
            content = bytes((self._shifted, *self._tx)) + self.transmit_stream.get(count)
            self._arrive(content[:count])
            self._shifted = content[count]
            self._tx = deque(content[count + 1 :])
