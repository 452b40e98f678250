"""``max78k data`` on input that is not as it should be, and on small data of every kind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run

from max78k.datasets.fer import CLASS_NAMES
from max78k.datasets.ferplus import ANSWERS

Capture = pytest.CaptureFixture[str]
_VOTED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


@pytest.fixture
def fer(tmp_path: Path) -> Path:
    """FER-2013 of 21 rows; train row 7 is the picture of test row 14, and of train row 8."""
    images = np.random.default_rng(3).integers(0, 256, (21, 48 * 48))
    images[7] = images[8] = images[14]
    path = tmp_path / "fer2013.csv"
    with path.open("w") as stream:
        stream.write("emotion,pixels,Usage\n")
        for row, image in enumerate(images):
            usage = "Training" if row < 14 else "PublicTest"
            stream.write(f"{row % 7},{' '.join(map(str, image))},{usage}\n")
    return path


def votes(path: Path, shift: int) -> Path:
    """FER+ of the same rows, each with seven votes for the label ``shift`` rows on."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("Usage", "Image name", *ANSWERS))
        for row in range(21):
            chosen = _VOTED[(row + shift) % 7]
            usage = "Training" if row < 14 else "PublicTest"
            writer.writerow((usage, f"{row}.png", *(7 * (name == chosen) for name in ANSWERS)))
    return path


