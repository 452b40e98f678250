"""PCIF: pictures from arrays arrive at the parallel camera interface, pixel by pixel.

With THREE_CH_EN a word holds one pixel 0x00BBGGRR with the lower bits of each colour lost, as the
RGB565 bus carries them; without it a word holds four bytes of the bus, two pixels of two bytes,
high byte first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from max78k.chip import io_registers as io
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block

_CTRL = io.PCIF_CTRL
_DONE, _FULL, _THRESHOLD, _NOT_EMPTY = (1 << n for n in range(4))
_DEPTH = 32  # words; the register that tells it is not documented
_BYTE_TIME = SECOND // 1_000_000  # an estimate: the sensor scales down what its 10 MHz clock reads
_BLANK = SECOND // 1000  # before the first pixel of a picture
_WORDS_PER_EVENT = 4


def picture_words(picture: npt.NDArray[np.uint8], three_channels: bool) -> list[int]:
    """The words that a picture (rows, columns, 3) of 8-bit colours becomes."""
    red, green, blue = (picture[..., n].astype(np.uint32).ravel() for n in range(3))
    if three_channels:
        words = (red & 0xF8) | (green & 0xFC) << 8 | (blue & 0xF8) << 16
        return [int(word) for word in words]
    pixels = ((red & 0xF8) << 8 | (green & 0xFC) << 3 | blue >> 3).astype(">u2").tobytes()
    pixels += bytes(-len(pixels) % 4)
    return [int(word) for word in np.frombuffer(pixels, "<u4")]


class Camera(Block):
    """The interface and the picture source behind it; without pictures nothing ever arrives.

    ``on_level`` is called when the FIFO has got words; ``noise`` makes a picture what the sensor
    delivers of it; ``size`` gives the rows and columns that the sensor is set to, if it is.
    """

    def __init__(self, clock: Clock, log: FindingLog, set_irq: Callable[[bool], None]) -> None:
        super().__init__("PCIF")
        self._clock = clock
        self._log = log
        self._set_irq = set_irq
        self.on_level: Callable[[], None] = lambda: None
        self.noise: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]] = lambda seen: seen
        self.size: Callable[[], tuple[int, int] | None] = lambda: None
        self._pictures: Iterator[npt.NDArray[np.uint8]] = iter(())
        self._fifo: deque[int] = deque()
        self._coming: deque[int] = deque()
        self._event: Event | None = None
        self.words[4] = _DEPTH
        self.readers |= {
            0x04: lambda: _DEPTH,
            io.PCIF_INT_FL.offset: self._flags,
            io.PCIF_FIFO_DATA.offset: self._read_fifo,
        }
        self.writers |= {
            _CTRL.offset: self._write_ctrl,
            io.PCIF_INT_FL.offset: self._clear_flags,
            io.PCIF_INT_EN.offset: self._write_enables,
        }

    def show(self, pictures: Iterable[npt.NDArray[np.uint8]]) -> None:
        """Pictures (rows, columns, 3) of 8-bit colours that the camera sees, one per capture."""
        self._pictures = iter(pictures)

    def reset(self) -> None:
        """Stop, FIFO empty."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._fifo.clear()
        self._coming.clear()
        self._set_irq(False)

    def wants_dma(self) -> bool:
        """The request line of the DMA."""
        fields = _CTRL.unpack(self.words.get(_CTRL.offset, 0))
        return bool(fields["RX_DMA"]) and len(self._fifo) >= max(fields["RX_DMA_THRSH"], 1)

    def _flags(self) -> int:
        threshold = max(_CTRL.field("FIFO_THRSH").get(self.words.get(_CTRL.offset, 0)), 1)
        value = self.words.get(io.PCIF_INT_FL.offset, 0)
        value |= _NOT_EMPTY if self._fifo else 0
        value |= _THRESHOLD if len(self._fifo) >= threshold else 0
        return value | (_FULL if len(self._fifo) == _DEPTH else 0)

    def _update_irq(self) -> None:
        self._set_irq(bool(self._flags() & self.words.get(io.PCIF_INT_EN.offset, 0)))

    def _clear_flags(self, value: int) -> None:
        self.words[io.PCIF_INT_FL.offset] = self.words.get(io.PCIF_INT_FL.offset, 0) & ~value
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[io.PCIF_INT_EN.offset] = value
        self._update_irq()

    def _write_ctrl(self, value: int) -> None:
        self.words[_CTRL.offset] = value
        fields = _CTRL.unpack(value)
        if not (fields["READ_MODE"] and fields["PCIF_SYS"]):
            self._clock.cancel(self._event)
            self._event = None
            self._coming.clear()
        elif self._event is None:
            self._capture()

    def _capture(self) -> None:
        picture = next(self._pictures, None)
        if picture is not None:
            three = bool(_CTRL.field("THREE_CH_EN").get(self.words[_CTRL.offset]))
            self._coming.extend(picture_words(self.noise(picture), three))
            self._event = self._clock.schedule(_BLANK, self._arrive, work=True)

    def _arrive(self) -> None:
        self._event = None
        bytes_per_word = 2 if self.words[_CTRL.offset] & _CTRL.field("THREE_CH_EN").mask else 4
        for _ in range(min(_WORDS_PER_EVENT, len(self._coming))):
            if len(self._fifo) == _DEPTH:
                self._log.add("E-BOARD-CAMERA", "a pixel arrives at a full FIFO and is lost")
                self._coming.popleft()
            else:
                self._fifo.append(self._coming.popleft())
        self.on_level()
        if self._coming:
            delay = _WORDS_PER_EVENT * bytes_per_word * _BYTE_TIME
            self._event = self._clock.schedule(delay, self._arrive, work=True)
        else:
            self._picture_done()
        self._update_irq()

    def _picture_done(self) -> None:
        flags = self.words.get(io.PCIF_INT_FL.offset, 0)
        self.words[io.PCIF_INT_FL.offset] = flags | _DONE
        mode = _CTRL.field("READ_MODE")
        if mode.get(self.words[_CTRL.offset]) == 1:
            self.words[_CTRL.offset] &= ~mode.mask
        else:
            self._capture()

    def _read_fifo(self) -> int:
        word = self._fifo.popleft() if self._fifo else 0
        self._update_irq()
        return word
