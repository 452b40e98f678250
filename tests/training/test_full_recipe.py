"""Runs with everything switched on: resumed bit by bit, stopped early, taught, in two processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from corner_data import NAMES, NETWORKS, corner_data, corners, write_npz

from max78k.datasets.dataset import Dataset
from max78k.datasets.load import load
from max78k.errors import InputError, Max78kError
from max78k.training.checkpoint import load_checkpoint, load_model
from max78k.training.fit import stored_options, train
from max78k.training.options import Augmentation, TrainOptions
from max78k.training.registry import build
from max78k.training.run_folder import RunFolder
from max78k.training.samples import Samples


@pytest.fixture(scope="module")
def dataset():
    return corner_data()


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        network=f"{NETWORKS}:Tiny", folder=tmp_path / "run", epochs=5, qat_epochs=2,
        batch_size=32, learning_rate=0.05, augmentation=Augmentation(flip=False, cutout=3),
    )  # fmt: skip


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("teacher") / "plain.pt"
    torch.save(build(f"{NETWORKS}:Plain", 3).state_dict(), path)
    return path


def stop_in(epoch: int, step: int):
    def progress(event):
        if event.row is None and (event.epoch, event.step) == (epoch, step):
            raise KeyboardInterrupt

    return progress


def same(first, second, path: str = "") -> None:
    """Equal to the bit, whatever is nested in what."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            same(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            same(one, other, f"{path}/{number}")
    else:
        assert first == second, path


EVERYTHING = {
    "ema": 0.98, "mixup": 0.3, "cutmix": 0.5, "schedule": "plateau", "qat_schedule": "plateau",
    "plateau": 1, "gamma": 0.5, "oversample": True, "class_weights": "balanced",
    "feature_distillation": 0.5, "clip_norm": 1.0, "patience": 4, "bf16": True,
}  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_run_with_everything_resumes_bit_by_bit(options, dataset, teacher_file, optimizer, epoch):
    full = replace(
        options, **EVERYTHING, optimizer=optimizer, learning_rate=0.003, qat_learning_rate=0.001,
        teacher=str(teacher_file) if optimizer == "adamw" else "self",
        teacher_network=f"{NETWORKS}:Plain" if optimizer == "adamw" else None,
    )  # fmt: skip
    train(replace(full, folder=options.folder / "whole"), dataset)
    with pytest.raises(Max78kError, match="E-TRAIN-INTERRUPTED"):
        train(full, dataset, progress=stop_in(epoch, 3))
    stored = stored_options(RunFolder(full.folder), full.network, full.teacher_network)
    assert stored.stored() == full.stored()
    train(stored, dataset)
    contents = [
        load_checkpoint(folder / "last.pt") for folder in (full.folder / "whole", full.folder)
    ]
    for content in contents:
        for row in content["history"]:
            del row["seconds"], row["images_per_second"]
    same(*contents)
    same(*(load_model(c / "best.pt", full.network).model.state_dict() for c in
           (full.folder / "whole", full.folder)))  # fmt: skip


def test_an_early_stop_ends_both_phases_and_restores_the_best_state(options):
    dataset = Dataset("faint", NAMES, corners(300, 0, 20), corners(90, 1, 20))
    patient = replace(
        options, epochs=24, qat_epochs=12, patience=2, learning_rate=0.02, qat_learning_rate=0.1,
        schedule="constant", qat_schedule="constant", distillation=0.0,
    )  # fmt: skip
    seen = {}

    def progress(event):
        if event.row is not None:
            content = load_checkpoint(patient.folder / "last.pt")
            seen[event.epoch] = (event.row["test_accuracy"], content)

    result = train(patient, dataset, progress=progress)
    for phase in ("float", "qat"):
        accuracies = [r["test_accuracy"] for r in result.history if r["phase"] == phase]
        assert len(accuracies) < 12 and max(accuracies[:-2]) >= max(accuracies[-2:])
    qat = [row for row in result.history if row["phase"] == "qat"]
    best = max(qat, key=lambda row: row["test_accuracy"])
    assert result.accuracy == best["test_accuracy"] > qat[-1]["test_accuracy"]
    same(load_checkpoint(patient.folder / "best.pt")["model"], seen[best["epoch"]][1]["model"])
    # the phase that follows begins with the best weights of the one before
    floats = [row for row in result.history if row["phase"] == "float"]
    first = max(floats, key=lambda row: row["test_accuracy"])["epoch"]
    begun = seen[len(floats) - 1][1]["training"]
    assert begun["phase"] == 1 and first != len(floats) - 1
    kept = seen[first][1]["model"]
    assert torch.equal(begun["trainer"]["model"]["conv1.weight"], kept["conv1.weight"])
    assert result.float_accuracy == floats[first]["test_accuracy"]


