"""Drawn faces: the same everywhere, balanced, learnable, not trivial."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from max78k.datasets.dice import Dice, keys, permutation
from max78k.datasets.faces import faces


@pytest.mark.parametrize(
    ("seed", "start", "digest"),
    [(0, 0, "35568cf944fa12e1"), (3, 1 << 31, "65ddf660fff2d427")],
)
def test_pictures_and_labels_are_the_same_on_every_machine(
    seed: int, start: int, digest: str
) -> None:
    inputs, labels = faces(200, seed, start=start)
    assert inputs.shape == (200, 1, 48, 48)
    assert inputs.dtype == np.uint8
    assert labels.dtype == np.int64
    data = inputs.tobytes() + labels.astype("<i8").tobytes()
    assert hashlib.sha256(data).hexdigest()[:16] == digest


def test_a_sample_does_not_depend_on_its_neighbours() -> None:
    inputs, labels = faces(40, 1)
    some, their_labels = faces(9, 1, start=21)
    assert np.array_equal(inputs[21:30], some)
    assert np.array_equal(labels[21:30], their_labels)


def test_seeds_differ_and_every_seven_samples_show_all_emotions() -> None:
    first, first_labels = faces(70, 0)
    second, second_labels = faces(70, 1)
    assert not np.array_equal(first_labels, second_labels)
    assert len(np.unique(np.concatenate((first, second)), axis=0)) == 140
    assert np.array_equal(
        np.sort(first_labels.reshape(-1, 7), axis=1), np.tile(np.arange(7), (10, 1))
    )


def test_no_sample_at_all_is_an_empty_array() -> None:
    inputs, labels = faces(0, 0)
    assert inputs.shape == (0, 1, 48, 48)
    assert labels.shape == (0,)


def test_pictures_are_neither_flat_nor_saturated() -> None:
    inputs, _ = faces(210, 4)
    spread = inputs.reshape(210, -1).std(axis=1)
    assert spread.min() > 5
    assert np.median(spread) > 30
    assert np.isin(inputs, (0, 255)).mean() < 0.2


def test_a_linear_classifier_learns_something_but_not_all() -> None:
    def features(count: int, start: int) -> tuple[np.ndarray, np.ndarray]:
        inputs, labels = faces(count, 0, start=start)
        small = inputs.reshape(count, 12, 4, 12, 4).mean(axis=(2, 4)).reshape(count, -1) / 128 - 1
        return np.c_[small, np.ones(count)], labels

    x, labels = features(1750, 0)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(7)[labels])
    test, test_labels = features(700, 1 << 31)
    accuracy = (np.argmax(test @ weights, axis=1) == test_labels).mean()
    assert 0.30 < accuracy < 0.85


def test_random_numbers_are_even_and_uncorrelated() -> None:
    dice = Dice(keys(5, np.arange(20000, dtype=np.int64)))
    first, second = dice.uniform().ravel(), dice.uniform().ravel()
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(first.std() - 12**-0.5) < 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    bell = dice.bell(2.0, 0.5)
    assert abs(bell.mean() - 2) < 0.02
    assert abs(bell.std() - 0.5) < 0.02


def test_a_permutation_holds_every_number_once() -> None:
    order = permutation(1000, 7)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert not np.array_equal(order, permutation(1000, 8))
    assert order[:4].tolist() == permutation(1000, 7)[:4].tolist()
