"""What the virtual board's camera sees, from files to the firmware's memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from max78k.cli.board_camera import parse_size, pictures
from max78k.errors import InputError

RED_FIRST = np.array([200, 100, 50], np.uint8)


def flat(red: int) -> np.ndarray:
    """A picture of one colour, as OpenCV keeps it."""
    picture = np.zeros((12, 20, 3), np.uint8)
    picture[...] = (50, 100, red)
    return picture


def taken(source: Path | str, count: int, size: tuple[int, int] | None = (8, 8)) -> np.ndarray:
    return np.stack(list(islice(pictures(str(source), lambda: size), count)))


def test_an_image_is_seen_for_ever_red_first_in_the_size_asked_for(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), flat(200))
    seen = taken(tmp_path / "a.png", 3)
    assert seen.shape == (3, 8, 8, 3) and (seen == RED_FIRST).all()
    assert taken(tmp_path / "a.png", 1, None).shape == (1, 12, 20, 3)


def test_the_middle_is_cut_out(tmp_path: Path):
    picture = np.zeros((8, 24, 3), np.uint8)
    picture[:, 8:16] = 255
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert (taken(tmp_path / "a.png", 1) == 255).all()


def test_images_of_a_folder_follow_each_other_and_begin_anew(tmp_path: Path):
    for name, red in (("b.png", 20), ("a.png", 10), ("c.bmp", 30)):
        cv2.imwrite(str(tmp_path / name), flat(red))
    (tmp_path / "notes.txt").write_text("no image")
    assert taken(tmp_path, 5)[:, 0, 0, 0].tolist() == [10, 20, 30, 10, 20]


def test_frames_of_a_video_follow_each_other_and_begin_anew(tmp_path: Path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no videos")
    for level in (40, 120, 200):
        writer.write(np.full((32, 32, 3), level, np.uint8))
    writer.release()
    means = taken(path, 4).mean(axis=(1, 2, 3))
    assert means == pytest.approx([40, 120, 200, 40], abs=4)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("none.png", "E-DATA-IMAGE"),
        ("none.mp4", "E-FRAMES-SOURCE"),
        ("empty", "E-FRAMES-SOURCE"),
        ("text.jpg", "E-DATA-IMAGE"),
        ("text.mp4", "E-FRAMES-SOURCE"),
        ("webcam:98", "E-FRAMES-SOURCE"),
    ],
)
def test_sources_that_cannot_be_read_are_refused_at_once(source: str, code: str, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("no picture")
    name = source if source.startswith("webcam") else str(tmp_path / source)
    with pytest.raises(InputError, match=code):
        pictures(name, lambda: None)


def test_sizes():
    assert parse_size("64x48") == (48, 64)
    for text in ("64", "0x5", "64x", "x", "2000x10", "-1x5", "64 x 48"):
        with pytest.raises(InputError, match="E-BOARD-CAMERA"):
            parse_size(text)


def run_board(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "max78k", "board", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_refuses_a_size_without_a_camera(tmp_path: Path):
    done = run_board(tmp_path / "a.elf", "--camera-size", "8x8")
    assert done.returncode == 2 and "E-BOARD-CAMERA" in done.stderr
