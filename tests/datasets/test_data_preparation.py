"""Repeats, named changes, CK+, votes, and what the writers write."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from random_pictures import pictures

from max78k.cli.main import cli
from max78k.datasets.class_maps import CLASS_MAPS, map_classes, read_class_map
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.duplicates import find_duplicates, items_in, items_of, without_repeats
from max78k.datasets.face_finder import Box, cut
from max78k.datasets.faces import faces
from max78k.datasets.ferplus import ANSWERS, read_votes, with_votes
from max78k.datasets.images import as_input, load_image
from max78k.datasets.load import load
from max78k.datasets.named_augmentations import CHANGES, change, enlarge
from max78k.datasets.usage import Factors, use
from max78k.datasets.writing import write_folder, write_npz
from max78k.errors import InputError

FER_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


# --- balance --------------------------------------------------------------------------------------


def test_balancing_repeats_up_to_the_largest_class() -> None:
    split = Split(pictures(12), np.array([0] * 7 + [1] * 2 + [2] * 3))
    even = split.balanced(4)
    assert even.counts(3).tolist() == [7, 7, 7]
    assert np.array_equal(even.inputs[:12], split.inputs)
    for label in range(3):
        known = {one.tobytes() for one in split.inputs[split.labels == label]}
        assert {one.tobytes() for one in even.inputs[even.labels == label]} == known


# --- repeats --------------------------------------------------------------------------------------


def test_repeats_stay_where_results_are_measured(dataset: Dataset) -> None:
    inputs = dataset.train.inputs.copy()
    inputs[20] = inputs[3]  # within train, other label: 6 and 3
    inputs[5] = dataset.test.inputs[2]
    doubled = dataset.with_parts({**dataset.parts(), "train": Split(inputs, dataset.train.labels)})
    found = find_duplicates(items_of(doubled))
    assert found.within() == {"train": 1}
    assert found.across() == {"train in test": 1}
    assert len(found.contradictions) == 2
    clean = without_repeats(doubled, found)
    assert [len(part) for part in clean.parts().values()] == [19, 14, 7]
    assert not find_duplicates(items_of(clean)).groups


def test_files_are_deleted_only_when_said(dataset: Dataset, tmp_path: Path) -> None:
    from click.testing import CliRunner

    root = tmp_path / "pictures"
    write_folder(dataset, root)
    copy = root / "train" / "sad" / "copy.png"
    copy.write_bytes((root / "test" / "happy" / "happy_000001.png").read_bytes())
    run = CliRunner()
    dry = run.invoke(cli, ["data", "duplicates", str(root), "--json"])
    report = json.loads(dry.stdout)
    assert (report["repeats"], report["deleted"]) == (1, 0)
    assert report["groups"][0][1] == ["train", "sad", str(copy)]
    assert report["by_class"]["sad"]["train"] == {"samples": 4, "repeats": 1}
    assert copy.exists()
    tried = run.invoke(cli, ["data", "duplicates", str(root), "--delete", "--dry-run"])
    assert f"would go: {copy} (train, sad)" in tried.output
    assert re.search(r"^sad +4 +1 +2 +0 +1 +0$", tried.stdout, re.MULTILINE)
    assert copy.exists()
    refused = run.invoke(cli, ["data", "duplicates", str(root), "--delete"], input="n\n")
    assert refused.exit_code != 0
    assert copy.exists()
    done = run.invoke(cli, ["data", "duplicates", str(root), "--delete", "--yes", "--json"])
    assert json.loads(done.stdout)["deleted"] == 1
    assert not copy.exists()
    assert not find_duplicates(items_in(root)).groups


def test_a_dry_run_writes_no_cleaned_data(dataset: Dataset, tmp_path: Path) -> None:
    inputs = dataset.train.inputs.copy()
    inputs[20] = inputs[3]
    write_npz(
        dataset.with_parts({**dataset.parts(), "train": Split(inputs, dataset.train.labels)}),
        tmp_path / "d.npz",
    )
    arguments = ["data", "duplicates", str(tmp_path / "d.npz"), "--out", str(tmp_path / "c.npz")]
    told = CliRunner().invoke(cli, [*arguments, "--dry-run"])
    assert "would go: row 20 (train, neutral)" in told.output
    assert not (tmp_path / "c.npz").exists()
    CliRunner().invoke(cli, arguments)
    assert len(load(str(tmp_path / "c.npz")).train) == 20


# --- sizes ----------------------------------------------------------------------------------------


def test_pictures_are_written_in_another_size_and_read_back(
    dataset: Dataset, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    write_npz(dataset, tmp_path / "large.npz")
    run, small = CliRunner(), str(tmp_path / "small.npz")
    made = run.invoke(
        cli, ["data", "convert", str(tmp_path / "large.npz"), "--size", "24", "--out", small]
    )
    assert made.exit_code == 0, made.output
    told = json.loads(run.invoke(cli, ["data", "show", small, "--json"]).stdout)
    assert told["input_shape"] == [1, 24, 24]
    found = load(small, input_shape=(1, 24, 24))
    blocks = dataset.test.inputs[3, 0].reshape(24, 2, 24, 2).mean(axis=(1, 3))
    assert np.abs(found.test.inputs[3, 0] - blocks).max() <= 0.5
    assert (found.test.labels == dataset.test.labels).all()


def test_files_of_a_folder_get_their_size_in_one_step(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    for name in ("happy", "sad"):
        (root / name).mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(
                str(root / name / f"{number}.png"),
                pictures(1, number)[0, 0].repeat(2, 0).repeat(2, 1),
            )
    found = load(str(root), side=96)
    kept = pictures(1, 0)[0, 0].repeat(2, 0).repeat(2, 1)
    assert found.input_shape == (1, 96, 96)
    # nothing had to be stretched, and nothing was made smaller before
    assert any((picture[0] == kept).all() for picture in found.train.inputs)


def test_what_is_no_picture_gets_no_other_size(tmp_path: Path) -> None:
    path = tmp_path / "radio.npz"
    np.savez(path, images=np.zeros((20, 52, 60), np.uint8), labels=np.arange(20) % 2)
    with pytest.raises(InputError, match=r"E-DATA-SHAPE.*are no pictures"):
        load(str(path), input_shape=(52, 60), side=28)


# --- named changes --------------------------------------------------------------------------------


def test_there_are_twenty_eight_changes_and_each_changes() -> None:
    images, _ = faces(3, seed=2)
    assert len(CHANGES) == 28
    seen = set()
    for name in CHANGES:
        for number, image in enumerate(images):
            made = change(image, name, 7, number)
            assert made.dtype == np.uint8
            assert made.shape == image.shape
            assert (made != image).mean() > 0.01, name
            assert np.array_equal(made, change(image, name, 7, number))
            seen.add(made.tobytes())
    assert len(seen) == 28 * 3


def test_changes_go_the_way_of_their_names() -> None:
    image = faces(1, seed=3)[0][0]
    mean = {name: float(change(image, name, 1, 0).mean()) for name in CHANGES}
    spread = {name: float(change(image, name, 1, 0).std()) for name in CHANGES}
    assert mean["dark"] < mean["gamma_dark"] < image.mean() < mean["gamma_bright"]
    assert mean["bright"] > image.mean() > mean["hair"]
    assert spread["low_contrast"] < image.std() < spread["high_contrast"]
    assert np.array_equal(change(image, "flip", 1, 0), image[..., ::-1])
    assert np.array_equal(change(image, "invert", 1, 0), 255 - image)
    assert set(np.unique(change(image, "posterize", 1, 0))) <= {0, 64, 128, 191}
    assert mean["snowflakes"] > mean["dust"] > image.mean()


def test_colours_stay_together() -> None:
    grey = faces(1, seed=3)[0][0]
    colour = np.concatenate([grey, grey, grey])
    for name in CHANGES:
        made = change(colour, name, 1, 0)
        assert np.array_equal(made[0], made[2]), name


def test_copies_are_of_train_pictures_alone(dataset: Dataset) -> None:
    train, made = enlarge(dataset.train, ("flip", "dark"), 1 / 3, 5)
    assert made.count("") == 21
    assert made.count("flip") == made.count("dark") == 7
    flipped = [one.tobytes() for one in dataset.train.inputs[..., ::-1]]
    for row, name in enumerate(made):
        if name == "flip":
            original = flipped.index(train.inputs[row].tobytes())
            assert train.labels[row] == dataset.train.labels[original]


def test_bad_changes_are_refused() -> None:
    with pytest.raises(InputError, match=r"E-AUGMENT-NAME.*rotation"):
        change(pictures(1)[0], "melt", 0, 0)
    with pytest.raises(InputError, match=r"E-AUGMENT-SHAPE.*\[52, 600\]"):
        change(np.zeros((52, 600), np.uint8), "dark", 0, 0)


# --- CK+ ------------------------------------------------------------------------------------------


def write_png(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((60, 80), value, np.uint8))


def test_ckplus_as_published(tmp_path: Path) -> None:
    root = tmp_path / "ck"
    for person in range(10):
        name = f"S{person:03}"
        for frame in range(1, 7):
            write_png(
                root / "cohn-kanade-images" / name / "001" / f"{name}_001_{frame:08}.png",
                10 * person + frame,
            )
        note = root / "Emotion" / name / "001" / f"{name}_001_00000006_emotion.txt"
        note.parent.mkdir(parents=True)
        note.write_text(f"   {person % 7 + 1}.0000000e+00\n")
    data = load(str(root))
    assert len(data.train) + len(data.test) == 10 * 4
    persons = [set((part.inputs[:, 0, 0, 0] // 10).tolist()) for part in (data.train, data.test)]
    assert not persons[0] & persons[1]
    assert persons[1]
    for part in (data.train, data.test):
        for picture, label in zip(part.inputs[:, 0, 0, 0], part.labels, strict=True):
            person, frame = divmod(int(picture), 10)
            assert label == (0 if frame == 1 else person % 7 + 1)
            assert frame in (1, 4, 5, 6)
    (note.parent / note.name).write_text("nine")
    with pytest.raises(InputError, match=r"E-DATA-CKPLUS.*nine"):
        load(str(root))


def test_ckplus_by_class_keeps_persons_apart(tmp_path: Path) -> None:
    root = tmp_path / "CK+48"
    for person in range(10):
        for emotion in ("anger", "happy", "sadness"):
            for frame in range(3):
                write_png(root / emotion / f"S{person:03}_004_{frame:08}.png", 20 * person)
    data = load(str(root))
    assert {data.class_names[n] for n in data.train.labels} == {"angry", "happy", "sad"}
    values = [set(part.inputs[:, 0, 0, 0].tolist()) for part in (data.train, data.test)]
    assert values[1]
    assert not values[0] & values[1]


# --- writers --------------------------------------------------------------------------------------


def test_written_data_are_read_back(dataset: Dataset, tmp_path: Path) -> None:
    write_npz(dataset, tmp_path / "d.npz")
    write_folder(dataset, tmp_path / "d")
    for spec in ("d.npz", "d"):
        again = load(str(tmp_path / spec))
        assert again.class_names == dataset.class_names
        for name, part in dataset.parts().items():
            order = np.argsort(part.labels, kind="stable")
            back = again.parts()[name]
            other = np.argsort(back.labels, kind="stable")
            assert np.array_equal(back.inputs[other], part.inputs[order])
            assert np.array_equal(back.labels[other], part.labels[order])


def test_a_folder_is_written_whole_or_not_at_all(dataset: Dataset, tmp_path: Path) -> None:
    few = dataset.with_parts({**dataset.parts(), "test": dataset.test.take(np.arange(3))})
    with pytest.raises(InputError, match=r"E-DATA-CLASS.*happy"):
        write_folder(few, tmp_path / "d")
    write_folder(dataset, tmp_path / "d")
    with pytest.raises(InputError, match="E-DATA-OUT"):
        write_folder(dataset, tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_colour_survives_a_folder(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (4, 3, 20, 30), dtype=np.uint8)
    split = Split(inputs, np.arange(4) % 2)
    write_folder(Dataset("c", ("a", "b"), split, split), tmp_path / "c")
    again = load(str(tmp_path / "c"), input_shape=(3, 20, 30))
    assert np.array_equal(again.train.inputs[again.train.labels == 0], inputs[::2])


def test_soft_labels_follow_their_classes(dataset: Dataset, tmp_path: Path) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(7), 21).astype(np.float32)
    train = Split(dataset.train.inputs, dataset.train.labels, shares)
    plain = Split(dataset.test.inputs, dataset.test.labels, np.eye(7, dtype=np.float32)[[0] * 14])
    soft = Dataset("s", FER_NAMES, train, plain)
    mapped, _ = map_classes(soft, read_class_map("bad=angry+sad,happy"))
    row = int(np.flatnonzero(np.isin(train.labels, (0, 3, 4)))[1])
    expected = np.array([shares[row, 0] + shares[row, 4], shares[row, 3]])
    assert mapped.train.soft is not None
    assert np.allclose(mapped.train.soft[1], expected / expected.sum(), atol=1e-6)
    write_npz(mapped, tmp_path / "s.npz")
    again = load(str(tmp_path / "s.npz"))
    assert again.train.soft is not None
    assert np.allclose(again.train.soft, mapped.train.soft, atol=1e-6)
    larger, _ = enlarge(mapped.train, ("flip",), 1.0, 0)
    assert larger.soft is not None
    assert np.array_equal(larger.soft[len(mapped.train) :], mapped.train.soft)


# --- FER+ -----------------------------------------------------------------------------------------


def write_votes(path: Path, rows: list[tuple[str, dict[str, int]]]) -> Path:
    lines = ["Usage,Image name," + ",".join(ANSWERS)]
    for usage, votes in rows:
        lines.append(",".join([usage, "x.png", *(str(votes.get(name, 0)) for name in ANSWERS)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_votes_become_shares_of_the_train_part(dataset: Dataset, tmp_path: Path) -> None:
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    rows: list[tuple[str, dict[str, int]]]
    rows = [("Training", {names[row % 7]: 10}) for row in range(21)]
    rows[1] = ("Training", {"fear": 3, "disgust": 1, "contempt": 6})
    rows[2] = ("Training", {"NF": 9, "fear": 1})
    rows[3] = ("Training", {"contempt": 10})
    rows.insert(5, ("PublicTest", {"sadness": 10}))
    votes = read_votes(write_votes(tmp_path / "v.csv", rows))
    assert {part: len(own) for part, own in votes.items()} == {"train": 21, "test": 1, "final": 0}
    soft, judged = with_votes(dataset, votes, share=0.5)
    assert soft.train.soft is not None
    assert soft.test.soft is None
    assert soft.train.soft[1].tolist() == [0, 0.5 * 0.25 + 0.5, 0.5 * 0.75, 0, 0, 0, 0]
    assert soft.train.soft[3].tolist() == [0, 0, 0, 1, 0, 0, 0]  # nobody names a class
    assert (judged.agree, judged.silent, judged.no_face) == (19, 1, 1)
    assert judged.agree + judged.differ + judged.silent == 21
    fewer, _ = with_votes(dataset, votes, drop=True)
    assert len(fewer.train) == 20


def test_calibrated_votes_are_the_labels_that_go_with_them(dataset: Dataset) -> None:
    labels = np.array([4] * 30 + [6] * 10 + [3] * 40)
    answers = np.zeros((80, len(ANSWERS)), np.int64)
    answers[:40, ANSWERS.index("neutral")] = 10  # FER-2013 calls three quarters of them sad
    answers[40:, ANSWERS.index("happiness")] = 10
    train = Split(np.zeros((80, 1, 48, 48), np.uint8), labels)
    data = Dataset("fer", FER_NAMES, train, dataset.test)
    soft, judged = with_votes(data, {"train": answers}, share=1.0, calibrated=True)
    assert soft.train.soft is not None
    assert np.allclose(soft.train.soft.sum(axis=1), 1)
    assert np.allclose(soft.train.soft[0], soft.train.soft[35])
    assert soft.train.soft[0, [4, 6]] == pytest.approx([0.75, 0.25], abs=0.03)
    assert soft.train.soft[50, 3] > 0.95
    half, _ = with_votes(data, {"train": answers}, share=0.5, calibrated=True)
    assert half.train.soft is not None
    assert half.train.soft[35, 6] == pytest.approx(0.5 + 0.125, abs=0.02)
    assert judged.differ == 30


def test_votes_of_other_data_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    path = write_votes(tmp_path / "v.csv", [("Training", {"fear": 10})] * 20)
    with pytest.raises(InputError, match=r"E-FERPLUS-ROWS.*21.*20"):
        with_votes(dataset, read_votes(path))
    mapped, _ = map_classes(dataset, CLASS_MAPS["calm4"])
    with pytest.raises(InputError, match="E-FERPLUS-CLASSES"):
        with_votes(mapped, read_votes(path))
    path.write_text(path.read_text().replace("Training,x.png,0", "Training,x.png,?", 1))
    with pytest.raises(InputError, match=r"E-FERPLUS-FILE.*line 2"):
        read_votes(path)
    path.write_text("emotion,pixels\n1,2\n")
    with pytest.raises(InputError, match="E-FERPLUS-FILE"):
        read_votes(path)


# --- copies, names, faces -------------------------------------------------------------------------


def test_no_copies_are_made_of_pictures_that_are_judged(tmp_path: Path) -> None:
    train, test = pictures(20), pictures(6, 1)
    train[:5] = test[:5]  # five train pictures also stand in the test part
    np.savez(
        tmp_path / "d.npz", train_images=train, train_labels=np.arange(20) % 2,
        test_images=test, test_labels=np.arange(6) % 2,
    )  # fmt: skip
    command = ["data", "augment", str(tmp_path / "d.npz"), "--only", "flip,blur", "--out"]
    result = CliRunner().invoke(cli, [*command, str(tmp_path / "more.npz")])
    assert "30 copies by 2 changes" in result.output, result.output
    assert "5 train pictures got none" in result.output
    larger = load(str(tmp_path / "more.npz")).train.inputs
    assert np.array_equal(larger[:20], train)
    flipped = train[5:, :, :, ::-1]
    assert np.array_equal(larger[20:35], flipped)
    factors = {"d": Factors(1.0, 1.0)}
    _, taken = use({"d": load(str(tmp_path / "d.npz"))}, factors, 3)
    assert taken[0].to_json()["copies"] == 15 * 28
    # as folders, whose files name their change
    result = CliRunner().invoke(cli, [*command, str(tmp_path / "more")])
    assert result.exit_code == 0, result.output
    files = [path.stem for path in (tmp_path / "more" / "train" / "1").iterdir()]
    assert sum("blur" in name for name in files) == sum("flip" in name for name in files) > 5
    assert not [path for path in (tmp_path / "more" / "test").rglob("*flip*")]


def test_a_dry_run_lists_and_deletes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    twice = dataset.with_parts({**dataset.parts(), "train": dataset.train.take(np.arange(28) % 21)})
    write_folder(twice, tmp_path / "p")
    before = sorted((tmp_path / "p").rglob("*.png"))
    command = ["data", "duplicates", str(tmp_path / "p"), "--delete", "--dry-run"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0 and result.output.count("would go") == 7
    assert sorted((tmp_path / "p").rglob("*.png")) == before
    other = CliRunner().invoke(cli, [*command, "--part", "test"])
    assert "would delete" not in other.output and "14 samples, 0 of them" in other.output


class Middle:
    """Finds a face in bright pictures alone: a square in their middle."""

    def __init__(self, model: Path) -> None:
        pass

    def find(self, picture: np.ndarray) -> Box | None:
        rows, columns = picture.shape[:2]
        return Box(rows // 4, columns // 4, rows // 2) if picture.mean() > 50 else None


def test_faces_are_cut_as_they_are_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("max78k.datasets.face_finder.FaceFinder", Middle)
    photos = tmp_path / "photos"
    for number, name in enumerate(("happy", "sad", "sad")):
        (photos / name).mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(number).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        if number == 2:
            picture //= 8
        cv2.imwrite(str(photos / name / f"{number}.bmp"), picture)
    (photos / "happy" / "0.png").write_bytes((photos / "happy" / "0.bmp").read_bytes())
    (photos / "happy" / "broken.jpg").write_bytes(b"")
    command = ["data", "faces", str(photos), "--detector", "yunet.onnx", "--out"]
    result = CliRunner().invoke(cli, [*command, str(tmp_path / "faces")])
    assert "3 faces of 5 pictures" in result.output, result.output
    assert f"no image that can be read: {photos / 'happy' / 'broken.jpg'}" in result.output
    assert (tmp_path / "faces" / "happy" / "0-2.png").is_file()
    assert f"no face: {photos / 'sad' / '2.bmp'}" in result.output
    for path in ("happy/0", "sad/1"):
        photo = cv2.imread(str(photos / f"{path}.bmp"))
        live = as_input(cut(photo, Middle(photos).find(photo)), (1, 48, 48), crop=True)
        read = load_image(tmp_path / "faces" / f"{path}.png", (1, 48, 48))
        assert np.array_equal(read, live)
    again = CliRunner().invoke(cli, [*command, str(tmp_path / "faces")])
    assert isinstance(again.exception, InputError) and again.exception.code == "E-DATA-OUT"
    dark = CliRunner().invoke(
        cli, ["data", "faces", str(photos / "sad"), "--detector", "y.onnx", "--out",
              str(tmp_path / "f2")],
    )  # fmt: skip
    assert dark.exit_code == 0
    (photos / "sad" / "1.bmp").unlink()
    none = CliRunner().invoke(
        cli, ["data", "faces", str(photos / "sad"), "--detector", "y.onnx", "--out",
              str(tmp_path / "f3")],
    )  # fmt: skip
    assert isinstance(none.exception, InputError) and none.exception.code == "E-FACE-NONE"
    assert not (tmp_path / "f3").exists() and not list(tmp_path.glob(".f3*"))
