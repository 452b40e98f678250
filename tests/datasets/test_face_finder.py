"""From a picture to the face in it, by OpenCV and a network of YuNet's shape."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from face_network import FACE_SIDE, write_face_network

from max78k.cli.main import cli
from max78k.datasets.face_finder import MARGIN, FaceFinder, cut
from max78k.datasets.images import as_input
from max78k.errors import InputError
from max78k.network import Network, reference

SIDE = round(FACE_SIDE * (1 + 2 * MARGIN))


def picture(rows: int, columns: int, top: int, left: int, side: int = 32) -> np.ndarray:
    """Dark, with one bright square."""
    seen = np.full((rows, columns, 3), 10, np.uint8)
    seen[top : top + side, left : left + side] = 250
    return seen


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_face_is_found_in_pictures_of_any_size(dynamic: bool, tmp_path: Path) -> None:
    finder = FaceFinder(write_face_network(tmp_path / "faces.onnx", dynamic=dynamic))
    for rows, columns in ((480, 640), (333, 517), (96, 128)):
        box = finder.find(picture(rows, columns, 32, 64))
        assert box is not None
        assert box.side == SIDE
        assert (box.top + box.side / 2, box.left + box.side / 2) == pytest.approx((32, 64), abs=1)
    assert finder.find(np.zeros((200, 300, 3), np.uint8)) is None


def test_predict_takes_the_face(tiny_network: Network, tmp_path: Path) -> None:
    model, path = tmp_path / "tiny7.npz", tmp_path / "photo.png"
    tiny_network.save(model)
    detector = write_face_network(tmp_path / "faces.onnx")
    seen = picture(240, 320, 96, 160)
    seen[100:110, 170:180] = (40, 90, 200)
    cv2.imwrite(str(path), seen)
    box = FaceFinder(detector).find(seen)
    assert box is not None
    pixels = as_input(cut(seen, box), tiny_network.input_shape, crop=True)
    values = reference.outputs(tiny_network, tiny_network.from_pixels(pixels)[None])[0]
    arguments = ["predict", str(model), str(path), "--json"]
    whole = CliRunner().invoke(cli, arguments)
    found = CliRunner().invoke(cli, [*arguments, "--detector", str(detector)])
    expected = dict(zip(tiny_network.class_names, values.tolist(), strict=True))
    assert json.loads(found.stdout)["scores"] == expected
    assert json.loads(whole.stdout)["scores"] != json.loads(found.stdout)["scores"]
    cv2.imwrite(str(path), np.zeros((240, 320, 3), np.uint8))
    none = CliRunner().invoke(cli, [*arguments, "--detector", str(detector)])
    assert isinstance(none.exception, InputError)
    assert none.exception.code == "E-PREDICT-FACE"


def test_large_pictures_are_searched_smaller_and_boxes_are_of_the_large_one(tmp_path: Path) -> None:
    finder = FaceFinder(write_face_network(tmp_path / "faces.onnx"))
    box = finder.find(picture(960, 1280, 64, 128, side=64))
    assert box is not None
    assert box.side == pytest.approx(2 * SIDE, abs=1)
    assert (box.top + box.side / 2, box.left + box.side / 2) == pytest.approx((64, 128), abs=2)


def test_live_asks_the_network_for_what_is_in_the_box(
    tiny_network: Network, tmp_path: Path
) -> None:
    tiny_network.save(tmp_path / "tiny7.npz")
    detector = write_face_network(tmp_path / "faces.onnx")
    folder = tmp_path / "pictures"
    folder.mkdir()
    seen = picture(240, 320, 96, 160)
    seen[100:110, 170:180] = (40, 90, 200)
    cv2.imwrite(str(folder / "a.png"), seen)
    cv2.imwrite(str(folder / "b.png"), np.zeros((240, 320, 3), np.uint8))
    done = CliRunner().invoke(
        cli, ["live", str(tmp_path / "tiny7.npz"), "--camera", str(folder), "--detector",
              str(detector), "--reference", "--json"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.splitlines()[0])
    box = FaceFinder(detector).find(seen)
    assert box is not None
    pixels = as_input(cut(seen, box), tiny_network.input_shape, crop=True)
    values = reference.outputs(tiny_network, tiny_network.from_pixels(pixels)[None])[0]
    assert answer["picture"] == "a.png"
    assert answer["class"] == tiny_network.class_names[int(values.argmax())]
    assert "1 pictures without a face" in done.output


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "no such file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:8f\nsize 232589\n", "Git LFS"),
        (b"nothing", "cannot find faces"),
    ],
)
def test_a_wrong_file_leads_to_the_right_one(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="E-FACE-MODEL") as caught:
        FaceFinder(path)
    assert why in str(caught.value)
    assert "face_detection_yunet_2023mar.onnx" in caught.value.hint
    assert "https://github.com/opencv/opencv_zoo" in caught.value.hint
