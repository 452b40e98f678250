"""From a picture file to what the firmware makes of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from board_support import compiled

from max78k.simulator.sccb import CameraControl

COLOURS = {"1-red": (0, 0, 250), "2-blue": (250, 0, 0), "3-green": (0, 250, 0)}  # blue first


def snapshots(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "max78k", "board", "run", str(compiled("snapshot"))]
    command += ["--until", "^[RGB]{3}$", "--timeout", "20", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_firmware_sees_the_pictures_of_a_folder_in_the_size_asked_for(tmp_path: Path):
    for name, colour in COLOURS.items():
        picture = np.zeros((30, 40, 3), np.uint8)
        picture[...] = colour
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    done = snapshots("--camera", tmp_path, "--camera-size", "8x8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "RBG\n", "")
    one = snapshots("--camera", tmp_path / "2-blue.png", "--camera-size", "8x8",
                    "--fault", "camera-noise=4")  # fmt: skip
    assert one.stdout == "BBB\n"
    assert one.stderr == "fault camera-noise: 3 pictures with a deviation of 4 grey levels\n"


def test_without_a_camera_no_picture_arrives():
    done = snapshots("--timeout", "0.5")
    assert done.returncode == 4 and done.stdout == ""


def test_a_source_that_is_none_is_refused_before_the_board_boots(tmp_path: Path):
    done = snapshots("--camera", tmp_path / "none.png")
    assert done.returncode == 2 and "E-DATA-IMAGE" in done.stderr and done.stdout == ""


def test_size_is_what_the_firmware_has_set_in_the_sensor():
    control = CameraControl()
    assert control.size is None
    control.registers |= {0xCC: 0x01, 0xCD: 0x40, 0xCE: 0x00, 0xCF: 0xF1}
    assert control.size == (240, 320)