@pytest.mark.parametrize("patience", [0, 1])
def test_the_last_planned_epochs_are_clean_after_an_early_stop_too(
    options, dataset, monkeypatch, patience
):
    seen, real = [], Samples.batch

    def batch(self, order, epoch, step, *, clean=False):
        seen.append((epoch, clean))
        return real(self, order, epoch, step, clean=clean)

    monkeypatch.setattr(Samples, "batch", batch)
    # weights stay as they are, so that patience soon ends the float phase
    plan = replace(options, epochs=6, qat_epochs=2, clean_epochs=2, patience=patience,
                   learning_rate=0.0, qat_learning_rate=0.0)  # fmt: skip
    rows = train(plan, dataset).history
    phases = [row["phase"] for row in rows]
    assert (len(phases) < 6) == bool(patience) and phases.count("qat") == 2
    assert {epoch for epoch, clean in seen if clean} == {len(rows) - 2, len(rows) - 1}


def test_a_finished_run_is_measured_again_when_resumed(options, dataset):
    short = replace(options, epochs=2, qat_epochs=1)
    first = train(short, dataset)
    again = train(stored_options(RunFolder(short.folder), short.network), dataset)
    assert again.accuracy == first.accuracy and again.history == first.history


def test_teachers_must_fit_the_data_and_run_no_code_unasked(
    options, dataset, teacher_file, tmp_path
):
    taught = replace(options, epochs=2, qat_epochs=1, teacher=str(teacher_file))
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        train(taught, dataset)
    plain = replace(taught, teacher_network=f"{NETWORKS}:Plain")
    other = tmp_path / "other.pt"
    torch.save(build(f"{NETWORKS}:Plain", 5).state_dict(), other)
    with pytest.raises(InputError, match="E-CHECKPOINT-NETWORK"):
        train(replace(plain, teacher=str(other)), dataset)
    train(plain, dataset)
    with pytest.raises(InputError, match="E-CHECKPOINT-CODE the teacher"):
        stored_options(RunFolder(plain.folder), plain.network)


def test_a_checkpoint_of_a_run_can_teach_another(options, dataset, tmp_path):
    train(replace(options, epochs=1, qat_epochs=1), dataset)
    taught = replace(
        options, folder=tmp_path / "student", teacher=str(options.folder),
        teacher_network=options.network, epochs=2, qat_epochs=1, distillation=0.9,
    )  # fmt: skip
    assert len(train(taught, dataset).history) == 2
    turned = replace(dataset, class_names=dataset.class_names[::-1])
    with pytest.raises(InputError, match="E-TEACHER-CLASSES"):
        train(replace(taught, folder=tmp_path / "turned"), turned)
    other = replace(dataset, class_names=("cat", "dog", "cow"))
    with pytest.raises(InputError, match=r"E-TEACHER-CLASSES .* the data have cat, dog, cow"):
        train(replace(taught, folder=tmp_path / "other"), other)


def test_only_of_pictures_a_teacher_sees_the_mirror_too(options, dataset, tmp_path):
    plan = replace(options, epochs=2, qat_epochs=1, teacher_flip=True, distillation=0.5)
    assert len(train(plan, dataset).history) == 2
    train_part, test_part = (
        replace(part, inputs=part.inputs.reshape(len(part), 1, -1))
        for part in (dataset.train, dataset.test)
    )
    series = replace(dataset, train=train_part, test=test_part)
    file = tmp_path / "flat.py"
    file.write_text(
        "from torch import nn\nclass Flat(nn.Sequential):\n"
        "    def __init__(self, classes=3):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(144, classes))\n"
    )
    with pytest.raises(InputError, match="E-TEACHER-FLIP"):
        train(
            replace(plan, network=f"{file}:Flat", qat_epochs=None, folder=tmp_path / "series"),
            series,
        )


