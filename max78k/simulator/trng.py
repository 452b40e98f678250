"""TRNG: random words, always ready."""

from __future__ import annotations

import random
from collections.abc import Callable

from max78k.chip import mcu_registers as mcu
from max78k.simulator.peripherals import Block

_CTRL = mcu.TRNG_CTRL
_RND_IE = _CTRL.field("RND_IE").mask
_KEYS = _CTRL.field("KEYGEN").mask | _CTRL.field("KEYWIPE").mask


class RandomGenerator(Block):
    """Making and wiping keys of the cipher is over at once, and leaves its key registers alone.

    Args:
        seed: makes the sequence repeatable; None takes the system's randomness.
        set_irq: drives the interrupt line.
    """

    def __init__(self, seed: int | None, set_irq: Callable[[bool], None]) -> None:
        super().__init__("TRNG", always_set={mcu.TRNG_STATUS.offset: 1})
        self._set_irq = set_irq
        source = random.SystemRandom() if seed is None else random.Random(seed)
        self.readers[mcu.TRNG_DATA.offset] = lambda: source.getrandbits(32)
        self.writers[_CTRL.offset] = self._write_ctrl

    def reset(self) -> None:
        """No interrupt."""
        super().reset()
        self._set_irq(False)

    def _write_ctrl(self, value: int) -> None:
        self.words[_CTRL.offset] = value & ~_KEYS
        self._set_irq(bool(value & _RND_IE))
