"""``max78k predict``: one picture, several, folders of them, and files that are none."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run
from face_network import write_face_network

from max78k.datasets.faces import faces
from max78k.datasets.images import load_image
from max78k.network import Network, reference

Capture = pytest.CaptureFixture[str]
GREY = (1, 48, 48)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    root = tmp_path / "album"
    root.mkdir()
    for name, image in zip(("a.png", "b.png", "b.bmp"), faces(3, seed=2)[0], strict=True):
        cv2.imwrite(str(root / name), image[0])
    (root / "notes.txt").write_text("no picture")
    return root


def test_several_pictures_are_answered_as_each_alone(
    model: Path, album: Path, tmp_path: Path, capsys: Capture
) -> None:
    one = json.loads(run(capsys, "predict", model, album / "b.bmp", "--json").out)
    single = cv2.imread(str(album / "a.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "wide.png"), np.hstack([single, single, single]))
    drawn = tmp_path / "drawn"
    outcome = run(capsys, "predict", model, album, tmp_path / "wide.png", album / "a.png",
                  "--draw", drawn, "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    names = [Path(item["picture"]).name for item in report["pictures"]]
    assert names == ["a.png", "b.bmp", "b.png", "wide.png"] and report["left_out"] == {}
    by_name = dict(zip(names, report["pictures"], strict=True))
    assert {**by_name["b.bmp"], "level": "integer"} == {
        **one, "picture": str(album / "b.bmp")
    }  # fmt: skip
    assert by_name["wide.png"]["scores"] == by_name["a.png"]["scores"]  # its middle
    files = ["a.png", "b-2.png", "b.png", "wide.png"]
    assert sorted(path.name for path in drawn.iterdir()) == files
    lines = run(capsys, "predict", model, album).out.splitlines()
    assert [line.split()[0] for line in lines] == ["a.png", "b.bmp", "b.png"]


def test_what_cannot_be_read_is_named_and_the_rest_answered(
    model: Path, album: Path, tmp_path: Path, capsys: Capture
) -> None:
    broken = album / "broken.jpg"
    broken.write_bytes(b"")
    outcome = run(capsys, "predict", model, album, "--json")
    assert outcome.code == 0 and "left out: E-DATA-IMAGE" in outcome.err
    report = json.loads(outcome.out)
    assert len(report["pictures"]) == 3 and list(report["left_out"]) == [str(broken)]
    assert_one_error(run(capsys, "predict", model, broken), 2, "E-DATA-IMAGE", "broken.jpg")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_error(run(capsys, "predict", model, empty), 2, "E-PREDICT-PICTURE", "empty")
    detector = write_face_network(tmp_path / "faces.onnx")
    dark, bright = np.zeros((96, 128, 3), np.uint8), np.full((96, 128, 3), 10, np.uint8)
    bright[32:64, 64:96] = 250
    cv2.imwrite(str(empty / "dark.png"), dark)
    cv2.imwrite(str(empty / "face.png"), bright)
    report = json.loads(run(capsys, "predict", model, empty, "--detector", detector, "--json").out)
    assert [Path(item["picture"]).name for item in report["pictures"]] == ["face.png"]
    assert "E-PREDICT-FACE" in report["left_out"][str(empty / "dark.png")]


def test_levels_and_what_they_need_are_told_apart(
    model: Path, album: Path, capsys: Capture
) -> None:
    levels = [
        json.loads(run(capsys, "predict", model, album, "--level", level, "--json").out)
        for level in ("integer", "accelerator")
    ]
    assert levels[0]["pictures"] == levels[1]["pictures"]
    for verb in (("predict", model, album), ("evaluate", model, "--data", "faces:train=1,test=3")):
        assert_one_error(run(capsys, *verb, "--run", album), 2, "E-EVALUATE-RUN", "level float")
    assert_one_error(run(capsys, "predict", album), 2, "E-PREDICT-MODEL")


def _turned_by_exif(picture: np.ndarray) -> bytes:
    """A JPEG that lies on its side and says so."""
    lying = cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE)
    data = cv2.imencode(".jpg", lying, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 0x112, 3, 1, 6, 0, 0)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def test_pictures_of_any_kind_are_read_as_they_are_seen(
    tiny_network: Network, tmp_path: Path
) -> None:
    face = faces(1, seed=4)[0][0, 0]
    alpha = cv2.cvtColor(face, cv2.COLOR_GRAY2BGRA)
    alpha[..., 3] = 255
    for name, picture in (("deep", face.astype(np.uint16) * 257), ("alpha", alpha)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
        assert np.array_equal(load_image(tmp_path / f"{name}.png", GREY, crop=True)[0], face)
    (tmp_path / "turned.jpg").write_bytes(_turned_by_exif(cv2.resize(face, (96, 96))))
    upright = load_image(tmp_path / "turned.jpg", GREY, crop=True)[0].astype(int)
    assert np.abs(upright - face).mean() < 4 < np.abs(np.rot90(upright) - face).mean()
    for rows, columns in ((1, 1), (1, 48), (333, 217)):
        cv2.imwrite(str(tmp_path / "odd.png"), cv2.resize(face, (columns, rows)))
        pixels = load_image(tmp_path / "odd.png", GREY, crop=True)
        assert reference.outputs(tiny_network, tiny_network.from_pixels(pixels)[None]).size == 7
