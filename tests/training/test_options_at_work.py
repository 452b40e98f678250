"""What options say of a run is what the run does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from corner_data import NAMES, NETWORKS, corners

from max78k.datasets.corruptions import CORRUPTIONS
from max78k.datasets.dataset import Dataset, Split
from max78k.network import reference
from max78k.training.checkpoint import load_checkpoint
from max78k.training.fit import train
from max78k.training.losses import LOSSES, class_weights, cosine
from max78k.training.options import Augmentation, TrainOptions

STILL = Augmentation(flip=False, rotate=0, scale=0, shift=0, brightness=0, contrast=0)


@pytest.fixture
def dataset() -> Dataset:
    return Dataset("faint", NAMES, corners(240, 0, 20), corners(60, 1, 20))


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        network=f"{NETWORKS}:Tiny", folder=tmp_path / "run", epochs=7, qat_epochs=2,
        batch_size=32, learning_rate=0.02, warm_up=0.0, augmentation=STILL,
    )  # fmt: skip


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_rate_falls_where_the_accuracy_stays(options, dataset, ema):
    plan = replace(options, schedule="plateau", plateau=1, gamma=0.5, ema=ema, qat_epochs=1)
    rows = [row for row in train(plan, dataset).history if row["phase"] == "float"]
    best, rate, fallen = -1.0, 0.02, 0
    for row in rows:
        assert row["learning_rate"] == pytest.approx(rate)
        if row["test_accuracy"] <= best:
            rate, fallen = rate / 2, fallen + 1
        best = max(best, row["test_accuracy"])
    assert fallen


def test_the_average_of_the_best_epoch_is_what_an_early_stop_restores(options, dataset):
    plan = replace(options, epochs=12, qat_epochs=6, patience=2, ema=0.8, qat_learning_rate=0.1,
                   qat_schedule="constant", distillation=0.0)  # fmt: skip
    averages = {}

    def progress(event):
        if event.row is not None:
            training = load_checkpoint(plan.folder / "last.pt")["training"]["trainer"]
            averages[event.epoch] = training and training["average"]["model"]["conv1.weight"]

    result = train(plan, dataset, progress=progress)
    qat = [row for row in result.history if row["phase"] == "qat"]
    best = max(qat, key=lambda row: row["test_accuracy"])
    assert best is not qat[-1] and result.accuracy == best["test_accuracy"]
    kept = load_checkpoint(plan.folder / "best.pt")["model"]["conv1.weight"]
    assert torch.equal(kept, averages[best["epoch"]])


def test_the_chosen_loss_learns_with_weights_and_measures_without(options, dataset, monkeypatch):
    seen = []

    def spied(outputs, targets, *, smoothing, weights):
        seen.append((smoothing, weights))
        return cosine(outputs, targets, smoothing=smoothing, weights=weights)

    monkeypatch.setitem(LOSSES, "cosine", spied)
    plan = replace(options, loss="cosine", class_weights="1,2,5", label_smoothing=0.2, epochs=2,
                   qat_epochs=1)  # fmt: skip
    train(plan, dataset)
    wanted = class_weights(plan, dataset.train.counts(len(NAMES)))
    learnt = [weights for smoothing, weights in seen if smoothing == 0.2]
    assert len(learnt) == 2 * (240 // 32)
    assert all(weights is not None and torch.equal(weights, wanted) for weights in learnt)
    assert seen.count((0.0, None)) == 2 == len(seen) - len(learnt)


def test_a_heavier_class_is_answered_more_often(options, dataset):
    plain = train(options, dataset).confusion.sum(axis=0)
    heavy = train(replace(options, folder=options.folder / "w", class_weights="1,1,40"), dataset)
    assert heavy.confusion.sum(axis=0)[2] > plain[2] + 3


def quiet(count: int) -> Split:
    """Pictures without any noise: of each class the same one."""
    labels = np.arange(count) % 3
    inputs = np.full((count, 1, 12, 12), 100, np.uint8)
    for row, (top, left) in enumerate(np.array([(1, 1), (1, 7), (7, 1)])[labels]):
        inputs[row, 0, top : top + 4, left : left + 4] += 60
    return Split(inputs, labels.astype(np.int64))


def test_training_with_noise_makes_robust(options):
    dataset = Dataset("quiet", NAMES, quiet(240), quiet(120))
    noisy = replace(options, folder=options.folder / "n", augmentation=replace(STILL, noise=0.4))
    spoilt = CORRUPTIONS["noise 0.2"](dataset.test.inputs, 1)

    def right(plan: TrainOptions) -> float:
        network = train(plan, dataset).network
        answers = reference.outputs(network, network.from_pixels(spoilt)).argmax(axis=1)
        return float(np.mean(answers == dataset.test.labels))

    found = right(noisy), right(options)
    assert found[0] > found[1] + 0.1, found
