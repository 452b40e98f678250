"""TRNG: random words, always ready."""

from __future__ import annotations

import random

from max78k.chip import mcu_registers as mcu
from max78k.simulator.peripherals import Block


class RandomGenerator(Block):
    """``seed`` makes the sequence repeatable; None takes the system's randomness."""

    def __init__(self, seed: int | None) -> None:
        super().__init__("TRNG", always_set={mcu.TRNG_STATUS.offset: 1})
        source = random.SystemRandom() if seed is None else random.Random(seed)
        self.readers[mcu.TRNG_DATA.offset] = lambda: source.getrandbits(32)
