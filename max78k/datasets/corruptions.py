"""Spoiling pictures on purpose, to see what a classifier still recognises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from max78k.datasets.dataset import Uint8Array

NOISE_SIGMAS = (0.05, 0.1, 0.2)
OCCLUSION_SIDES = (8, 16, 24)


def add_noise(pixels: Uint8Array, seed: int, *, sigma: float) -> Uint8Array:
    """Gaussian noise of standard deviation ``sigma`` on the scale 0 ... 1, clipped to it."""
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    spoilt = pixels + noise * np.float32(sigma * 255)
    return np.asarray(np.clip(np.rint(spoilt), 0, 255), np.uint8)


def occlude(pixels: Uint8Array, seed: int, *, side: int) -> Uint8Array:
    """A black square somewhere wholly inside each picture [N, channels, rows, columns]."""
    rows, columns = pixels.shape[-2:]
    generator = np.random.default_rng(seed)
    top = generator.integers(0, max(rows - side, 0) + 1, len(pixels))
    left = generator.integers(0, max(columns - side, 0) + 1, len(pixels))
    down = np.arange(rows) - top[:, None]
    across = np.arange(columns) - left[:, None]
    hidden = ((down >= 0) & (down < side))[:, :, None] & ((across >= 0) & (across < side))[:, None]
    return np.where(hidden[:, None], np.uint8(0), pixels).astype(np.uint8)


@dataclass(frozen=True)
class Corruption:
    """A kind, "noise" or "occlusion", and its amount: a standard deviation, or a side in pixels."""

    kind: str
    amount: float

    def __call__(self, pixels: Uint8Array, seed: int) -> Uint8Array:
        """The pictures spoilt; the same for the same seed."""
        if self.kind == "noise":
            return add_noise(pixels, seed, sigma=self.amount)
        return occlude(pixels, seed, side=int(self.amount))


# What ``max78k evaluate --robustness`` measures: name, and what is done to the pictures.
CORRUPTIONS: Mapping[str, Corruption] = {
    **{f"noise {sigma:g}": Corruption("noise", sigma) for sigma in NOISE_SIGMAS},
    **{f"occlusion {side}x{side}": Corruption("occlusion", side) for side in OCCLUSION_SIDES},
}
