"""``max78k evaluate``: the figures are those of the answers, whatever the level and the data."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from command import assert_one_error, run

from max78k.datasets.corruptions import CORRUPTIONS, add_noise, occlude
from max78k.datasets.load import load
from max78k.network import Network, reference

if TYPE_CHECKING:
    from max78k.flows.firmware import Firmware

Capture = pytest.CaptureFixture[str]


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


@pytest.mark.parametrize("wrong", [0, 4])
def test_what_is_learnt_by_heart_is_said(
    tiny_network: Network,
    model: Path,
    pictures: np.ndarray,
    tmp_path: Path,
    capsys: Capture,
    wrong: int,
) -> None:
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures[:, None]))
    labels = outputs.argmax(axis=1)
    labels[20 : 20 + wrong] = (labels[20 : 20 + wrong] + 1) % 7
    np.savez(tmp_path / "d.npz", images=pictures, labels=labels, usage=np.arange(30) // 20)
    told = run(capsys, "evaluate", model, "--data", tmp_path / "d.npz", "--part", "each").out
    line = told.splitlines()[-1]
    assert line.startswith(f"d.npz: the train part +{10 * wrong}.0 points from the test part")
    assert line.endswith(": it is learnt by heart") == (wrong > 0)


def test_repeats_within_a_part_are_counted_once(
    tiny_network: Network, model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    outputs = reference.outputs(tiny_network, tiny_network.from_pixels(pictures[:, None]))
    labels = outputs.argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 7  # three mistakes, on pictures of which two come twice again
    test = np.concatenate([pictures, pictures[:2], pictures[:2]])
    np.savez(
        tmp_path / "d.npz", train_images=pictures[2:4], train_labels=labels[2:4],
        test_images=test, test_labels=np.concatenate([labels, labels[:2], labels[:2]]),
    )  # fmt: skip
    report = evaluate(capsys, model, "--data", tmp_path / "d.npz")
    assert (report["n"], report["repeats"], report["repeats_within"]) == (34, 2, 4)
    assert report["accuracy"] == pytest.approx(27 / 34)
    assert report["accuracy_without_repeats"] == pytest.approx(26 / 32)
    assert report["accuracy_without_repeats_within"] == pytest.approx(27 / 30)
    assert report["accuracy_without_any_repeats"] == pytest.approx(26 / 28)
    assert report["weighted_recall"] == pytest.approx(report["accuracy"])
    each = evaluate(capsys, model, "--data", tmp_path / "d.npz", "--part", "each")
    assert [each["part"], *(one["part"] for one in each["also"])] == ["train", "test"]
    assert each["repeats"] == 2 and each["also"][0]["accuracy"] == report["accuracy"]
    text = run(capsys, "evaluate", model, "--data", tmp_path / "d.npz", "--part", "each")
    assert "2 samples also stand in the train part; without them 81.25 %" in text.out
    assert "4 samples repeat an earlier one of the part; without them 90.00 %" in text.out
    assert "6 samples do either; without them 92.86 %" in text.out


def test_mistakes_say_where_their_pictures_are(
    model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture
) -> None:
    for number, picture in enumerate(pictures):
        folder = tmp_path / "pictures" / "test" / ("happy" if number % 2 else "sad")
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        for name in ("happy", "sad"):
            (tmp_path / "pictures" / "train" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pictures" / "train" / name / "1.png"), picture)
    data = tmp_path / "pictures.npz"
    names = np.array(["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"])
    usage = np.array(["test", "train"] * 15)
    np.savez(data, images=pictures, labels=np.arange(30) % 7, usage=usage, class_names=names)
    evaluate(capsys, model, "--data", data, "--out", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "answers-pictures.csv").open()))
    assert [int(row["origin"]) for row in rows] == list(range(0, 30, 2))
    for row in rows:
        assert row["true"] == names[int(row["origin"]) % 7]
    seven = load(str(tmp_path / "pictures"), need=()).named_like(tuple(names)).test
    for origin, one in zip(seven.origin, seven.inputs, strict=True):
        assert np.array_equal(cv2.imread(str(tmp_path / "pictures" / origin), 0), one[0])


def test_the_board_gives_the_integers_and_its_own_time(
    tiny_network: Network, tiny_firmware: Firmware, monkeypatch: pytest.MonkeyPatch
) -> None:
    from max78k.flows import firmware
    from max78k.flows.evaluation import evaluate as judge
    from max78k.flows.levels import open_level
    from max78k.flows.models import Model

    monkeypatch.setattr(firmware, "make_firmware", lambda *args, **more: tiny_firmware)
    data = load("faces:train=1,test=5")
    model = Model(tiny_network, None, None)
    found = []
    for level in ("integer", "board"):
        with open_level(model, level) as answer:
            found.append(judge(data, answer, level=level))
    assert np.array_equal(found[0].outputs, found[1].outputs)
    assert found[0].board_seconds is None and 1e-6 < found[1].board_seconds < 1


def test_float_weights_are_judged_without_integers(tmp_path: Path, capsys: Capture) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\nfrom max78k.training.layers import Conv2d, Linear\n\n\n"
        "class Net(nn.Sequential):\n    def __init__(self, classes: int) -> None:\n"
        "        super().__init__(Conv2d(1, 4, pool=8), Linear(4 * 36, classes))\n"
    )
    run_folder, data = tmp_path / "run", "faces:train=32,test=16"
    outcome = run(capsys, "train-qat", "--network", f"{net}:Net", "--data", data, "--epochs", 2,
                  "--batch-size", 16, "--threads", 1, "--out", run_folder)  # fmt: skip
    assert outcome.code == 0, outcome.err
    common = ("--level", "float", "--run", run_folder, "--network", f"{net}:Net")
    report = evaluate(capsys, "--data", data, *common)
    assert (report["level"], report["n"], report["network"]) == ("float", 16, "net")
    assert report == {
        **evaluate(capsys, run_folder, "--data", data, *common),
        "seconds_per_sample": report["seconds_per_sample"],
    }
    picture = tmp_path / "face.png"
    cv2.imwrite(str(picture), np.full((60, 60), 99, np.uint8))
    answers = [
        json.loads(run(capsys, "predict", run_folder, picture, *more, "--json").out)
        for more in ((), common, ("--level", "accelerator"))
    ]
    assert all(isinstance(score, int) for score in answers[0]["scores"].values())
    assert answers[0]["scores"] == answers[2]["scores"]
    assert any(score != int(score) for score in answers[1]["scores"].values())


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
        capsys, model, "--data", tmp_path / "noise.npz", "--also", "faces:train=1,test=3",
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
    assert set(report["robustness"]) == set(CORRUPTIONS)
    names = report["class_names"]
    assert all(row["true"] == names[int(row["origin"]) % 7] for row in mistakes)
    counts = list(csv.reader((out / "confusion-noise.csv").open()))
    assert counts[0][1:] == report["class_names"]
    assert [[int(cell) for cell in row[1:]] for row in counts[1:]] == report["confusion"]
    shares = list(csv.reader((out / "confusion-noise-shares.csv").open()))
    assert all(sum(map(float, row[1:])) == pytest.approx(1) for row in shares[1:])
    text = (out / "report.txt").read_text()
    assert "noise.npz, all part, integer level" in text and "occlusion 24x24: " in text
    assert 0 <= report["flip_accuracy"] <= 1
    for name in (
        "confusion.png",
        "robustness.png",
        "mistakes-noise.png",
        "samples-noise.png",
        "mistakes-faces.csv",
        "spoilt-noise.png",
        "spoilt-faces.png",
    ):
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
    assert_one_error(refused, 2, "E-EVALUATE-MODEL", "--level float")
    picture = tmp_path / "face.png"
    cv2.imwrite(str(picture), pictures[0, 0])
    told = run(capsys, "predict", picture, "--level", "float", "--run", folder, "--json")
    assert len(json.loads(told.out)["shares"]) == 4
    for verb in (("predict", folder, picture), ("export", folder)):
        assert_one_error(run(capsys, *verb), 2, "E-EXPORT-PLAIN", "best.pt")
    assert_one_error(run(capsys, "predict", picture), 2, "E-PREDICT-MODEL")


def test_data_are_read_before_a_board_is_made_ready(
    model: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "max78k.flows.firmware.make_firmware", lambda *_, **__: pytest.fail("built")
    )
    missing = tmp_path / "none.npz"
    outcome = run(capsys, "evaluate", model, "--level", "board", "--data", missing)
    assert_one_error(outcome, 2, "E-DATA", "none.npz")
    outcome = run(
        capsys, "evaluate", model, "--level", "board", "--data", "faces:train=3,test=3",
        "--part", "final",
    )  # fmt: skip
    assert_one_error(outcome, 2, "E-DATA-PART", "final")


def test_data_of_other_classes_are_refused_before_a_board_is_made_ready(
    model: Path, pictures: np.ndarray, tmp_path: Path, capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "max78k.flows.firmware.make_firmware", lambda *_, **__: pytest.fail("built")
    )
    twelve, seven = tmp_path / "twelve.npz", tmp_path / "seven.npz"
    np.savez(twelve, images=pictures, labels=np.arange(30) % 12)
    names = np.array([f"emotion {number}" for number in range(7)])
    np.savez(seven, images=pictures, labels=np.arange(30) % 7, class_names=names)
    words = ("evaluate", model, "--level", "board", "--data")
    outcome = run(capsys, *words, twelve)
    assert_one_error(outcome, 2, "E-EVALUATE-CLASSES", "7 outputs", "twelve.npz has the label 11")
    outcome = run(capsys, *words, "faces:train=3,test=3", "--also", seven)
    assert_one_error(outcome, 2, "E-EVALUATE-CLASSES", "tiny7 knows", "emotion 6")
