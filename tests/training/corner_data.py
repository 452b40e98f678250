"""Noise with a bright corner, which is the class: data small enough to train on in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from max78k.datasets.dataset import Dataset, Split

NETWORKS = Path(__file__).with_name("tiny_network.py")
NAMES = ("a", "b", "c")


def corners(count: int, seed: int, brighter: int = 110) -> Split:
    """Samples [count, 1, 12, 12] of three classes."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 3, count)
    inputs = dice.integers(0, 120, (count, 1, 12, 12))
    for row, (top, left) in enumerate(np.array([(1, 1), (1, 7), (7, 1)])[labels]):
        inputs[row, 0, top : top + 4, left : left + 4] += brighter
    return Split(inputs.astype(np.uint8), labels.astype(np.int64))


def corner_data() -> Dataset:
    """300 samples to train with, 90 to test with."""
    return Dataset("corners", NAMES, corners(300, 0), corners(90, 1))


def write_npz(path: Path, dataset: Dataset) -> None:
    """The data set as a file."""
    train, test = dataset.train, dataset.test
    np.savez(
        path, train_images=train.inputs, train_labels=train.labels,
        test_images=test.inputs, test_labels=test.labels, class_names=np.array(NAMES),
    )  # fmt: skip
