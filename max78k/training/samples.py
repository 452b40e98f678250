"""Batches of a data set: order, augmentation and mixing on tensors, the same on every machine."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from max78k.datasets.dataset import Dataset, Split
from max78k.training.augment import Draws, apply, seeded_generator
from max78k.training.mixing import Mixture
from max78k.training.options import TrainOptions
from max78k.training.processes import Processes

_ORDER, _AUGMENT, _MIX = 1, 2, 4  # separate streams of random numbers


@dataclass(frozen=True)
class Batch:
    """What one process gets of a step.

    Attributes:
        integers: float32 [N, C, ...] of integers -128...127.
        targets: int64 [N] or float32 [N, classes], what the loss compares with.
        labels: int64 [N], what is counted as right.
    """

    integers: Tensor
    targets: Tensor
    labels: Tensor


class Samples:
    """The train part on the training device, whole; one step takes a few tensor operations.

    With several processes every one draws the same order and the same random numbers for the joined
    batch, and takes its part of them: the joined batch does not depend on their number.
    """

    def __init__(self, dataset: Dataset, options: TrainOptions, processes: Processes) -> None:
        self._options = options
        self._processes = processes
        self._classes = len(dataset.class_names)
        self.pixels, self.labels, self.soft = tensors(dataset.train, processes.device)
        # pairs of samples stay in one process
        group = 1 if processes.count == 1 else 2 * processes.count
        size = min(options.batch_size, len(self.pixels))
        self.batch_size = max(group, size - size % group)
        self.steps = len(self.pixels) // self.batch_size  # the last, smaller batch is left out
        if not self.steps:
            raise processes.too_many(len(self.pixels))

    def order(self, epoch: int) -> Tensor:
        """Rows of an epoch, int64 on the CPU."""
        generator = seeded_generator(self._options.seed, epoch, 0, _ORDER)
        if not self._options.oversample:
            return torch.randperm(len(self.pixels), generator=generator)
        labels = self.labels.cpu()
        share = 1.0 / torch.bincount(labels, minlength=self._classes).double()
        return torch.multinomial(share[labels], len(labels), True, generator=generator)

    def batch(self, order: Tensor, epoch: int, step: int, *, clean: bool = False) -> Batch:
        """This process's part of a step's batch; ``clean``: samples are at most mirrored."""
        options, size = self._options, self.batch_size
        part = self._processes.part(size)
        rows = order[step * size : (step + 1) * size][part].to(self.pixels.device)
        pixels, labels = self.pixels[rows], self.labels[rows]
        generator = seeded_generator(options.seed, epoch, step, _AUGMENT)
        shape = torch.Size([size, *pixels.shape[1:]])
        changes = options.augmentation.only_mirrors() if clean else options.augmentation
        draws = Draws.draw(shape, changes, generator).part(part)
        integers = apply(pixels, changes, draws)
        targets = labels if self.soft is None else self.soft[rows]
        if (options.mixup or options.cutmix) and not clean:
            shares = targets if targets.ndim > 1 else F.one_hot(targets, self._classes).float()
            numbers = (options.seed, epoch, step, _MIX)
            axes = 1 if options.cutmix_columns else pixels.ndim - 2
            mixture = Mixture.draw(size, axes, numbers, mixup=options.mixup, cutmix=options.cutmix)
            integers, targets = mixture.part(part).apply(integers, shares)
        return Batch(integers, targets, labels)


def tensors(split: Split, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Pixels uint8, labels int64 and soft labels float32 (or None) on ``device``."""
    soft = None if split.soft is None else torch.from_numpy(split.soft).to(device)
    return (
        torch.from_numpy(split.inputs).to(device),
        torch.from_numpy(split.labels).to(device),
        soft,
    )


def fingerprint(dataset: Dataset) -> dict[str, int]:
    """Numbers that tell one data set from another."""
    result = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        result[f"{name}_samples"] = len(split)
        crc = 0
        for values in (split.inputs, split.labels, split.soft):
            if values is not None:
                crc = zlib.crc32(np.ascontiguousarray(values).data, crc)
        result[f"{name}_crc32"] = crc
    return result
