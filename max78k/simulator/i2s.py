"""I2S: samples of a microphone come in at the programmed rate; what is sent is not heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from max78k.chip import signal_registers as regs
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block

_CTRL0, _CTRL1, _DMA = regs.I2S_CTRL0, regs.I2S_CTRL1, regs.I2S_DMA
_RX_EN, _TX_EN, _EN = _CTRL0.field("RX_EN").mask, _CTRL0.field("TX_EN").mask, 1 << 8
_FLUSHES = _CTRL0.field("FLUSH").mask | _CTRL0.field("RST").mask
_FLAG = {field.name: field.mask for field in regs.I2S_INTFL.fields}
_DEPTH = regs.I2S_FIFO_WORDS
_SAMPLE_BITS = 16  # of the samples that the user gives
_BITS_OF_SIZE = {0: 8, 1: 16}  # by WSIZE; the others are 32


class I2s(Block):
    """The interface as the master of a microphone, which is silent when it has nothing to give.

    A word of 32 bits holds one sample in its upper half; a smaller word size puts 2 or 4 samples
    into a FIFO word, the first lowest.

    Attributes:
        on_level: called when a FIFO's level has changed.
    """

    def __init__(self, clock: Clock, set_irq: Callable[[bool], None]) -> None:
        super().__init__("I2S")
        self._clock = clock
        self._set_irq = set_irq
        self.on_level: Callable[[], None] = lambda: None
        self._samples: Iterator[int] = iter(())
        self._rx: deque[int] = deque()
        self._tx: deque[int] = deque()
        self._event: Event | None = None
        self.readers |= {
            regs.I2S_FIFO.offset: self._read_fifo,
            _DMA.offset: self._read_dma,
            regs.I2S_INTFL.offset: self._flags,
        }
        self.writers |= {
            regs.I2S_FIFO.offset: self._write_fifo,
            _CTRL0.offset: self._write_ctrl0,
            _CTRL1.offset: self._write_ctrl1,
            regs.I2S_INTFL.offset: self._clear_flags,
            regs.I2S_INTEN.offset: self._write_enables,
        }

    def hear(self, samples: Iterable[int]) -> None:
        """What the microphone gives from now on: samples of -32768 to 32767."""
        self._samples = iter(samples)

    def reset(self) -> None:
        """Stop, FIFOs empty."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._rx.clear()
        self._tx.clear()
        self._set_irq(False)

    def wants_receive_dma(self) -> bool:
        """Request line for words to be fetched."""
        fields = _DMA.unpack(self._word(_DMA.offset))
        return bool(fields["DMA_RX_EN"]) and len(self._rx) >= max(fields["RX_THD_VAL"], 1)

    def wants_transmit_dma(self) -> bool:
        """Request line for words to be sent."""
        fields = _DMA.unpack(self._word(_DMA.offset))
        return bool(fields["DMA_TX_EN"]) and len(self._tx) < _DEPTH

    def _word(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def _read_dma(self) -> int:
        fields = _DMA.unpack(self._word(_DMA.offset))
        return _DMA.pack(**(fields | {"TX_LVL": len(self._tx), "RX_LVL": len(self._rx)}))

    def _flags(self) -> int:
        threshold = max(_CTRL0.field("RX_THD_VAL").get(self._word(_CTRL0.offset)), 1)
        value = self._word(regs.I2S_INTFL.offset)
        value |= _FLAG["RX_THD"] if len(self._rx) >= threshold else 0
        value |= _FLAG["TX_HE"] if len(self._tx) <= _DEPTH // 2 else 0
        return value | (_FLAG["TX_OB"] if len(self._tx) == 1 else 0)

    def _update_irq(self) -> None:
        self._set_irq(bool(self._flags() & self._word(regs.I2S_INTEN.offset)))

    def _clear_flags(self, value: int) -> None:
        self.words[regs.I2S_INTFL.offset] = self._word(regs.I2S_INTFL.offset) & ~value
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[regs.I2S_INTEN.offset] = value
        self._update_irq()

    def _write_ctrl0(self, value: int) -> None:
        self.words[_CTRL0.offset] = value & ~_FLUSHES
        if value & _FLUSHES:
            self._rx.clear()
            self._tx.clear()
        self._begin()
        self._update_irq()

    def _write_ctrl1(self, value: int) -> None:
        self.words[_CTRL1.offset] = value
        self._begin()

    def _read_fifo(self) -> int:
        word = self._rx.popleft() if self._rx else 0
        self._update_irq()
        return word

    def _write_fifo(self, value: int) -> None:
        if len(self._tx) < _DEPTH:
            self._tx.append(value)
        self._update_irq()

    # -- the line

    @property
    def _bits(self) -> int:
        return _BITS_OF_SIZE.get(_CTRL0.field("WSIZE").get(self._word(_CTRL0.offset)), 32)

    @property
    def _running(self) -> bool:
        control = self._word(_CTRL0.offset)
        return bool(self._word(_CTRL1.offset) & _EN and control & (_RX_EN | _TX_EN))

    def _begin(self) -> None:
        """A FIFO word moves each time that its samples have passed."""
        if self._event is None and self._running:
            divider = _CTRL1.field("CLKDIV").get(self._word(_CTRL1.offset)) + 1
            bit = 2 * divider * SECOND // regs.I2S_CLOCK_HZ
            slots = 1 if _CTRL0.field("STEREO").get(self._word(_CTRL0.offset)) == 0 else 2
            # In stereo both slots of a frame fill the FIFO, in mono one of them.
            samples = 32 // self._bits
            self._event = self._clock.schedule(samples * slots * self._bits * bit, self._moved)

    def _moved(self) -> None:
        self._event = None
        if not self._running:
            return
        if self._word(_CTRL0.offset) & _RX_EN:
            if len(self._rx) == _DEPTH:
                flags = self._word(regs.I2S_INTFL.offset) | _FLAG["RX_OV"]
                self.words[regs.I2S_INTFL.offset] = flags
                self._next_word()
            else:
                self._rx.append(self._next_word())
        if self._word(_CTRL0.offset) & _TX_EN and self._tx:
            self._tx.popleft()
        self._update_irq()
        self.on_level()
        self._begin()

    def _next_word(self) -> int:
        bits, word = self._bits, 0
        for place in range(0, 32, bits):
            sample = next(self._samples, 0)
            scaled = sample << bits - _SAMPLE_BITS if bits > 8 else sample >> _SAMPLE_BITS - bits
            word |= (scaled & ((1 << bits) - 1)) << place
        return word
