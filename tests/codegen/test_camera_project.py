"""The project of the camera application, and which networks it is for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_image import tiny_image

from max78k.chip import addresses
from max78k.codegen.build import build
from max78k.codegen.camera import camera_header, plan_camera
from max78k.codegen.project import write_project
from max78k.codegen.tables import network_header
from max78k.codegen.toolchain import find_compiler
from max78k.compiler.image import Image
from max78k.errors import InputError


def classifier(*shape: int) -> Image:
    """The tiny image with an input of another shape; two values come out."""
    return tiny_image(sample_input=np.zeros(shape, np.int8))


def mapper(*shape: int) -> Image:
    """The same with four values of each class."""
    image = classifier(*shape)
    return replace(image, output_runs=tuple(replace(run, count=4) for run in image.output_runs))


@pytest.mark.parametrize(
    ("shape", "size", "middle"),
    [
        ((1, 48, 48), (144, 192), (0, 24, 144, 144)),
        ((3, 64, 64), (132, 176), (0, 22, 132, 132)),
        ((1, 28, 28), (144, 192), (0, 24, 144, 144)),
        ((3, 128, 128), (132, 176), (0, 22, 132, 132)),
        ((1, 60, 80), (120, 160), (0, 0, 120, 160)),
        ((1, 40, 120), (90, 120), (25, 0, 40, 120)),
    ],
)
def test_pictures_are_as_large_as_memory_and_sensor_allow(
    shape: tuple[int, int, int], size: tuple[int, int], middle: tuple[int, int, int, int]
) -> None:
    plan = plan_camera(classifier(*shape), 128)
    assert (plan.rows, plan.columns) == size
    assert plan.middle == middle
    assert plan.middle[2] >= shape[1]
    assert plan.middle[3] >= shape[2]
    used = 2 * plan.rows * plan.columns + int(np.prod(shape))
    assert used < addresses.SRAM_BYTES - 24 * 1024
    assert plan.rows * 4 == plan.columns * 3
    assert plan.rows % 2 == 0 == plan.rows * plan.columns * 2 % 4


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (classifier(52, 400), "E-CAMERA-INPUT"),
        (classifier(2, 32, 32), "E-CAMERA-INPUT"),
        (mapper(1, 32, 32), "E-CAMERA-OUTPUT"),
        (classifier(1, 300, 300), "E-CAMERA-SIZE"),
        (classifier(3, 180, 180), "E-CAMERA-SIZE"),
    ],
)
def test_networks_that_a_camera_cannot_feed_are_refused(image: Image, code: str) -> None:
    with pytest.raises(InputError, match=code):
        plan_camera(image, 128)


def test_the_project_has_the_cameras_sources_instead_of_the_links(tmp_path: Path) -> None:
    image = classifier(1, 32, 32)
    plan = plan_camera(image, 0)
    folder = write_project(image, tmp_path / "camera", class_names=("a", "b"), camera=plan)
    camera = {path.name for path in (folder / "src").iterdir()}
    link = {path.name for path in (write_project(image, tmp_path / "link") / "src").iterdir()}
    assert {"prepare.c", "sensor.c", "capture.c", "main.c", "cnn.c", "boot.c"} <= camera
    assert not {"server.c", "stream.c", "csi.c"} & camera
    assert not {"prepare.c", "sensor.c"} & link
    assert "prepare(" in (folder / "src" / "main.c").read_text()
    header = (folder / "generated" / "camera.h").read_text()
    assert header == camera_header(plan, ("a", "b"))
    assert "#define INPUT_OFFSET 0U" in header
    assert "#define CLASS_NAMES 1U" in header


@pytest.mark.parametrize("name", ["zig", "arm-none-eabi-gcc"])
def test_the_project_compiles_without_a_warning(name: str, tmp_path: Path) -> None:
    if name != "zig" and shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    pytest.importorskip("ziglang" if name == "zig" else "elftools")
    compiler = find_compiler(name)
    strict = replace(compiler, machine=(*compiler.machine, "-Werror"))
    image = classifier(1, 48, 48)
    folder = write_project(image, tmp_path / "p", camera=plan_camera(image, 128))
    built = build(folder, compiler=strict)
    assert 55_296 + 48 * 48 < built.bss_bytes < 72_000


@pytest.mark.parametrize(
    ("shape", "takes"), [((52, 400), 1), ((63, 100), 1), ((64, 100), 0), ((1, 48, 48), 0)]
)
def test_memory_for_csi_is_kept_for_series_of_few_channels_alone(
    shape: tuple[int, ...], takes: int
) -> None:
    assert f"#define NETWORK_TAKES_CSI {takes}\n" in network_header(classifier(*shape))
