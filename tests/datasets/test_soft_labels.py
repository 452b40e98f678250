"""Soft labels of .npz files: shares beside the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.load import load
from max78k.datasets.writing import write_npz
from max78k.errors import InputError

IMAGES = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
LABELS = np.array([0, 1, 2, 0, 1, 2])
VOTES = np.array([[8, 1, 1], [0, 5, 5], [1, 1, 2], [3, 0, 0], [2, 6, 2], [0, 1, 9]], np.uint8)


def write(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_votes_become_shares_and_follow_their_samples(tmp_path):
    usage = np.array(["train", "test", "train", "train", "test", "train"])
    spec = write(tmp_path / "a.npz", images=IMAGES, labels=LABELS, usage=usage, soft_labels=VOTES)
    dataset = load(spec, input_shape=(1, 4, 4))
    shares = VOTES / VOTES.sum(1, keepdims=True)
    np.testing.assert_allclose(dataset.train.soft, shares[[0, 2, 3, 5]], rtol=1e-6)
    np.testing.assert_allclose(dataset.test.soft, shares[[1, 4]], rtol=1e-6)
    assert dataset.limited(2).train.soft.shape == (2, 3)


def test_separate_parts_have_a_key_of_their_own(tmp_path):
    spec = write(
        tmp_path / "b.npz", train_images=IMAGES, train_labels=LABELS, test_images=IMAGES,
        test_labels=LABELS, train_soft_labels=VOTES.astype(np.float64),
    )  # fmt: skip
    dataset = load(spec, input_shape=(1, 4, 4))
    assert dataset.train.soft is not None and dataset.test.soft is None
    np.testing.assert_allclose(dataset.train.soft.sum(1), 1, rtol=1e-6)


def test_shares_of_one_part_are_written_and_read_again(tmp_path):
    shares = (VOTES / VOTES.sum(1, keepdims=True)).astype(np.float32)
    with_shares, plain = Split(IMAGES[:, None], LABELS, shares), Split(IMAGES[:, None], LABELS)
    write_npz(Dataset("x", ("a", "b", "c"), with_shares, plain), tmp_path / "x.npz")
    again = load(str(tmp_path / "x.npz"), input_shape=(1, 4, 4))
    np.testing.assert_allclose(again.train.soft, shares, rtol=1e-6)
    np.testing.assert_array_equal(again.test.soft, np.eye(3)[LABELS])


@pytest.mark.parametrize(
    "soft",
    [VOTES[:5], VOTES[:, :2], VOTES.astype(str), -VOTES.astype(int), VOTES * 0, VOTES[0],
     np.full((6, 3), np.nan)],
)  # fmt: skip
def test_soft_labels_that_do_not_fit_are_refused(tmp_path, soft):
    spec = write(tmp_path / "c.npz", images=IMAGES, labels=LABELS, soft_labels=soft)
    with pytest.raises(InputError, match="E-DATA-SOFT"):
        load(spec, input_shape=(1, 4, 4))


def test_a_split_with_shares_of_other_classes_is_refused():
    split = Split(IMAGES[:, None], LABELS, np.ones((6, 2), np.float32) / 2)
    with pytest.raises(InputError, match="E-DATA-SOFT"):
        Dataset("x", ("a", "b", "c"), split, split)
