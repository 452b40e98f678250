"""``max78k data teach``: what trained networks say of pictures, as soft labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from corner_data import NAMES, NETWORKS, corner_data, corners, write_npz
from torch import nn

from max78k.cli.main import cli
from max78k.datasets.load import load
from max78k.errors import InputError
from max78k.flows.teaching import steps, taught_pictures
from max78k.training.augment import Augmentation
from max78k.training.checkpoint import load_model
from max78k.training.evaluate import scores
from max78k.training.fit import train
from max78k.training.layers import Mode
from max78k.training.options import TrainOptions

TINY = f"{NETWORKS}:Tiny"
STILL = Augmentation(flip=False, rotate=0, scale=0, shift=0, brightness=0, contrast=0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """Knows which corner is bright: a and b are each other's mirror, c is bright below."""
    folder = tmp_path_factory.mktemp("teaching") / "run"
    options = TrainOptions(
        network=TINY, folder=folder, epochs=4, qat_epochs=1, batch_size=32, distillation=0,
        augmentation=STILL,
    )  # fmt: skip
    train(options, corner_data())
    return folder


def test_views_are_the_picture_and_its_mirror(teacher):
    data = corner_data()
    told: list[int] = []
    found = taught_pictures(
        data, [teacher], network=TINY, share=1.0, shift=0,
        progress=lambda count, note: told.append(count),
    )  # fmt: skip
    soft = found.dataset.train.soft
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)
    top = data.train.labels < 2
    np.testing.assert_allclose(soft[top, 0], soft[top, 1], atol=0.2)  # seen from both sides
    assert soft[top, 2].mean() < 0.3 < 0.5 < soft[~top, 2].mean()
    assert sum(told) == steps(1, 0)
    again = taught_pictures(data, [teacher], network=TINY, share=1.0, shift=0).dataset.train.soft
    np.testing.assert_array_equal(again, soft)


def test_labels_keep_their_share_and_other_parts_are_left_alone(teacher):
    data = corner_data()
    whole = taught_pictures(data, [teacher], network=TINY, share=1.0, shift=1)
    half = taught_pictures(data, [teacher, teacher], network=TINY, share=0.5, shift=1)
    hard = np.eye(3)[data.train.labels]
    wanted = (whole.dataset.train.soft + hard) / 2
    np.testing.assert_allclose(half.dataset.train.soft, wanted, atol=1e-5)
    assert half.dataset.test is data.test and half.alone == (half.together,) * 2
    voted = replace(data.train, soft=np.full((300, 3), 1 / 3, np.float32))
    mixed = taught_pictures(
        data.with_parts({**data.parts(), "train": voted}),
        [teacher],
        network=TINY,
        share=0.5,
        shift=1,
    )
    np.testing.assert_allclose(
        mixed.dataset.train.soft, (whole.dataset.train.soft + 1 / 3) / 2, atol=1e-5
    )


def test_batch_norm_is_of_the_pictures_that_are_taught(teacher):
    data = corner_data()
    spoilt = torch.load(teacher / "float.pt", weights_only=True)
    model = load_model(teacher / "float.pt", TINY).model
    names = [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert names
    for name in names:
        spoilt["model"][f"{name}.running_var"] *= 9
        spoilt["model"][f"{name}.running_mean"] += 1
    other = teacher / "spoilt.pt"
    torch.save(spoilt, other)
    pixels = torch.from_numpy(data.test.inputs)
    kept, lost = (
        scores(load_model(p, TINY).model, pixels, Mode.FLOAT) for p in (teacher / "float.pt", other)
    )
    assert not torch.allclose(kept, lost, atol=0.05)
    found = [
        taught_pictures(data, [path], network=TINY, share=1.0).dataset.train.soft
        for path in (teacher / "float.pt", other)
    ]
    np.testing.assert_allclose(*found, atol=1e-4)


def test_the_verb_writes_what_training_reads(teacher, tmp_path):
    source, out = tmp_path / "corners.npz", tmp_path / "taught.npz"
    write_npz(source, corner_data())
    arguments = ["data", "teach", source, teacher, "--network", TINY, "--out", out, "--json"]
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    dataset = load(str(out), input_shape=(1, 12, 12))
    assert said["train"] == len(dataset.train) == 300 and 0 < said["together"] <= 1
    assert dataset.class_names == NAMES and dataset.train.soft is not None
    assert not np.array_equal(dataset.train.soft, np.eye(3)[dataset.train.labels])
    np.testing.assert_array_equal(dataset.test.inputs, corner_data().test.inputs)
    wrong = CliRunner().invoke(cli, [str(one) for one in [*arguments[:-2], "folder"]])
    assert wrong.exit_code and "E-DATA-OUT" in str(wrong.exception)


def test_classes_in_another_order_get_the_teachers_numbers(teacher):
    data = corner_data()
    turned = data.renumbered([NAMES.index(name) for name in ("a", "c", "b")], ("a", "c", "b"))
    assert not np.array_equal(turned.train.labels, data.train.labels)
    taught = taught_pictures(turned, [teacher], network=TINY).dataset
    assert taught.class_names == NAMES
    np.testing.assert_array_equal(taught.train.labels, data.train.labels)
    straight = taught_pictures(data, [teacher], network=TINY).dataset
    np.testing.assert_array_equal(taught.train.soft, straight.train.soft)


def test_teachers_must_know_the_classes_and_the_size(teacher):
    data = corner_data()
    with pytest.raises(InputError, match="E-TEACHER-CLASSES"):
        taught_pictures(replace(data, class_names=("a", "b", "d")), [teacher], network=TINY)
    with pytest.raises(InputError, match="E-TEACHER-CLASSES"):
        taught_pictures(replace(data, class_names=("0", "1", "2", "3")), [teacher], network=TINY)
    split = corners(9, 0)
    small = replace(split, inputs=split.inputs[:, :, :10, :10])
    with pytest.raises(InputError, match="E-TEACHER-SHAPE"):
        taught_pictures(replace(data, train=small, test=small), [teacher], network=TINY)
