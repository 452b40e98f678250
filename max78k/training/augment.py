"""Augmentation of whole batches on tensors, the same for the same seed, epoch and step.

The result is what the chip would read: integers ``pixel - 128`` in -128...127. They are held in
float32, which the convolutions of PyTorch need. All random numbers are a few for each sample (noise
has one for each pixel) and are drawn on the CPU, so that every device and every number of processes
sees the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from max78k.training.options import Augmentation

PIXEL_OFFSET = 128


@dataclass(frozen=True)
class Draws:
    """The random numbers of a batch, float32 [N].

    ``holes`` [N, axes] are shares of the lengths; ``noise`` is of the batch's shape, in grey
    levels, or [N, 0] where there is none.
    """

    angle: Tensor
    size: Tensor
    mirror: Tensor
    across: Tensor
    down: Tensor
    gain: Tensor
    offset: Tensor
    holes: Tensor
    noise: Tensor

    @staticmethod
    def draw(shape: torch.Size, amounts: Augmentation, generator: torch.Generator) -> Draws:
        """Random numbers for samples of ``shape`` [N, C, ...]."""
        n = shape[0]

        def spread(amount: float) -> Tensor:
            return (torch.rand(n, generator=generator) * 2 - 1) * amount

        mirror = torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1
        return Draws(
            angle=torch.deg2rad(spread(amounts.rotate)),
            size=1 + spread(amounts.scale),
            mirror=mirror if amounts.flip else torch.ones(n),
            # affine_grid counts positions from -1 to 1, so a share of the width is twice as much
            across=spread(2 * amounts.shift),
            down=spread(2 * amounts.shift),
            gain=1 + spread(amounts.contrast),
            offset=spread(amounts.brightness),
            holes=torch.rand(n, len(shape) - 2, generator=generator),
            noise=_noise(shape, amounts.noise, generator),  # the last: others do not change with it
        )

    def part(self, rows: slice) -> Draws:
        """Those of some samples."""
        return Draws(*(getattr(self, item.name)[rows] for item in fields(self)))

    def to(self, device: torch.device) -> Draws:
        """The same on another device."""
        moved = (getattr(self, item.name) for item in fields(self))
        return Draws(*(values.to(device, non_blocking=True) for values in moved))


def augment(pictures: Tensor, amounts: Augmentation, generator: torch.Generator) -> Tensor:
    """Changed pictures.

    Args:
        pictures: uint8 [N, C, H, W]; 1-D data [N, C, L] are not moved or turned.
        amounts: how far they may be changed.
        generator: source of all random numbers.

    Returns:
        float32 of the same shape with integer values -128...127.
    """
    draws = Draws.draw(pictures.shape, amounts, generator)
    return apply(pictures, amounts, draws)


def apply(pictures: Tensor, amounts: Augmentation, draws: Draws) -> Tensor:
    """Pictures changed as ``draws`` say; see :func:`augment`."""
    draws = draws.to(pictures.device)
    values = pictures.float()
    if pictures.ndim == 4:
        values = _move(values, amounts, draws)
    values = _light(values, amounts, draws)
    if amounts.noise:
        values = values + draws.noise
    values = values.round_().clamp_(0, 255).sub_(PIXEL_OFFSET)
    return _cut(values, amounts, draws)


def _noise(shape: torch.Size, amount: float, generator: torch.Generator) -> Tensor:
    """Grey levels to add, float32 of ``shape``; [N, 0] where ``amount`` is 0."""
    if not amount:
        return torch.empty(shape[0], 0)
    sigma = torch.rand(shape[0], *(1,) * (len(shape) - 1), generator=generator) * (255 * amount)
    return torch.randn(shape, generator=generator) * sigma


def _move(values: Tensor, amounts: Augmentation, draws: Draws) -> Tensor:
    if not (amounts.flip or amounts.rotate or amounts.scale or amounts.shift):
        return values
    cosine, sine = draws.angle.cos() * draws.size, draws.angle.sin() * draws.size
    mirror = draws.mirror
    rows = [mirror * cosine, -sine, draws.across, mirror * sine, cosine, draws.down]
    theta = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(theta, list(values.shape), align_corners=False)
    return F.grid_sample(values, grid, padding_mode="border", align_corners=False)


def _light(values: Tensor, amounts: Augmentation, draws: Draws) -> Tensor:
    if not (amounts.brightness or amounts.contrast):
        return values
    each = (-1, *(1,) * (values.ndim - 1))
    mean = values.flatten(1).mean(dim=1).reshape(each)
    gain, offset = draws.gain.reshape(each), draws.offset.reshape(each)
    return values.sub_(mean).mul_(gain).add_(mean + offset)


def _cut(values: Tensor, amounts: Augmentation, draws: Draws) -> Tensor:
    if not amounts.cutout:
        return values
    lengths = values.shape[2:]
    middles = [(draws.holes[:, axis] * n).floor() for axis, n in enumerate(lengths)]
    side = torch.tensor([amounts.cutout], device=values.device)
    return values.masked_fill_(box(lengths, middles, [side] * len(lengths)), 0.0)


def box(lengths: torch.Size, middles: list[Tensor], sizes: list[Tensor]) -> Tensor:
    """Mask, bool [N, 1, *lengths], of a box: middle [N] and size [N] or [1] for each axis."""
    count, mask = len(middles[0]), torch.ones((), dtype=torch.bool, device=middles[0].device)
    for axis, (length, middle, size) in enumerate(zip(lengths, middles, sizes, strict=True)):
        places = torch.arange(length, device=middle.device)
        near = (places - middle[:, None]).abs() * 2 < size[..., None]
        mask = mask & near.reshape(
            count, 1, *(length if a == axis else 1 for a in range(len(lengths)))
        )
    return mask


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
