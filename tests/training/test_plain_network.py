"""Networks without layers of the chip: trained in real numbers, as references and teachers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from corner_data import NETWORKS, corner_data, write_npz

from max78k.cli.main import cli
from max78k.errors import InputError, Max78kError
from max78k.training.checkpoint import load_checkpoint
from max78k.training.fit import train
from max78k.training.options import Augmentation, TrainOptions

STILL = Augmentation(flip=False, rotate=0.0, scale=0.0, shift=0.0)


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        network=f"{NETWORKS}:Plain", folder=tmp_path / "plain", epochs=4,
        batch_size=32, learning_rate=0.05, augmentation=STILL,
    )  # fmt: skip


def test_all_epochs_are_of_real_numbers_and_the_best_is_kept(options):
    result = train(options, corner_data())
    assert [row["phase"] for row in result.history] == ["float"] * 4
    assert result.network is None and not (options.folder / "network.npz").exists()
    best = max(row["test_accuracy"] for row in result.history)
    assert result.accuracy == result.float_accuracy == pytest.approx(best)
    assert best > 0.8
    summary = json.loads((options.folder / "run.json").read_text())
    assert summary["metrics"]["integer_accuracy"] is None
    first = next(row["epoch"] for row in result.history if row["test_accuracy"] == best)
    assert load_checkpoint(options.folder / "best.pt")["epoch"] == first + 1


def test_its_best_epoch_teaches_a_network_of_the_chip(options, tmp_path):
    train(options, corner_data())
    taught = replace(
        options, network=f"{NETWORKS}:Tiny", folder=tmp_path / "taught", epochs=2, qat_epochs=1,
        teacher=str(options.folder), teacher_network=options.network,
    )  # fmt: skip
    with_teacher = train(taught, corner_data())
    alone = train(
        replace(taught, folder=tmp_path / "alone", teacher="self", distillation=0.0), corner_data()
    )
    assert with_teacher.history[0]["train_loss"] != alone.history[0]["train_loss"]


def test_a_stopped_run_ends_in_the_same_weights(options, tmp_path):
    whole = train(options, corner_data())

    def stop(event):
        if event.row is None and (event.epoch, event.step) == (2, 3):
            raise KeyboardInterrupt

    parts = replace(options, folder=tmp_path / "parts")
    with pytest.raises(Max78kError) as caught:
        train(parts, corner_data(), progress=stop)
    assert caught.value.code == "E-TRAIN-INTERRUPTED"
    resumed = train(replace(parts, resume=True), corner_data())
    assert resumed.accuracy == whole.accuracy
    one, other = (load_checkpoint(o.folder / "last.pt")["model"] for o in (options, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("name", "value"), [("qat_epochs", 2), ("weight_bits", "4"), ("exponents", "learned")]
)
def test_what_only_integers_have_is_refused(options, name, value):
    with pytest.raises(InputError) as caught:
        train(replace(options, **{name: value}), corner_data())
    assert caught.value.code == "E-TRAIN-PLAIN" and f"{name} is {value}" in str(caught.value)


def test_the_command_reports_no_integers(tmp_path):
    write_npz(tmp_path / "data.npz", corner_data())
    run = CliRunner().invoke(cli, [
        "train-qat", "--network", f"{NETWORKS}:Plain", "--data", str(tmp_path / "data.npz"),
        "--epochs", "2", "--lr", "0.05", "--out", str(tmp_path / "run"), "--json",
    ])  # fmt: skip
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert report["integer_accuracy"] is None and report["weight_bytes"] is None
    assert 0 < report["float_accuracy"] <= 1
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
