"""What a network reads of a picture is settled to the last bit."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path

import cv2
import numpy as np
import pytest

from max78k.datasets.frames import frames
from max78k.datasets.images import as_input, from_rgb565, grey, load_image, middle
from max78k.datasets.load import load


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def mean_of_area(levels: np.ndarray, rows: int, columns: int, row: int, column: int) -> int:
    """The mean over the area of a pixel, as fractions, half a level up."""
    height, width = levels.shape
    top, bottom = Fraction(row * height, rows), Fraction((row + 1) * height, rows)
    left, right = Fraction(column * width, columns), Fraction((column + 1) * width, columns)
    total = Fraction(0)
    for y in range(floor(top), min(height, floor(bottom) + 1)):
        down = max(min(bottom, Fraction(y + 1)) - max(top, Fraction(y)), Fraction(0))
        for x in range(floor(left), min(width, floor(right) + 1)):
            across = max(min(right, Fraction(x + 1)) - max(left, Fraction(x)), Fraction(0))
            total += down * across * int(levels[y, x])
    return floor(total / ((bottom - top) * (right - left)) + Fraction(1, 2))


@pytest.mark.parametrize("size", [(12, 16), (13, 17), (7, 9), (6, 5)])
def test_a_smaller_picture_has_the_exact_means_of_areas(size: tuple[int, int]):
    levels = noise(*size, seed=size[0])
    seen = as_input(levels, (1, 6, 5), crop=False)[0]
    expected = [[mean_of_area(levels, 6, 5, r, c) for c in range(5)] for r in range(6)]
    assert seen.tolist() == expected


def test_half_a_level_is_rounded_up():
    levels = np.array([[1, 2], [2, 1]], np.uint8)
    assert as_input(levels, (1, 1, 1), crop=False).item() == 2


def test_grey_is_that_of_opencv_and_leaves_grey_pictures_as_they_are():
    picture = noise(40, 50, 3)
    assert np.array_equal(grey(picture), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    levels = noise(16, 16)
    assert np.array_equal(grey(np.repeat(levels[..., None], 3, axis=2)), levels)


def test_files_in_colour_and_frames_become_the_same_input(tmp_path: Path):
    picture = noise(60, 80, 3)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    for shape in ((1, 24, 24), (3, 24, 24), (1, 48, 64)):
        frame = as_input(picture, shape, crop=True)
        assert np.array_equal(load_image(tmp_path / "a.png", shape, crop=True), frame)


def test_folders_of_training_pictures_become_what_live_makes_of_them(tmp_path: Path):
    for number in range(8):
        for label in ("calm", "glad"):
            (tmp_path / label).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / label / f"{number}.png"), noise(50, 70, 3, seed=number))
    data = load(str(tmp_path), input_shape=(1, 24, 24))
    seen = {image.tobytes() for part in (data.train, data.test) for image in part.inputs}
    frames_seen = frames(str(tmp_path / "calm"))
    assert seen == {as_input(one, (1, 24, 24), crop=True).tobytes() for _, one in frames_seen}


def test_the_middle_keeps_proportions():
    assert middle(144, 192, 48, 48) == (0, 24, 144, 144)
    assert middle(100, 50, 48, 48) == (25, 0, 50, 50)
    assert middle(90, 160, 48, 64) == (0, 20, 90, 120)


def test_pixels_of_the_cameras_bus_reach_from_black_to_white():
    raw = b"\x00\x00\xff\xff\xf8\x00\x07\xe0\x00\x1f\x08\x21"
    pixels = from_rgb565(raw, 2, 3).tolist()
    assert pixels == [
        [[0, 0, 0], [255, 255, 255], [0, 0, 255]],
        [[0, 255, 0], [255, 0, 0], [8, 4, 8]],
    ]
