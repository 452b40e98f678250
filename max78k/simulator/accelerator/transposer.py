"""The byte transposer: reads one byte lane of four pixels' words as one word.

It walks through the data memory in hardware, so that software gets a channel of an 8-bit output
packed. Its registers are those of layer 0: WPTR_BASE holds the word to begin with, LCTL1 by how
much more than one word it steps. Both are taken over when its mode is switched on.
"""

from __future__ import annotations

from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator.layer import LayerRegisters
from max78k.simulator.accelerator.memories import LANES, DataMemory

_ENABLE = cr.CTL.field("MLAT_EN").mask
_LANE = cr.CTL.field("MLAT_BYTE")
_STEP = cr.LCTL1.field("INPUT_PASSES")
_POINTER_MASK = 0x1FFFF


class Transposer:
    """The read port of one quadrant; it reaches all data memory."""

    def __init__(self, memory: DataMemory, quadrant: int) -> None:
        self._memory = memory
        self._quadrant = quadrant
        self._next: tuple[int, bool] | None = None  # None: nothing has been fetched yet
        self._word = 0
        self._step = 1

    def control(self, old: int, value: int, registers: LayerRegisters) -> None:
        """CTL has changed from ``old`` to ``value``."""
        if value & _ENABLE and not old & _ENABLE:
            self._next = None
            self._word = registers.get(cr.WPTR_BASE, self._quadrant, 0) & _POINTER_MASK
            self._step = _STEP.get(registers.get(cr.LCTL1, self._quadrant, 0)) + 1

    def read(self, control: int) -> tuple[int, bool]:
        """The four bytes fetched before, and whether all were written; fetches the next four.

        The first read only primes the port; its value has no meaning.
        """
        value = self._next
        lane, size = _LANE.get(control), len(self._memory.words)
        words = [(self._word + i * self._step) % size for i in range(LANES)]
        self._word = (self._word + LANES * self._step) % size
        content = self._memory.lanes[words, lane].tobytes()
        known = bool(self._memory.written[words, lane].all())
        self._next = int.from_bytes(content, "little"), known
        return (0, True) if value is None else value
