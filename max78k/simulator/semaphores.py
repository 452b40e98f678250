"""SEMA: semaphores that the two cores share; the second core is not modelled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from max78k.chip import io_registers as io
from max78k.simulator.peripherals import Block

_IRQ = io.SEMA_IRQ0.field("EN").mask | io.SEMA_IRQ0.field("CM4_IRQ").mask


class Semaphores(Block):
    """Reading a semaphore takes it: 0 means that it was free; writing 0 gives it back."""

    def __init__(self, set_irq: Callable[[bool], None]) -> None:
        super().__init__("SMPHR")
        self._set_irq = set_irq
        self._taken = [0] * io.SEMA_COUNT
        for n in range(io.SEMA_COUNT):
            self.readers[4 * n] = partial(self._take, n)
            self.writers[4 * n] = partial(self._give, n)
        self.readers[io.SEMA_STATUS.offset] = self._status
        self.writers[io.SEMA_STATUS.offset] = lambda value: None
        self.writers[io.SEMA_IRQ0.offset] = self._write_irq

    def reset(self) -> None:
        """All free."""
        super().reset()
        self._taken = [0] * io.SEMA_COUNT
        self._set_irq(False)

    def _take(self, n: int) -> int:
        before, self._taken[n] = self._taken[n], 1
        return before

    def _give(self, n: int, value: int) -> None:
        self._taken[n] = value & 1

    def _status(self) -> int:
        return sum(bit << n for n, bit in enumerate(self._taken))

    def _write_irq(self, value: int) -> None:
        self.words[io.SEMA_IRQ0.offset] = value
        self._set_irq(value & _IRQ == _IRQ)
