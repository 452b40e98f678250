"""Blending samples and their targets in pairs: mixup (arXiv:1710.09412), cutmix (1905.04899)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from max78k.training.augment import box


@dataclass(frozen=True)
class Mixture:
    """Random numbers of a batch.

    Attributes:
        share: float32 [N], how much of itself a sample keeps.
        paste: whether a box is pasted (cutmix), else all is blended (mixup).
        places: float32 [N, axes], middles of the boxes as shares of the lengths; the last axes of
            the samples, a box goes over the whole length of the others.
    """

    share: Tensor
    paste: bool
    places: Tensor

    @staticmethod
    def draw(
        n: int, axes: int, numbers: tuple[int, ...], *, mixup: float, cutmix: float
    ) -> Mixture:
        """For ``n`` samples, from the seed ``numbers``; where both are on, each half the time."""
        dice = np.random.default_rng(numbers)
        paste = bool(cutmix) and (not mixup or dice.random() < 0.5)
        amount = cutmix if paste else mixup
        share = dice.beta(amount, amount, n).astype(np.float32)
        places = dice.random((n, axes), dtype=np.float32)
        return Mixture(torch.from_numpy(share), paste, torch.from_numpy(places))

    def part(self, rows: slice) -> Mixture:
        """Those of some samples; ``rows`` begins at an even number, so that no pair is divided."""
        return Mixture(self.share[rows], self.paste, self.places[rows])

    def apply(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Each sample mixed with its neighbour.

        The order of the samples is random, so the neighbour is any other sample.

        Args:
            values: float32 [N, C, ...] of integers; the result is integers too.
            targets: float32 [N, classes], the shares of the classes.
        """
        partner = torch.arange(len(values), device=values.device) ^ 1
        partner = torch.where(partner < len(values), partner, partner - 1)
        share = self.share.to(values.device)
        others = values[partner]
        if self.paste:
            places = self.places.to(values.device)
            axes = places.shape[1]
            lengths = values.shape[-axes:]
            width = (1 - share) ** (1 / axes)
            middles = [(places[:, axis] * n).floor() for axis, n in enumerate(lengths)]
            mask = box(lengths, middles, [width * n for n in lengths])
            mask = mask.reshape(len(values), *(1,) * (values.ndim - 1 - axes), *lengths)
            share = 1 - mask.float().flatten(1).mean(1)  # boxes are cut off at the edges
            mixed = torch.where(mask, others, values)
        else:
            each = share.reshape(-1, *(1,) * (values.ndim - 1))
            mixed = torch.lerp(others, values, each).round_()
        return mixed, torch.lerp(targets[partner], targets, share[:, None])
