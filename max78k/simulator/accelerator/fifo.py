"""The input FIFOs: one per quadrant, filled by the processor, emptied by the first layer.

Their depth is not public and nothing in the model takes time to drain them, so that the "full"
bits of the status register always read as 0.
"""

from __future__ import annotations

from max78k.chip import cnn_registers as cr
from max78k.chip import limits

_ENABLE_SHIFT = 12  # control register: bit 12 + n enables FIFO n


class Fifos:
    """Control register and queues."""

    def __init__(self) -> None:
        self._control = 0
        self._queues: list[list[int]] = [[] for _ in range(limits.QUADRANTS)]

    def clear(self) -> None:
        """Empty and disabled."""
        self._control = 0
        for queue in self._queues:
            queue.clear()

    def read(self, offset: int) -> int:
        """Control or status; everything else reads as 0."""
        return self._control if offset == cr.FIFO_CTL.offset else 0

    def write_control(self, value: int) -> None:
        """Enables and thresholds."""
        self._control = value

    def enabled(self, number: int) -> bool:
        """Whether FIFO ``number`` takes words."""
        return bool(self._control >> (_ENABLE_SHIFT + number) & 1)

    def push(self, number: int, word: int) -> None:
        """One input word for quadrant ``number``."""
        self._queues[number].append(word)

    def hold(self, numbers: tuple[int, ...], words: int) -> bool:
        """Whether each of the FIFOs holds a frame of ``words`` words."""
        return all(len(self._queues[n]) >= words for n in numbers)

    def take(self, numbers: tuple[int, ...], words: int) -> dict[int, list[int]]:
        """Remove a frame from each of the FIFOs."""
        frame = {n: self._queues[n][:words] for n in numbers}
        for n in numbers:
            del self._queues[n][:words]
        return frame
