"""Shipped networks without any step before: bench, live and demo on an empty virtual board."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run
from fake_device import FakeBoard, on_terminal

from max78k.datasets.images import load_image
from max78k.flows import demo, firmware
from max78k.flows.firmware import Firmware, booted
from max78k.host.state import virtual_flash
from max78k.network import Network, reference

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_flashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def made(tiny_firmware: Firmware, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks whose firmware was made."""
    names: list[str] = []

    def make(network: Network, *_: object, **__: object) -> Firmware:
        names.append(network.name)
        return tiny_firmware

    monkeypatch.setattr(firmware, "make_firmware", make)
    return names


def test_firmware_is_made_only_for_an_empty_virtual_board(
    made: list[str], model: Path, tmp_path: Path
) -> None:
    for ports, elf, expected in (
        (("/dev/ttyACM0",), None, []),
        (("sim",), tmp_path / "mine.elf", []),
        (("/dev/ttyACM0", "sim"), None, ["tiny7"]),
        (("sim",), None, ["tiny7"]),
    ):
        made.clear()
        with booted(ports, elf, str(model)) as chosen:
            assert made == expected
            assert (chosen != elf) == bool(expected)
    made.clear()
    with booted(("sim",), None, None):
        assert made == ["fer7"]
    virtual_flash().parent.mkdir(parents=True)
    virtual_flash().write_bytes(b"ELF")
    made.clear()
    with booted(("sim",), None, str(model)) as chosen:
        assert (made, chosen) == ([], None)


def test_bench_and_live_run_a_model_that_nobody_flashed(
    made: list[str], model: Path, tiny_network: Network, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ("--model", model, "--count", 3, "--json", "--out", tmp_path / "b")
    outcome = run(capsys, "bench", *arguments)
    assert outcome.code == 0, outcome.err
    assert "nothing is flashed: the virtual board gets the firmware of tiny7" in outcome.err
    summary = json.loads(outcome.out)
    assert (summary["frames"], summary["class_names"]) == (3, list(tiny_network.class_names))
    picture = tmp_path / "face.png"
    cv2.imwrite(str(picture), np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8))
    outcome = run(capsys, "live", model, "--camera", picture, "--json")
    assert outcome.code == 0, outcome.err
    answer = json.loads(outcome.out)
    pixels = load_image(picture, tiny_network.picture_shape, crop=True)
    values = reference.outputs(tiny_network, tiny_network.from_pixels(pixels)[None])[0]
    assert answer["class"] == tiny_network.class_names[int(values.argmax())]
    assert answer["board_us"] > 0
    assert made == ["tiny7", "tiny7"]


def test_a_bench_of_another_network_than_the_model_is_refused(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    board = FakeBoard(input_bytes=2304, output_values=7, name=b"other")
    with on_terminal(board) as port:
        outcome = run(capsys, "bench", "--port", port, "--model", model, "--out", tmp_path / "b")
    assert_one_error(outcome, 2, "E-BENCH-MODEL", "network other, not tiny7", "--model other")


def test_the_demo_shows_a_shipped_network(
    model: Path,
    tiny_network: Network,
    tiny_firmware: Firmware,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "synthesize", lambda *_, **__: tiny_firmware.synthesis)
    monkeypatch.setattr(demo, "build", lambda project: tiny_firmware.build)
    common = ("demo", "--out", tmp_path / "d", "--json", "--shipped", model)
    data = "faces:train=9,test=12"
    outcome = run(capsys, *common, "--data", data, "--board-inputs", 5)
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert (report["network"], report["float_accuracy"]) == ("tiny7", None)
    assert report["board_accuracy"] == report["reference_accuracy_on_board_inputs"]
    levels = {one["level"]: one for one in report["chain"]["levels"]}
    assert len(levels) == 4 and all(one["different"] == 0 for one in levels.values())
    assert not (tmp_path / "d" / "run").exists()
    assert_one_error(run(capsys, *common, "--epochs", 3), 2, "E-DEMO-SHIPPED", "--epochs")
    assert_one_error(run(capsys, "demo", "--data", data), 2, "E-DEMO-DATA", "train-qat")
    np.savez(tmp_path / "two.npz", images=np.zeros((20, 48, 48), np.uint8),
             labels=np.arange(20) % 2, class_names=np.array(["a", "b"]))  # fmt: skip
    outcome = run(capsys, *common, "--data", tmp_path / "two.npz")
    assert_one_error(outcome, 2, "E-EVALUATE-CLASSES", "2 classes", "--classes")
