"""Loaders of FER-2013, arrays and folders: what they read and how they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.images import load_image
from max78k.datasets.load import load
from max78k.errors import InputError

GREY = (1, 48, 48)
FER_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def refused(code: str, *said: str) -> Any:
    """The block raises an InputError of this code whose text holds all these words."""
    return pytest.raises(InputError, match="".join(f"(?=.*{word})" for word in (code, *said)))


def random_images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


# --- FER-2013 CSV ---------------------------------------------------------------------------------


def csv_row(emotion: object, pixels: np.ndarray, usage: str) -> str:
    return f"{emotion},{' '.join(map(str, pixels.ravel()))},{usage}"


def write_csv(path: Path, rows: list[str], header: str = "emotion,pixels,Usage") -> str:
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


@pytest.fixture
def pixels() -> np.ndarray:
    return random_images(6, 48, 48)


@pytest.fixture
def good_rows(pixels: np.ndarray) -> list[str]:
    usages = ["Training", "PublicTest", "Training", "PrivateTest", "Training", "PublicTest"]
    return [csv_row(n, pixels[n], usage) for n, usage in enumerate(usages)]


def test_csv_parts_follow_the_usage_column(
    tmp_path: Path, pixels: np.ndarray, good_rows: list[str]
) -> None:
    data = load(write_csv(tmp_path / "fer2013.csv", good_rows))
    assert data.class_names == FER_NAMES
    assert data.train.labels.tolist() == [0, 2, 4]
    assert data.test.labels.tolist() == [1, 5]
    assert data.final is not None
    assert data.final.labels.tolist() == [3]
    assert np.array_equal(data.train.inputs, pixels[[0, 2, 4], None])
    assert np.array_equal(data.final.inputs, pixels[[3], None])


def test_csv_columns_may_be_in_any_order_case_and_spacing(
    tmp_path: Path, pixels: np.ndarray, good_rows: list[str]
) -> None:
    turned = []
    for row in good_rows:
        emotion, text, usage = row.split(",")
        turned.append(f'{emotion}, {usage},"{text}"')
    path = tmp_path / "icml.csv"
    path.write_bytes("\r\n".join(["\ufeffEmotion, Usage, Pixels", *turned, ""]).encode())
    data = load(str(path))
    assert np.array_equal(data.test.inputs, pixels[[1, 5], None])


def test_csv_without_usage_holds_out_a_share_of_each_class(
    tmp_path: Path, pixels: np.ndarray
) -> None:
    rows = [csv_row(n % 2, pixels[n % 6], "").rstrip(",") for n in range(40)]
    path = write_csv(tmp_path / "train.csv", rows, "emotion,pixels")
    data = load(path)
    assert data.test.counts(7).tolist() == [2, 2, 0, 0, 0, 0, 0]
    assert len(data.train) == 36


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("0,1 2 3,Training", "3 pixels instead of 2304"),
        ("0", "1 columns instead of 3"),
        ("7,{0},Training", "emotion '7'"),
        ("happy,{0},Training", "emotion 'happy'"),
        ("0,{0},Validation", "Usage 'Validation'"),
        ("0,{1} 256,Training", "pixel '256'"),
        ("0,{1} -1,Training", "pixel '-1'"),
        ("0,{1} x,Training", "pixel 'x'"),
        ("0,{1} 1_0,Training", "pixel '1_0'"),
    ],
)
def test_bad_csv_rows_are_named_counted_and_may_be_skipped(
    tmp_path: Path, good_rows: list[str], bad: str, said: str
) -> None:
    row = bad.format(" ".join(["9"] * 2304), " ".join(["9"] * 2303))
    rows = [*good_rows[:2], row, *good_rows[2:], row]
    path = write_csv(tmp_path / "fer2013.csv", rows)
    with refused("E-DATA-ROW", "fer2013.csv line 4", said, "2 such rows"):
        load(path)
    data = load(path, skip_bad_rows=True)
    assert data.skipped_rows == 2
    assert (len(data.train), len(data.test)) == (3, 2)
    assert "2 bad rows" in data.describe()


def test_a_csv_of_something_else_is_refused(tmp_path: Path, good_rows: list[str]) -> None:
    with refused("E-DATA-COLUMNS", "emotion", "name"):
        load(write_csv(tmp_path / "other.csv", ["1,2"], "name,size"))
    with refused("E-DATA-COLUMNS"):
        load(write_csv(tmp_path / "empty.csv", [], ""))
    with refused("E-DATA-EMPTY", "test"):
        load(write_csv(tmp_path / "half.csv", good_rows[:1]))
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 20)
    with refused("E-DATA-COLUMNS"):
        load(str(tmp_path / "binary.csv"))


# --- npz ------------------------------------------------------------------------------------------


def write_npz(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("shape", [(48, 48), (1, 48, 48), (48, 48, 1)])
def test_npz_images_may_lack_or_end_with_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images, labels = random_images(20, *shape), np.arange(20) % 2
    data = load(write_npz(tmp_path / "a.npz", images=images, labels=labels))
    assert (len(data.train), len(data.test)) == (18, 2)
    assert data.class_names == ("0", "1")
    both = np.concatenate((data.train.inputs, data.test.inputs)).reshape(20, -1)
    assert {row.tobytes() for row in both} == {row.tobytes() for row in images}


def test_npz_colour_images_become_channels_first(tmp_path: Path) -> None:
    images = random_images(4, 5, 7, 3)
    path = write_npz(tmp_path / "a.npz", images=images, labels=[0, 1, 0, 1], split=[0, 0, 1, 1])
    data = load(path, input_shape=(3, 5, 7))
    assert np.array_equal(data.train.inputs[1, 2], images[1, :, :, 2])


def test_npz_of_signals_keeps_its_two_axes(tmp_path: Path) -> None:
    path = write_npz(
        tmp_path / "a.npz", images=random_images(4, 52, 60), labels=[0, 1, 0, 1], usage=[0, 0, 1, 1]
    )
    assert load(path, input_shape=(52, 60)).input_shape == (52, 60)


@pytest.mark.parametrize(
    "usage", [np.array([0, 1, 2, 0]), np.array(["Training", "PublicTest", "PrivateTest", "train"])]
)
def test_npz_usage_names_the_parts(tmp_path: Path, usage: np.ndarray) -> None:
    images = random_images(4, 48, 48)
    path = write_npz(
        tmp_path / "a.npz",
        images=images,
        labels=[0, 1, 2, 1],
        usage=usage,
        class_names=["x", "y", "z"],
    )
    data = load(path)
    assert data.class_names == ("x", "y", "z")
    assert data.train.labels.tolist() == [0, 1]
    assert data.final is not None
    assert np.array_equal(data.final.inputs[0, 0], images[2])


@pytest.mark.parametrize("keys", [("train_images", "train_labels", "test_images", "test_labels"),
                                  ("x_train", "y_train", "x_test", "y_test")])  # fmt: skip
def test_npz_may_have_keys_for_each_part(tmp_path: Path, keys: tuple[str, ...]) -> None:
    images = random_images(3, 48, 48)
    values = (images[:2], np.array([0, 1]), images[2:], np.array([1]))
    data = load(write_npz(tmp_path / "a.npz", **dict(zip(keys, values, strict=True))))
    assert (len(data.train), len(data.test)) == (2, 1)


def test_npz_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    images, labels = random_images(4, 48, 48), np.array([0, 1, 0, 1])
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"images": images}, ("E-DATA-KEYS", "images")),
        ({"images": images, "labels": labels[:3]}, ("E-DATA-SHAPE", "4 images but 3 labels")),
        ({"images": images / 255, "labels": labels}, ("E-DATA-TYPE", "float64")),
        ({"images": images, "labels": labels / 2}, ("E-DATA-TYPE", "float64")),
        ({"images": images, "labels": -labels}, ("E-DATA-LABEL", "-1")),
        ({"images": images, "labels": labels, "class_names": ["x"]}, ("E-DATA-LABEL", "label 1")),
        ({"images": images[:, :40], "labels": labels}, ("E-DATA-SHAPE", r"\[40, 48\]", r"\[1, 48")),
        ({"images": images, "labels": labels, "usage": [0, 1, 5, 0]}, ("E-DATA-USAGE", "'5'")),
        ({"images": images, "labels": labels, "usage": [0, 1]}, ("E-DATA-USAGE", r"\[2\]")),
        ({"images": images, "labels": labels, "usage": [0] * 4}, ("E-DATA-EMPTY", "test")),
        ({"images": np.array([{}, None]), "labels": labels[:2]}, ("E-DATA-FILE", "Object arrays")),
    ]
    for number, (arrays, said) in enumerate(cases):
        with refused(*said):
            load(write_npz(tmp_path / f"{number}.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00"])
def test_a_broken_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with refused("E-DATA-FILE", "a.npz"):
        load(str(tmp_path / "a.npz"))


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=random_images(4, 48, 48), labels=[0, 1, 0, 1])
    content = bytearray(path.read_bytes())
    content[300:400] = bytes(100)
    path.write_bytes(content)
    with refused("E-DATA-FILE", "a.npz"):
        load(str(path))
    path.write_bytes(content[:900])
    with refused("E-DATA-FILE", "a.npz"):
        load(str(path))


def mosaic(tiles: np.ndarray, columns: int = 4) -> np.ndarray:
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * columns, 48, 48), np.uint8)
    sheet[: len(tiles)] = tiles
    sheet = sheet.reshape(rows, columns, 48, 48).swapaxes(1, 2).reshape(rows * 48, columns * 48)
    return cv2.imencode(".png", sheet)[1].ravel()


def mosaic_arrays() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    images, usage = random_images(9, 48, 48), np.array([0, 0, 1, 0, 0, 1, 0, 0, 1])
    return images, {
        "png_training": mosaic(images[usage == 0]),
        "png_publictest": mosaic(images[usage == 1]),
        "labels": np.arange(9) % 7,
        "usage": usage,
        "row_exact": np.array([1, 1, 1, 1, 0, 0, 1, 1, 1]),
        "label_ambiguous": np.array([1, 0, 0, 0, 0, 0, 0, 0, 0]),
    }


def test_mosaics_are_cut_into_tiles_and_rows_can_be_filtered(tmp_path: Path) -> None:
    images, arrays = mosaic_arrays()
    path = write_npz(tmp_path / "a.npz", **arrays)
    data = load(path)
    assert data.class_names == FER_NAMES
    assert np.array_equal(data.train.inputs[:, 0], images[arrays["usage"] == 0])
    assert np.array_equal(data.test.inputs[:, 0], images[arrays["usage"] == 1])
    assert data.test.labels.tolist() == [2, 5, 1]
    filtered = load(path, keep_inexact=False, keep_ambiguous=False)
    assert np.array_equal(filtered.train.inputs[:, 0], images[[1, 3, 6, 7]])
    assert np.array_equal(filtered.test.inputs[:, 0], images[[2, 8]])


def test_mosaics_that_do_not_fit_their_labels_are_refused(tmp_path: Path) -> None:
    _, arrays = mosaic_arrays()
    small = {**arrays, "png_training": mosaic(random_images(4, 48, 48))}
    cases: list[tuple[dict[str, np.ndarray], tuple[str, ...]]] = [
        (small, ("E-DATA-SHAPE", "4 tiles for 6 labels")),
        ({**arrays, "png_publictest": np.zeros(50, np.uint8)}, ("E-DATA-FILE", "png_publictest")),
        ({**arrays, "usage": arrays["usage"] + 1}, ("E-DATA-USAGE",)),
        ({key: arrays[key] for key in arrays if key != "usage"}, ("E-DATA-KEYS", "usage")),
    ]
    for number, (changed, said) in enumerate(cases):
        with refused(*said):
            load(write_npz(tmp_path / f"{number}.npz", **changed))
    del arrays["row_exact"]
    with refused("E-DATA-KEYS", "row_exact"):
        load(write_npz(tmp_path / "b.npz", **arrays), keep_inexact=False)


def test_fer2013_has_its_known_counts(shared_folder: Path) -> None:
    data = load(str(shared_folder / "data" / "fer2013.npz"))
    assert data.class_names == FER_NAMES
    assert data.train.counts(7).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert data.test.counts(7).tolist() == [467, 56, 496, 895, 653, 415, 607]
    assert data.final is None
    # 280 of the test pictures also stand in the training part: the tiles are cut right.
    seen = {image.tobytes() for image in data.train.inputs}
    assert sum(image.tobytes() in seen for image in data.test.inputs) == 280


# --- folders --------------------------------------------------------------------------------------


def write_images(folder: Path, count: int, size: tuple[int, int] = (30, 20)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        tone = np.full((*size, 3), (number, 100, 200), np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), tone)


def test_a_folder_of_classes_is_split_by_the_seed(tmp_path: Path) -> None:
    for name in ("cat", "ant"):
        write_images(tmp_path / name, 20)
    (tmp_path / "cat" / ".hidden").write_text("x")
    (tmp_path / "cat" / "Thumbs.db").write_text("x")
    data = load(str(tmp_path), input_shape=(3, 8, 8))
    assert data.class_names == ("ant", "cat")
    assert data.train.counts(2).tolist() == [18, 18]
    assert data.test.counts(2).tolist() == [2, 2]
    again, other = (load(str(tmp_path), input_shape=(3, 8, 8), seed=seed) for seed in (0, 1))
    assert np.array_equal(data.test.inputs, again.test.inputs)
    assert not np.array_equal(data.test.inputs, other.test.inputs)


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_folders_of_parts_use_the_order_of_fer2013(tmp_path: Path, test_name: str) -> None:
    for part, count in (("train", 3), (test_name, 1)):
        for name in FER_NAMES:
            write_images(tmp_path / part / name, count)
    data = load(str(tmp_path))
    assert data.class_names == FER_NAMES
    assert data.input_shape == GREY
    assert data.train.counts(7).tolist() == [3] * 7
    assert data.test.counts(7).tolist() == [1] * 7


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with refused("E-DATA-FOLDER", "0 class folders"):
        load(str(tmp_path))
    write_images(tmp_path / "train" / "a", 1)
    write_images(tmp_path / "train" / "b", 1)
    with refused("E-DATA-FOLDER", "none of test"):
        load(str(tmp_path))
    write_images(tmp_path / "test" / "a", 1)
    write_images(tmp_path / "test" / "c", 1)
    with refused("E-DATA-FOLDER", "test lacks the class b"):
        load(str(tmp_path))
    write_images(tmp_path / "test" / "b", 1)
    with refused("E-DATA-FOLDER", "train lacks the class c"):
        load(str(tmp_path))
    (tmp_path / "train" / "c").mkdir()
    with refused("E-DATA-FOLDER", "train has no images of c"):
        load(str(tmp_path))


def test_all_unreadable_images_are_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 3)
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG but no picture")
    (tmp_path / "b" / "empty.jpg").write_bytes(b"")
    (tmp_path / "b" / "inner").mkdir()
    with refused("E-DATA-IMAGE", "3 files", "a/broken.png, b/empty.jpg, b/inner"):
        load(str(tmp_path))


# --- single images --------------------------------------------------------------------------------


def test_an_image_is_resized_to_grey_or_colour(tmp_path: Path) -> None:
    path = tmp_path / "ü.png"
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, :48] = (10, 20, 230)  # blue, green, red
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    colour = load_image(path, (3, 4, 4))
    assert colour[:, 0, 0].tolist() == [230, 20, 10]
    assert colour[:, 0, 3].tolist() == [0, 0, 0]
    assert load_image(path, GREY).shape == GREY
    cv2.imwrite(str(path), np.tile(np.array([[0, 100], [100, 200]], np.uint8), (24, 24)))
    assert np.unique(load_image(path, (1, 24, 24))).tolist() == [100]  # the mean of each area


def test_cropping_keeps_proportions(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    picture = np.zeros((48, 144), np.uint8)
    picture[:, 48:96] = 255
    cv2.imwrite(str(path), picture)
    assert (load_image(path, GREY, crop=True) == 255).all()
    assert not (load_image(path, GREY) == 255).all()


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with refused("E-DATA-IMAGE", "a.png"):
        load_image(tmp_path / "a.png", GREY)
    with refused("E-DATA-IMAGE", "b.png"):
        load_image(tmp_path / "b.png", GREY)
    with refused("E-DATA-SHAPE", r"\[52, 600\]"):
        load_image(tmp_path / "a.png", (52, 600))


# --- specifications -------------------------------------------------------------------------------


def test_drawn_faces_by_specification_have_parts_that_share_nothing() -> None:
    data = load("faces:train=60,test=30", seed=2)
    assert (len(data.train), len(data.test)) == (60, 30)
    everything = np.concatenate((data.train.inputs, data.test.inputs))
    assert len(np.unique(everything, axis=0)) == 90
    larger = load("faces:test=30,train=61", seed=2)
    assert np.array_equal(larger.test.inputs, data.test.inputs)
    assert np.array_equal(larger.train.inputs[:60], data.train.inputs)


@pytest.mark.parametrize("spec", ["faces:train=0", "faces:big=3", "faces:train", "faces:train=-1",
                                  "faces:train=1e3", "faces:train=99999999"])  # fmt: skip
def test_bad_specifications_of_faces_are_refused(spec: str) -> None:
    with refused("E-DATA-SPEC", spec.partition(":")[2]):
        load(spec)


def test_specifications_that_name_nothing_are_refused(tmp_path: Path) -> None:
    for spec in ("nothing", "face", "", str(tmp_path / "no.csv"), str(tmp_path / "no.npz"),
                 str(tmp_path / "missing")):  # fmt: skip
        if spec:
            with refused("E-DATA-SPEC"):
                load(spec)


def test_a_shape_that_the_data_do_not_have_is_refused() -> None:
    with refused("E-DATA-SHAPE", r"\[1, 48, 48\]", r"\[3, 64, 64\]"):
        load("faces:train=7,test=7", input_shape=(3, 64, 64))


def test_options_of_other_data_are_refused() -> None:
    for option in ({"skip_bad_rows": True}, {"crop": False}, {"keep_inexact": False}):
        with refused("E-DATA-OPTION", next(iter(option))):
            load("faces:train=7,test=7", **option)  # type: ignore[arg-type]


def test_a_limit_takes_samples_by_the_seed() -> None:
    whole = load("faces:train=70,test=35")
    some = load("faces:train=70,test=35", limit=10)
    assert (len(some.train), len(some.test)) == (10, 10)
    kept = {image.tobytes() for image in some.train.inputs}
    assert kept < {image.tobytes() for image in whole.train.inputs}
    assert len(whole.limited(1000).train) == 70
    with refused("E-DATA-LIMIT"):
        whole.limited(0)


def test_dividing_keeps_every_sample_once_and_every_class_in_both_parts() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2], dtype=np.int64)
    split = Split(np.arange(54, dtype=np.uint8).reshape(-1, 1, 1, 1), labels)
    first, second = split.divide(0.1, seed=0)
    assert second.counts(3).tolist() == [5, 1, 0]
    both = np.concatenate((first.inputs, second.inputs)).ravel()
    assert sorted(both.tolist()) == list(range(54))


def test_the_description_counts_classes_and_parts() -> None:
    split = Split(np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1]))
    text = Dataset("mine", ("cat", "elephant"), split, split.take(np.array([1]))).describe()
    assert "mine: 2 classes, inputs 1x2x2" in text
    assert text.splitlines()[3].split() == ["elephant", "2", "1"]
    assert text.splitlines()[4].split() == ["all", "3", "1"]
