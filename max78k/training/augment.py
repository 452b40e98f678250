"""Augmentation of whole batches on tensors, the same for the same seed, epoch and step.

The result is what the chip would read: integers ``pixel - 128`` in -128...127. They are held in
float32, which the convolutions of PyTorch need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PIXEL_OFFSET = 128


@dataclass(frozen=True)
class Augmentation:
    """How far a picture may be changed; every amount is drawn evenly from [-amount, amount].

    Attributes:
        flip: mirror left and right with probability 1/2.
        rotate: degrees.
        scale: share of the size (0.1: 0.9...1.1).
        shift: share of the width and height.
        brightness: grey levels.
        contrast: share of the distance from the picture's mean.
        cutout: side of a square set to the mid grey 128, in pixels; 0 is none.
    """

    flip: bool = True
    rotate: float = 12.0
    scale: float = 0.12
    shift: float = 0.08
    brightness: float = 20.0
    contrast: float = 0.25
    cutout: int = 0

    def __call__(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """Changed pictures.

        Args:
            pictures: uint8 [N, C, H, W]; 1-D data [N, C, L] are not moved or turned.
            generator: source of all random numbers.

        Returns:
            float32 of the same shape with integer values -128...127.
        """
        values = pictures.float()
        if pictures.ndim == 4:
            values = self._move(values, generator)
        values = self._light(values, generator)
        values = values.round_().clamp_(0, 255).sub_(PIXEL_OFFSET)
        return self._cut(values, generator)

    def _move(self, values: Tensor, generator: torch.Generator) -> Tensor:
        if not (self.flip or self.rotate or self.scale or self.shift):
            return values
        n = len(values)
        angle = torch.deg2rad(_spread(n, self.rotate, generator))
        size = 1 + _spread(n, self.scale, generator)
        mirror = torch.ones(n)
        if self.flip:
            mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
        cosine, sine = angle.cos() * size, angle.sin() * size
        # affine_grid counts positions from -1 to 1, so a share of the width is twice as much
        across = _spread(n, 2 * self.shift, generator)
        down = _spread(n, 2 * self.shift, generator)
        rows = [mirror * cosine, -sine, across, mirror * sine, cosine, down]
        theta = torch.stack(rows, dim=1).reshape(n, 2, 3)
        grid = F.affine_grid(theta, list(values.shape), align_corners=False)
        return F.grid_sample(values, grid, padding_mode="border", align_corners=False)

    def _light(self, values: Tensor, generator: torch.Generator) -> Tensor:
        if not (self.brightness or self.contrast):
            return values
        n = len(values)
        each = (n, *(1,) * (values.ndim - 1))
        mean = values.flatten(1).mean(dim=1).reshape(each)
        gain = (1 + _spread(n, self.contrast, generator)).reshape(each)
        offset = _spread(n, self.brightness, generator).reshape(each)
        return values.sub_(mean).mul_(gain).add_(mean + offset)

    def _cut(self, values: Tensor, generator: torch.Generator) -> Tensor:
        if not self.cutout:
            return values
        n, _, *lengths = values.shape
        hole = torch.ones(n, 1, *(1,) * len(lengths), dtype=torch.bool)
        for axis, length in enumerate(lengths, start=2):
            middle = torch.randint(0, length, (n, 1), generator=generator)
            near = (torch.arange(length) - middle).abs() * 2 < self.cutout
            hole = hole & near.reshape(
                n, *(length if d == axis else 1 for d in range(1, values.ndim))
            )
        return values.masked_fill_(hole, 0.0)


def _spread(n: int, amount: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * amount


def to_integers(pixels: Tensor) -> Tensor:
    """Pixels uint8 as the chip's input, float32 with integer values -128...127."""
    return pixels.float().sub_(PIXEL_OFFSET)


def seeded_generator(*numbers: int) -> torch.Generator:
    """A generator whose state depends on ``numbers`` (seed, epoch, step, stream) alone.

    Nothing has to be stored for a run to be continued with the same random numbers. Trailing zeros
    do not count: (1,) and (1, 0) give the same.
    """
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)
