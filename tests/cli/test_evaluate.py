"""``max78k evaluate``: the figures are those of the answers, whatever the level and the data."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import assert_one_error, run

from max78k.datasets.corruptions import CORRUPTIONS, add_noise, occlude
from max78k.network import Network, reference

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(tiny_network: Network, tmp_path: Path) -> Path:
    path = tmp_path / "tiny7.npz"
    tiny_network.save(path)
    return path


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (30, 48, 48), dtype=np.uint8)


def evaluate(capsys: Capture, *arguments: object) -> dict[str, Any]:
    outcome = run(capsys, "evaluate", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return dict(json.loads(outcome.out))


def test_data_without_parts_are_judged_whole(
    tiny_network: Network, model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    labels = np.arange(30) % 7
    np.savez(tmp_path / "final.npz", images=pictures, labels=labels)
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures[:, None]))
    answers = outputs.argmax(axis=1)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (labels, answers), 1)
    report = evaluate(capsys, "--model", model, "--data", tmp_path / "final.npz")
    assert (report["n"], report["part"], report["level"]) == (30, "all", "integer")
    assert report["accuracy"] == pytest.approx((answers == labels).mean())
    assert report["confusion"] == confusion.tolist()
    f1 = [
        2 * confusion[n, n] / max(confusion[n].sum() + confusion[:, n].sum(), 1) for n in range(7)
    ]
    assert report["macro_f1"] == pytest.approx(np.mean(f1))
    assert report["accuracy_without_repeats"] is None


def test_repeats_of_training_pictures_are_left_out_beside(
    tiny_network: Network, model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures[:, None]))
    labels = outputs.argmax(axis=1)
    labels[10:15] = (labels[10:15] + 1) % 7  # five mistakes, all on pictures seen in training
    seen = np.concatenate([pictures[10:20], 255 - pictures[:4]])
    np.savez(
        tmp_path / "d.npz", train_images=seen, train_labels=np.zeros(14, int),
        test_images=pictures, test_labels=labels,
    )  # fmt: skip
    report = evaluate(capsys, model, "--data", tmp_path / "d.npz")
    assert (report["n"], report["repeats"]) == (30, 10)
    assert report["accuracy"] == pytest.approx(25 / 30)
    assert report["accuracy_without_repeats"] == 1.0
    assert evaluate(capsys, model, "--data", tmp_path / "d.npz", "--part", "train")["n"] == 14


def test_levels_of_integers_agree(model: Path, capsys: Capture) -> None:
    common = (model, "--data", "faces:train=1,test=12", "--limit", 6)
    reports = [evaluate(capsys, *common, "--level", level) for level in ("integer", "accelerator")]
    assert reports[0]["confusion"] == reports[1]["confusion"]
    assert reports[0]["n"] == 6


def test_the_float_level_needs_the_run(model: Path, capsys: Capture) -> None:
    outcome = run(capsys, "evaluate", model, "--level", "float")
    assert_one_error(outcome, 2, "E-EVALUATE-RUN", "--run")


def test_labels_follow_the_names_not_the_numbers(
    tiny_network: Network, model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    names = tiny_network.class_names
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures[:, None]))
    answers = outputs.argmax(axis=1)
    turned = tuple(reversed(names))
    labels = np.array([turned.index(names[answer]) for answer in answers])
    np.savez(tmp_path / "d.npz", images=pictures, labels=labels, class_names=np.array(turned))
    assert evaluate(capsys, model, "--data", tmp_path / "d.npz")["accuracy"] == 1.0


def test_files_hold_the_mistakes(
    model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    np.savez(tmp_path / "noise.npz", images=pictures, labels=np.arange(30) % 7)
    out = tmp_path / "out"
    report = evaluate(
        capsys, model, "--data", tmp_path / "noise.npz", "--also", "faces:train=1,test=9",
        "--out", out, "--robustness", "--flip",
    )  # fmt: skip
    mistakes = list(csv.DictReader((out / "mistakes-noise.csv").open()))
    assert len(mistakes) == 30 - round(report["accuracy"] * 30)
    assert all(row["true"] != row["answer"] for row in mistakes)
    confidences = [float(row["confidence"]) for row in mistakes]
    assert confidences == sorted(confidences, reverse=True)
    assert len(list(csv.DictReader((out / "answers-noise.csv").open()))) == 30
    assert [one["data"] for one in json.loads((out / "report.json").read_text())] == [
        "noise.npz", "faces",
    ]  # fmt: skip
    assert list(report["robustness"]) == list(CORRUPTIONS)
    assert 0 <= report["flip_accuracy"] <= 1
    for name in ("confusion.png", "robustness.png", "mistakes-noise.png", "mistakes-faces.csv"):
        assert (out / name).stat().st_size > 100


def test_corruptions_are_seeded_and_as_large_as_said(pictures: np.ndarray) -> None:
    grey = np.full((50, 1, 48, 48), 128, np.uint8)
    noisy = add_noise(grey, 3, sigma=0.1)
    assert np.array_equal(noisy, add_noise(grey, 3, sigma=0.1))
    assert not np.array_equal(noisy, add_noise(grey, 4, sigma=0.1))
    assert np.std(noisy.astype(float)) == pytest.approx(25.5, rel=0.02)
    hidden = occlude(grey, 3, side=16)
    assert ((hidden == 0).sum(axis=(1, 2, 3)) == 256).all()
    assert len({tuple(np.argwhere(one == 0)[0]) for one in hidden}) > 20


def test_one_model_must_be_named(model: Path, capsys: Capture) -> None:
    assert_one_error(run(capsys, "evaluate"), 2, "E-EVALUATE-MODEL")
    assert_one_error(run(capsys, "evaluate", model, "--model", model), 2, "E-EVALUATE-MODEL")


def test_parts_that_data_do_not_have_are_named(model: Path, capsys: Capture) -> None:
    outcome = run(capsys, "evaluate", model, "--data", "faces:train=3,test=3", "--part", "final")
    assert_one_error(outcome, 2, "E-DATA-PART", "final", "test")


def test_a_reference_without_integers_is_judged_by_its_run(
    pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    data, folder = tmp_path / "data.npz", tmp_path / "run"
    labels = np.arange(30) % 4
    np.savez(data, images=pictures, labels=labels, usage=np.arange(30) // 20)
    trained = run(
        capsys, "train-qat", "--network", "references/emotorch_baseline", "--data", data,
        "--epochs", "1", "--batch-size", "10", "--out", folder,
    )  # fmt: skip
    assert trained.code == 0, trained.err
    found = evaluate(capsys, "--level", "float", "--run", folder, "--data", data, "--robustness")
    assert (found["network"], found["n"]) == ("references_emotorch_baseline", 10)
    assert np.sum(found["confusion"]) == 10
    assert set(found["robustness"]) == set(CORRUPTIONS)
    refused = run(capsys, "evaluate", "--run", folder, "--data", data)
    assert_one_error(refused, 2, "E-EVALUATE-MODEL")