def test_votes_in_another_order_than_the_pictures_are_refused(
    fer: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "soft.npz"
    given = ("data", "convert", fer, "--out", out, "--votes")
    assert_one_error(run(capsys, *given, votes(tmp_path / "v.csv", 1)), 2, "E-FERPLUS-ROWS")
    assert not out.exists()
    assert run(capsys, *given, votes(tmp_path / "v.csv", 0)).code == 0
    assert run(capsys, "data", "convert", out, "--out", tmp_path / "pictures").code == 0
    by_class = run(capsys, "data", "convert", tmp_path / "pictures", "--votes", tmp_path / "v.csv",
                   "--out", tmp_path / "wrong.npz")  # fmt: skip
    assert_one_error(by_class, 2, "E-FERPLUS-ROWS", "ordered by class")


def test_repeats_are_named_by_their_rows_in_the_file(fer: Path, capsys: Capture) -> None:
    told = run(capsys, "data", "duplicates", fer, "--dry-run")
    assert told.code == 0 and "would go: row 7 (train, angry)" in told.err
    assert "row 14 (test, angry) and row 7 (train, angry) and row 8 (train, disgust)" in told.out


def test_rows_that_repeat_go(fer: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "clean.npz"
    assert run(capsys, "data", "duplicates", fer, "--out", out).code == 0
    with np.load(out) as clean:
        assert clean["usage"].tolist() == ["train"] * 12 + ["test"] * 7
        assert clean["labels"].tolist() == [*range(7), *range(2, 7), *range(7)]


def test_ckplus_as_published_is_searched_for_repeats(tmp_path: Path, capsys: Capture) -> None:
    for person in range(3):
        frames = tmp_path / f"cohn-kanade-images/S{person:03}/001"
        notes = tmp_path / f"Emotion/S{person:03}/001"
        frames.mkdir(parents=True)
        notes.mkdir(parents=True)
        for number in range(1, 5):
            picture = np.full((48, 48), 0 if number == 1 else 50 * person + number, np.uint8)
            cv2.imwrite(str(frames / f"S{person:03}_001_{number:08}.png"), picture)
        (notes / f"S{person:03}_001_00000004_emotion.txt").write_text("   3.0000000e+00\n")
    report = json.loads(run(capsys, "data", "duplicates", tmp_path, "--json").out)
    assert (report["samples"], report["repeats"]) == (12, 2)
    refused = run(capsys, "data", "duplicates", tmp_path, "--delete", "--yes")
    assert_one_error(refused, 2, "E-DATA-DELETE")


def test_folders_inside_class_folders_are_refused(tmp_path: Path, capsys: Capture) -> None:
    for name in ("happy", "sad/more"):
        (tmp_path / name).mkdir(parents=True)
    refused = run(capsys, "data", "duplicates", tmp_path)
    assert_one_error(refused, 2, "E-DATA-FOLDER", str(Path("sad", "more")))


def test_a_change_that_is_named_twice_is_made_once(
    fer: Path, tmp_path: Path, capsys: Capture
) -> None:
    told = run(capsys, "data", "augment", fer, "--only", "flip,dark,flip", "--json",
               "--out", tmp_path / "more.npz")  # fmt: skip
    report = json.loads(told.out)
    assert report["changes"] == ["flip", "dark"]
    assert sum(report["counts"]["train"]) == 14 + 2 * 12


def test_bad_rows_are_told_with_the_option_that_leaves_them_out(
    fer: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(fer.read_text() + "9,1 2 3,Training\n")
    assert_one_error(run(capsys, "data", path), 2, "E-DATA-ROW", "line 23", "--skip-bad-rows")
    assert "1 bad rows were left out" in run(capsys, "data", path, "--skip-bad-rows").out


@pytest.mark.parametrize("folder", ["none", "fer2013.csv"])
def test_photographs_are_in_a_folder(
    fer: Path, tmp_path: Path, capsys: Capture, folder: str
) -> None:
    told = run(capsys, "data", "faces", tmp_path / folder, "--detector", fer, "--out", "faces")
    assert_one_error(told, 2, "E-DATA-FOLDER", folder)


def test_a_detector_that_is_none_is_refused_without_places_in_opencv(
    fer: Path, tmp_path: Path, capsys: Capture
) -> None:
    told = run(capsys, "data", "faces", tmp_path, "--detector", fer, "--out", tmp_path / "out")
    assert_one_error(told, 2, "E-FACE-MODEL", "fer2013.csv", "face_detection_yunet")
    assert ".cpp" not in told.err


def test_classes_in_another_spelling_are_judged_as_those_of_the_network(
    tmp_path: Path, capsys: Capture
) -> None:
    images = np.random.default_rng(4).integers(0, 256, (14, 48, 48), np.uint8)
    spelled = ("Anger", "Disgusted", "Fearful", "Happiness", "Neutral", "Sadness", "Surprised")
    order = [0, 1, 2, 3, 6, 4, 5]  # of FER-2013, by alphabet
    labels = np.arange(14) % 7
    assert [CLASS_NAMES[n] for n in order[4:]] == ["neutral", "sad", "surprise"]
    reports = []
    for names, numbers in ((CLASS_NAMES, np.array(order)[labels]), (spelled, labels)):
        np.savez(tmp_path / "d.npz", images=images, labels=numbers, class_names=np.array(names))
        told = run(capsys, "evaluate", "fer7_mini", "--data", tmp_path / "d.npz", "--json")
        reports.append(json.loads(told.out)["confusion"])
    assert reports[0] == reports[1]
    np.savez(tmp_path / "d.npz", images=images, labels=labels, class_names=np.array([*"abcdefg"]))
    told = run(capsys, "evaluate", "fer7_mini", "--data", tmp_path / "d.npz")
    assert_one_error(told, 2, "E-EVALUATE-CLASSES", "a, b, c", "angry")
    np.savez(tmp_path / "d.npz", images=images, labels=labels + 1)
    told = run(capsys, "evaluate", "fer7_mini", "--data", tmp_path / "d.npz")
    assert_one_error(told, 2, "E-EVALUATE-CLASSES", "the label 7", "0 ... 6")


@pytest.mark.parametrize("kind", ["array", "text", "part", "empty"])
def test_what_is_no_archive_is_said_without_advice_to_unpickle(
    tmp_path: Path, capsys: Capture, kind: str
) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, images=np.zeros((4, 48, 48), np.uint8), labels=np.arange(4))
    content = {"text": b"hello", "part": path.read_bytes()[:500], "empty": b""}
    if kind == "array":
        with path.open("wb") as stream:
            np.save(stream, np.zeros((4, 48, 48), np.uint8))
    else:
        path.write_bytes(content[kind])
    told = run(capsys, "evaluate", "--model", "fer7_mini", "--data", path)
    assert_one_error(told, 2, "E-DATA-FILE", "no archive")
    assert "pickle" not in told.err