def test_arguments_reach_the_network_and_its_checkpoint(options, dataset):
    wide = replace(
        options, network=f"{NETWORKS}:Wide", network_arguments={"width": 5}, epochs=1, qat_epochs=1
    )
    assert train(wide, dataset).network.layers[0].weight.shape[0] == 5
    model = load_model(options.folder / "best.pt", wide.network).model
    assert model.conv1.weight.shape[0] == 5
    for arguments in ({"depth": 3}, {"classes": 4}, {"width": "many"}):
        with pytest.raises(InputError, match="E-NETWORK-ARGUMENT"):
            train(replace(wide, network_arguments=arguments, folder=options.folder / "x"), dataset)


def test_tensorboard_gets_every_epoch_once(options, dataset):
    event_files = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="optional package"
    )
    logged = replace(options, epochs=3, qat_epochs=1, tensorboard=True)
    with pytest.raises(Max78kError, match="E-TRAIN-INTERRUPTED"):
        train(logged, dataset, progress=stop_in(2, 2))
    stored = stored_options(RunFolder(logged.folder), logged.network)
    result = train(replace(stored, tensorboard=True), dataset)
    events = event_files.EventAccumulator(str(logged.folder / "tensorboard"))
    events.Reload()
    for name in ("test_accuracy", "train_loss", "learning_rate", "test_loss"):
        values = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in values] == [0, 1, 2]
        wanted = [row[name] for row in result.history]
        assert [value for _, value in values] == pytest.approx(wanted, rel=1e-5)


def test_a_device_that_is_not_there_is_refused(options, dataset):
    for name in ("cuda:99", "nonsense"):
        with pytest.raises(InputError, match="E-TRAIN-DEVICE"):
            train(replace(options, device=name), dataset)


def run_processes(count: int, folder: Path, data: Path, *more: str) -> None:
    """``max78k train-qat`` in ``count`` processes; one torchrun, threads as in the other run."""
    command = [sys.executable, "-m", "max78k", "train-qat"]
    if count > 1:
        command[1:2] = ["-m", "torch.distributed.run", "--standalone",
                        f"--nproc-per-node={count}", "-m"]  # fmt: skip
    command += ["--network", f"{NETWORKS}:Wide", "--data", str(data), "--out", str(folder), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


RECIPE = (
    "--epochs", "4", "--qat-epochs", "2", "--batch-size", "32", "--learning-rate", "0.02",
    "--no-bf16", "--no-flip", "--mixup", "0.3", "--cutmix", "0.3", "--ema", "0.9",
    "--feature-distillation", "0.2", "--class-weights", "balanced",
)  # fmt: skip


def test_two_processes_train_as_one_with_the_joined_batch(tmp_path, dataset):
    data = tmp_path / "corners.npz"
    write_npz(data, dataset)
    run_processes(2, tmp_path / "two", data, *RECIPE)
    options = TrainOptions(
        network=f"{NETWORKS}:Wide", folder=tmp_path / "one", epochs=4, qat_epochs=2, batch_size=32,
        learning_rate=0.02, bf16=False, augmentation=Augmentation(flip=False), mixup=0.3,
        cutmix=0.3, ema=0.9, feature_distillation=0.2, class_weights="balanced",
    )  # fmt: skip
    one = train(options, load(str(data), input_shape=(1, 12, 12)))
    two = load_checkpoint(tmp_path / "two" / "last.pt")
    assert two["class_names"] == list(NAMES) and two["options"] == options.stored()
    for ours, theirs in zip(two["history"][:2], one.history[:2], strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        assert ours["test_accuracy"] == pytest.approx(theirs["test_accuracy"], abs=0.02)
    wanted = load_checkpoint(tmp_path / "one" / "last.pt")["training"]["best"]
    for name, value in two["training"]["best"].items():
        if value.is_floating_point():
            difference = torch.linalg.norm(value - wanted[name])
            assert difference <= 0.02 * torch.linalg.norm(wanted[name]) + 1e-4, name
    with (tmp_path / "two" / "metrics.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["0", "1", "2", "3"]
    assert np.isfinite([row["test_loss"] for row in two["history"]]).all()
