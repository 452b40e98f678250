"""Figures: written whole, of a sensible size, the same bytes every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from max78k.report.confusion import draw_confusion
from max78k.report.contact_sheet import draw_contact_sheet
from max78k.report.curves import draw_curves
from max78k.report.latency import draw_latency
from max78k.report.layers import draw_layers
from max78k.report.memory import MemoryMap, Span, draw_memory
from max78k.report.pareto import Point, draw_pareto
from max78k.report.probabilities import draw_samples
from max78k.report.style import layer_colour

LOSS = [2.0, 1.2, 0.9, 0.8]
ACCURACY = [0.2, 0.5, 0.7, 0.72]
LAYERS = ("conv1", "conv2", "fc")


def curves(path: Path) -> None:
    draw_curves(path, train_loss=LOSS, test_loss=LOSS, train_accuracy=ACCURACY,
                test_accuracy=ACCURACY, qat_epoch=2)  # fmt: skip


def confusion(path: Path) -> None:
    draw_confusion(path, np.array([[5, 1, 0], [0, 7, 2], [0, 0, 0]]), ("cat", "dog", "ant"))


def latency(path: Path) -> None:
    times = 1e-3 + 1e-6 * np.arange(50.0)
    draw_latency(path, {"input load": times, "inference": [1e-3] * 9, "unload": []})


def layers(path: Path) -> None:
    draw_layers(path, {"conv1": 12345, "conv2": 0, "fc": 7})


def contact_sheet(path: Path) -> None:
    images = np.arange(5 * 3 * 36, dtype=np.uint32).reshape(5, 3, 6, 6).astype(np.uint8)
    draw_contact_sheet(path, images, [0, 1, 0, 1, 0], ("cat", "dog"),
                       predictions=[0, 0, 0, 1, 1], confidences=[0.5] * 5, columns=3)  # fmt: skip


def samples(path: Path) -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])
    images = np.arange(3 * 36, dtype=np.uint8).reshape(3, 1, 6, 6)
    draw_samples(path, images, [0, 1, 1], shares, ("cat", "dog", "ant"), "three")


def memory_map() -> MemoryMap:
    return MemoryMap(
        name="net",
        layers=LAYERS,
        kernels=(Span("conv1", 0, 0, 8), Span("conv2", 0, 8, 20), Span("fc", 63, 760, 768)),
        data=(
            Span("input", 0, 0, 9216, "conv1"),
            Span("conv1", 1, 0, 4096, "fc"),
            Span("conv2", 2, 0, 1024, "fc"),
            Span("fc", 3, 0, 16),
        ),
        bias=(Span("conv1", 0, 0, 16), Span("fc", 3, 500, 512)),
    )


def memory(path: Path) -> None:
    draw_memory(path, memory_map())


DRAWINGS = (curves, confusion, latency, layers, contact_sheet, samples, memory)


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
def test_a_figure_is_a_picture_and_the_same_twice(
    tmp_path: Path, draw: Callable[[Path], None]
) -> None:
    first, second = tmp_path / "new" / "a.png", tmp_path / "b.png"
    draw(first)
    draw(second)
    assert first.read_bytes() == second.read_bytes()
    picture = cv2.imread(str(first))
    assert picture is not None
    assert 200 <= picture.shape[0] <= 2000
    assert 300 <= picture.shape[1] <= 2000
    assert picture.std() > 5  # more than an empty page
    assert b"Software" not in first.read_bytes()
    assert [path.name for path in tmp_path.rglob("*.*")].count("a.png") == 1
    assert not list(tmp_path.rglob(".*"))  # no temporary file is left


def test_figures_show_their_numbers(tmp_path: Path) -> None:
    draw_layers(tmp_path / "a.png", {"conv1": 100, "fc": 50})
    draw_layers(tmp_path / "b.png", {"conv1": 100, "fc": 51})
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_the_memory_picture_counts_bytes_and_colours_layers(tmp_path: Path) -> None:
    net = memory_map()
    assert net.kernel_bytes == 9 * 28
    assert net.bias_bytes == 28
    assert net.data_by_step == [9216, 9216 + 4096, 4096 + 1024, 4096 + 1024 + 16]
    assert net.data_bytes == 9216 + 4096  # while conv1 runs; later 4096 + 1024 (+ 16)
    draw_memory(tmp_path / "a.png", net)
    picture = cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1]
    for number in range(len(LAYERS)):
        colour = [int(layer_colour(number)[start : start + 2], 16) for start in (1, 3, 5)]
        assert (picture == colour).all(axis=2).sum() > 100


def test_a_layer_is_named_where_there_is_room(tmp_path: Path) -> None:
    kernels = tuple(Span("conv1", n, 0, 400) for n in range(64))
    data = tuple(Span("conv1", n, 0, 9216) for n in range(16))
    drawn = []
    for name in ("conv1", "other"):
        net = MemoryMap(
            "net", (name,), tuple(replace(x, layer=name) for x in kernels),
            tuple(replace(x, layer=name) for x in data), (),
        )  # fmt: skip
        draw_memory(tmp_path / f"{name}.png", net)
        picture = cv2.imread(str(tmp_path / f"{name}.png"))
        drawn.append(picture[60:700, 60:600])  # inside the kernels, without axes and key
    assert drawn[0].shape == drawn[1].shape and (drawn[0] != drawn[1]).any()


def test_settings_of_the_user_do_not_change_a_figure(tmp_path: Path) -> None:
    import matplotlib

    layers(tmp_path / "a.png")
    with matplotlib.rc_context({"font.size": 25, "axes.facecolor": "red"}):
        layers(tmp_path / "b.png")
        assert matplotlib.rcParams["font.size"] == 25
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_figures_of_nothing_are_still_written(tmp_path: Path) -> None:
    draw_layers(tmp_path / "a.png", {})
    draw_latency(tmp_path / "b.png", {})
    draw_contact_sheet(tmp_path / "c.png", np.zeros((0, 1, 4, 4), np.uint8), [], ())
    draw_curves(
        tmp_path / "d.png", train_loss=[], test_loss=[], train_accuracy=[], test_accuracy=[]
    )
    draw_memory(tmp_path / "e.png", MemoryMap("net", (), (), (), ()))
    assert len(list(tmp_path.glob("*.png"))) == 5


def test_the_pareto_picture_is_drawn(tmp_path):
    points = [Point(0, 0.9, 3000.0, 100_000, True), Point(1, 0.5, 4000.0, 200_000, False)]
    for budget in (None, 3500.0):
        draw_pareto(tmp_path / "pareto.png", points, budget)
        assert (tmp_path / "pareto.png").read_bytes()[:4] == b"\x89PNG"
