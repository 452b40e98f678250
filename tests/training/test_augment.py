"""Augmented pictures are the chip's integers, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from max78k.training.augment import Draws, apply, augment, seeded_generator, to_integers
from max78k.training.options import Augmentation

NONE = Augmentation(
    flip=False, rotate=0.0, scale=0.0, shift=0.0, brightness=0.0, contrast=0.0, cutout=0
)


def pictures(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=seeded_generator(7))


@pytest.mark.parametrize("shape", [(6, 1, 20, 16), (6, 3, 9, 9), (6, 2, 50)])
def test_results_are_integers_of_eight_bits(shape):
    changed = augment(pictures(*shape), Augmentation(cutout=4), seeded_generator(1))
    assert changed.shape == shape and changed.dtype == torch.float32
    assert torch.equal(changed, changed.round())
    assert -128 <= changed.min() and changed.max() <= 127
    assert not torch.equal(changed, to_integers(pictures(*shape)))


def test_no_augmentation_is_the_picture_minus_128():
    data = pictures(4, 1, 8, 8)
    before = data.clone()
    assert torch.equal(augment(data, NONE, seeded_generator(1)), data.float() - 128)
    assert torch.equal(data, before)


def test_the_same_numbers_give_the_same_pictures():
    data = pictures(8, 1, 12, 12)
    first, again, other = (
        augment(data, Augmentation(), seeded_generator(*numbers))
        for numbers in [(1, 2), (1, 2), (1, 3)]
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_flipping_mirrors_some_pictures_and_leaves_the_rest():
    data = pictures(64, 1, 8, 8)
    flipped = augment(data, Augmentation(True, 0.0, 0.0, 0.0, 0.0, 0.0), seeded_generator(3))
    same = (flipped == to_integers(data)).flatten(1).all(1)
    mirrored = (flipped == to_integers(data).flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 15 < same.sum() < 49


def test_shifting_moves_at_most_its_share():
    data = torch.zeros(32, 1, 41, 41, dtype=torch.uint8)
    data[:, :, 20, 20] = 255
    moved = augment(data, Augmentation(False, 0.0, 0.0, 0.1, 0.0, 0.0), seeded_generator(4)) + 128
    rows, columns = torch.nonzero(moved[:, 0] > 20, as_tuple=True)[1:]
    for position in (rows, columns):
        assert (position - 20).abs().max() in (4, 5)


def test_cutout_leaves_a_grey_square():
    data = torch.full((8, 1, 30, 30), 255, dtype=torch.uint8)
    cut = augment(data, Augmentation(False, 0.0, 0.0, 0.0, 0.0, 0.0, cutout=7), seeded_generator(5))
    holes = (cut == 0).flatten(1).sum(1)
    assert holes.max() == 49 and holes.min() >= 16


def test_noise_is_as_large_as_said_and_leaves_other_draws_alone():
    grey = torch.full((400, 1, 16, 16), 128, dtype=torch.uint8)
    only = replace(NONE, noise=0.2)
    noisy = augment(grey, only, seeded_generator(5))
    assert torch.equal(noisy, augment(grey, only, seeded_generator(5)))
    spread = noisy.flatten(1).std(1) / 255
    assert spread.max() < 0.23 and spread.min() < 0.02
    assert float(spread.mean()) == pytest.approx(0.1, abs=0.01)  # drawn evenly from 0 to 0.2
    assert abs(float(noisy.mean())) < 0.3
    data = pictures(8, 1, 12, 12)
    plain = augment(data, Augmentation(cutout=4), seeded_generator(6))
    with_noise = augment(data, Augmentation(cutout=4, noise=1e-6), seeded_generator(6))
    assert (plain - with_noise).abs().max() <= 1


def test_noise_of_a_part_is_that_of_the_whole():
    data, amounts = pictures(6, 1, 8, 8), replace(NONE, noise=0.3)
    draws = Draws.draw(data.shape, amounts, seeded_generator(9))
    whole = apply(data, amounts, draws)
    assert torch.equal(apply(data[2:4], amounts, draws.part(slice(2, 4))), whole[2:4])
