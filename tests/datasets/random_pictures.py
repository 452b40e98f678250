"""Random pictures of FER-2013's size, for tests that look at labels and files alone."""

from __future__ import annotations

import numpy as np


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """uint8 [count, 1, 48, 48]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 48, 48), dtype=np.uint8)
