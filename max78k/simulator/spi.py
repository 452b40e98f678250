"""SPI0-1 as masters: characters of 2 to 16 bits at the programmed clock. No slave mode."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import signal_registers as regs
from max78k.simulator.clock import Clock, Event
from max78k.simulator.peripherals import Block

_CTRL0, _CTRL1, _CTRL2, _DMA = regs.SPI_CTRL0, regs.SPI_CTRL1, regs.SPI_CTRL2, regs.SPI_DMA
_START, _EN = _CTRL0.field("START").mask, _CTRL0.field("EN").mask
_TX_FLUSH, _RX_FLUSH = _DMA.field("TX_FLUSH").mask, _DMA.field("RX_FLUSH").mask
_FLAG = {field.name: field.mask for field in regs.SPI_INTFL.fields}
_BYTES = regs.SPI_FIFO_BYTES


class Spi(Block):
    """One controller.

    Args:
        set_irq: drives the interrupt line.
        peripheral_period: gives the period of PCLK in femtoseconds.

    Attributes:
        exchange: what the other end answers to a character; nothing there leaves the line high.
        on_level: called when a FIFO's level has changed.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        set_irq: Callable[[bool], None],
        peripheral_period: Callable[[], int],
    ) -> None:
        super().__init__(name)
        self._clock = clock
        self._set_irq = set_irq
        self._peripheral_period = peripheral_period
        self.exchange: Callable[[int], int] = lambda character: 0xFFFF
        self.on_level: Callable[[], None] = lambda: None
        self._tx = bytearray()
        self._rx = bytearray()
        self._send = self._receive = 0  # characters left
        self._event: Event | None = None
        self.readers |= {
            regs.SPI_FIFO.offset: lambda: self._read(4),
            _DMA.offset: self._read_dma,
            regs.SPI_INTFL.offset: self._flags,
            regs.SPI_STAT.offset: lambda: int(self._busy),
        }
        self.writers |= {
            regs.SPI_FIFO.offset: lambda value: self._write(value, 4),
            _CTRL0.offset: self._write_ctrl0,
            _DMA.offset: self._write_dma,
            regs.SPI_INTFL.offset: self._clear_flags,
            regs.SPI_INTEN.offset: self._write_enables,
        }
        for offset in range(4):
            self.narrow_readers[offset] = self._read
            self.narrow_writers[offset] = self._write

    def reset(self) -> None:
        """Idle, FIFOs empty."""
        super().reset()
        self._stop()
        self._tx.clear()
        self._rx.clear()
        self._set_irq(False)

    def wants_receive_dma(self) -> bool:
        """Request line for bytes to be fetched."""
        fields = _DMA.unpack(self._word(_DMA.offset))
        return bool(fields["DMA_RX_EN"]) and len(self._rx) > fields["RX_THD_VAL"]

    def wants_transmit_dma(self) -> bool:
        """Request line for bytes to be sent."""
        fields = _DMA.unpack(self._word(_DMA.offset))
        return bool(fields["DMA_TX_EN"]) and len(self._tx) < max(fields["TX_THD_VAL"], 1)

    # -- registers

    def _word(self, offset: int) -> int:
        return self.words.get(offset, 0)

    @property
    def _busy(self) -> bool:
        return bool(self._send or self._receive)

    def _stop(self) -> None:
        self._clock.cancel(self._event)
        self._event = None
        self._send = self._receive = 0

    def _write_ctrl0(self, value: int) -> None:
        self.words[_CTRL0.offset] = value & ~_START
        if not value & _EN:
            self._stop()
        elif value & _START and not self._busy:
            fields = _CTRL1.unpack(self._word(_CTRL1.offset))
            self._send, self._receive = fields["TX_NUM_CHAR"], fields["RX_NUM_CHAR"]
            self._raise(_FLAG["SSA"])
            self._go_on()

    def _read_dma(self) -> int:
        return self._word(_DMA.offset) | _DMA.pack(TX_LVL=len(self._tx), RX_LVL=len(self._rx))

    def _write_dma(self, value: int) -> None:
        if value & _TX_FLUSH:
            self._tx.clear()
        if value & _RX_FLUSH:
            self._rx.clear()
        levels = _DMA.field("TX_LVL").mask | _DMA.field("RX_LVL").mask
        self.words[_DMA.offset] = value & ~(_TX_FLUSH | _RX_FLUSH | levels)
        self._moved()

    def _flags(self) -> int:
        """Event flags, and those that follow the FIFOs' levels."""
        fields = _DMA.unpack(self._word(_DMA.offset))
        value = self._word(regs.SPI_INTFL.offset)
        value |= _FLAG["TX_THD"] if len(self._tx) < fields["TX_THD_VAL"] else 0
        value |= 0 if self._tx else _FLAG["TX_EM"]
        value |= _FLAG["RX_THD"] if len(self._rx) > fields["RX_THD_VAL"] else 0
        return value | (_FLAG["RX_FULL"] if len(self._rx) == _BYTES else 0)

    def _clear_flags(self, value: int) -> None:
        self.words[regs.SPI_INTFL.offset] = self._word(regs.SPI_INTFL.offset) & ~value
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[regs.SPI_INTEN.offset] = value
        self._update_irq()

    def _raise(self, flag: int) -> None:
        self.words[regs.SPI_INTFL.offset] = self._word(regs.SPI_INTFL.offset) | flag
        self._update_irq()

    def _update_irq(self) -> None:
        self._set_irq(bool(self._flags() & self._word(regs.SPI_INTEN.offset)))

    def _read(self, size: int) -> int:
        data = bytes(self._rx[:size])
        del self._rx[:size]
        if len(data) < size:
            self._raise(_FLAG["RX_UN"])
        self._moved()
        return int.from_bytes(data, "little")

    def _write(self, value: int, size: int) -> None:
        room = _BYTES - len(self._tx)
        self._tx += (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")[:room]
        if room < size:
            self._raise(_FLAG["TX_OV"])
        self._moved()

    def _moved(self) -> None:
        """A FIFO's level has changed: the line may go on."""
        self._go_on()
        self._update_irq()
        self.on_level()

    # -- the line

    @property
    def _bits(self) -> int:
        return _CTRL2.field("NUMBITS").get(self._word(_CTRL2.offset)) or 16

    @property
    def _character_time(self) -> int:
        clock = regs.SPI_CLKCTRL.unpack(self._word(regs.SPI_CLKCTRL.offset))
        ticks = max(clock["LO"] + clock["HI"], 1) << clock["CLKDIV"]
        lines = 1 << _CTRL2.field("DATA_WIDTH").get(self._word(_CTRL2.offset))
        return -(-self._bits // lines) * ticks * self._peripheral_period()

    def _go_on(self) -> None:
        """Begin the next character; the clock waits for an empty or a full FIFO."""
        size = 2 if self._bits > 8 else 1
        fields = _DMA.unpack(self._word(_DMA.offset))
        starved = self._send and fields["TX_FIFO_EN"] and len(self._tx) < size
        blocked = self._receive and fields["RX_FIFO_EN"] and len(self._rx) + size > _BYTES
        if self._event is None and self._busy and not starved and not blocked:
            self._event = self._clock.schedule(self._character_time, self._shifted, work=True)

    def _shifted(self) -> None:
        self._event = None
        size = 2 if self._bits > 8 else 1
        fields = _DMA.unpack(self._word(_DMA.offset))
        sent = 0
        if self._send:
            self._send -= 1
            if fields["TX_FIFO_EN"]:
                sent = int.from_bytes(self._tx[:size], "little")
                del self._tx[:size]
        received = self.exchange(sent) & ((1 << self._bits) - 1)
        if self._receive:
            self._receive -= 1
            if fields["RX_FIFO_EN"]:
                self._rx += received.to_bytes(size, "little")
        if not self._busy:
            self._raise(_FLAG["MST_DONE"] | _FLAG["SSD"])
        self._moved()
