"""The firmware's way from a picture to the network's input is that of the host, bit by bit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from native_build import compile_sources

from max78k.datasets.images import as_input, from_rgb565, middle
from max78k.network.folding import folded
from max78k.shipped_files import shipped_folder

SIZES = [
    ((144, 192), (1, 48, 48)), ((132, 176), (1, 64, 64)), ((72, 96), (3, 32, 32)),
    ((96, 128), (1, 60, 80)), ((78, 104), (3, 75, 50)), ((72, 96), (1, 72, 96)),
    ((30, 50), (1, 7, 5)), ((50, 30), (1, 1, 1)),
]  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    camera = shipped_folder("firmware") / "camera"
    folder = tmp_path_factory.mktemp("prepare")
    return compile_sources([camera / "prepare.c"], [camera], folder, "native_prepare.c")


def prepared(
    program: Path, raw: bytes, size: tuple[int, int], shape: tuple[int, int, int], offset: int,
    fold: int = 1,
) -> np.ndarray:  # fmt: skip
    plan = (size[1], *middle(*size, *shape[1:]), *shape[1:], shape[0], fold, offset)
    stream = np.array((size[0], *plan), "<u4").tobytes() + raw
    done = subprocess.run(
        [str(program)], input=stream, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    channels, rows, columns = shape
    return np.frombuffer(done.stdout, np.int8).reshape(
        channels * fold**2, rows // fold, columns // fold
    )


def expected(
    raw: bytes, size: tuple[int, int], shape: tuple[int, int, int], offset: int
) -> np.ndarray:
    pixels = as_input(from_rgb565(raw, *size), shape, crop=True)
    return (pixels.astype(np.int16) - offset).astype(np.int8)


@pytest.mark.parametrize(("size", "shape"), SIZES)
def test_random_pictures_of_any_size_become_the_same_input(
    program: Path, size: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    raw = np.random.default_rng(size[0]).integers(0, 256, 2 * size[0] * size[1], np.uint8).tobytes()
    for offset in (128, 0):
        seen = prepared(program, raw, size, shape, offset)
        assert np.array_equal(seen, expected(raw, size, shape, offset))


def test_black_white_dark_and_striped_pictures_become_the_same_input(program: Path) -> None:
    size, shape = (144, 192), (1, 48, 48)
    rows, columns = np.indices(size)
    stripes = np.where((rows + columns) % 2, 0xFFFF, 0)
    slope = (columns * 31 // 191) << 11 | (rows * 63 // 143) << 5 | (columns * 31 // 191)
    pictures = [np.zeros(size), np.full(size, 0xFFFF), np.full(size, 0x0821), stripes, slope]
    levels = []
    for picture in pictures:
        raw = picture.astype(">u2").tobytes()
        seen = prepared(program, raw, size, shape, 128)
        assert np.array_equal(seen, expected(raw, size, shape, 128))
        levels.append(int(seen[0, 0, 0]))
    assert levels[:2] == [-128, 127]


@pytest.mark.parametrize(
    ("shape", "fold"), [((1, 48, 48), 2), ((1, 48, 48), 4), ((3, 32, 32), 2), ((3, 30, 42), 3)]
)
def test_a_folded_input_is_that_of_the_network(
    program: Path, shape: tuple[int, int, int], fold: int
) -> None:
    size = (144, 192)
    raw = np.random.default_rng(fold).integers(0, 256, 2 * size[0] * size[1], np.uint8).tobytes()
    seen = prepared(program, raw, size, shape, 128, fold)
    assert np.array_equal(seen, folded(expected(raw, size, shape, 128), fold))
