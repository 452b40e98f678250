"""Bad input gets one clear error, the right exit code, and leaves nothing half-written."""

from __future__ import annotations

import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run
from fake_device import FakeBoard, on_terminal

from max78k.codegen.tables import network_id
from max78k.flows.synthesis import compile_network
from max78k.host import session
from max78k.host.exchange import Timing
from max78k.network import Network

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    """Master descriptor and path of a raw pseudo-terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_images_of_the_wrong_size(tmp_path: Path, model: Path, capsys: Capture) -> None:
    np.savez(
        tmp_path / "small.npz", images=np.zeros((8, 32, 32), np.uint8), labels=np.arange(8) % 7
    )
    outcome = run(capsys, "evaluate", model, "--data", tmp_path / "small.npz")
    assert_one_error(outcome, 2, "E-DATA-SHAPE", "32", "48")


def test_empty_class_folder(tmp_path: Path, capsys: Capture) -> None:
    for name in ("happy", "sad"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "pictures" / "happy" / "1.png"), np.zeros((60, 60), np.uint8))
    outcome = run(capsys, "data", tmp_path / "pictures")
    assert_one_error(outcome, 2, "E-DATA-", "sad")


def test_truncated_csv_row(tmp_path: Path, capsys: Capture) -> None:
    good = " ".join(["7"] * 2304)
    rows = [f"{n % 7},{good},{'Training' if n < 8 else 'PublicTest'}" for n in range(16)]
    rows[5] = "3,1 2 3"
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "\n".join(rows) + "\n")
    assert_one_error(run(capsys, "data", path), 2, "E-DATA-ROW", "fer2013.csv", "7")
    outcome = run(capsys, "data", path, "--skip-bad-rows", "--json")
    assert outcome.code == 0 and '"skipped_rows": 1' in outcome.out


def test_training_on_a_missing_file(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    outcome = run(capsys, "train-qat", "--data", tmp_path / "none.csv", "--out", out)
    assert_one_error(outcome, 2, "E-DATA-", "none.csv")
    assert not out.exists()


def test_export_of_something_that_is_no_checkpoint(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "best.pt").write_bytes(b"not a checkpoint")
    outcome = run(capsys, "export", tmp_path / "best.pt", "--out", tmp_path / "model")
    assert_one_error(outcome, 2, "E-CHECKPOINT-FILE", "best.pt")
    assert not (tmp_path / "model").exists()


def test_export_of_a_checkpoint_of_another_network(tmp_path: Path, capsys: Capture) -> None:
    import torch

    from max78k.training.checkpoint import save_checkpoint

    content = {
        "network": "fer7", "class_names": ["a"] * 7, "input_shape": [1, 48, 48], "phase": "qat",
        "epoch": 1, "model": {"conv9.weight": torch.zeros(1)}, "history": [], "options": {},
    }  # fmt: skip
    save_checkpoint(tmp_path / "best.pt", content)
    outcome = run(capsys, "export", tmp_path / "best.pt", "--out", tmp_path / "model")
    assert_one_error(outcome, 2, "E-CHECKPOINT-NETWORK", "conv1")


def test_yaml_with_an_unknown_key(tmp_path: Path, model: Path, capsys: Capture) -> None:
    yaml = tmp_path / "network.yaml"
    yaml.write_text(
        "arch: tiny7\ndataset: faces\nlayers:\n"
        "  - {op: conv2d, procesors: 1, kernel_size: 3x3, pad: 1, activate: ReLU}\n"
    )
    outcome = run(capsys, "synthesize", model, "--config-file", yaml, "--out", tmp_path / "out")
    assert_one_error(outcome, 2, "E-YAML-", "procesors", "processors", "4")
    assert not (tmp_path / "out").exists()


def test_a_network_that_does_not_fit(
    tmp_path: Path, tiny_network: Network, capsys: Capture
) -> None:
    path = tmp_path / "wide.npz"
    tiny_network.with_layer("conv1", output_shift=30).with_layer("conv2", padding=7).save(path)
    outcome = run(capsys, "check", path)
    assert outcome.code == 2
    assert "conv1" in outcome.err and "conv2" in outcome.err  # all broken rules at once


def test_a_sample_of_another_shape(tmp_path: Path, model: Path, capsys: Capture) -> None:
    np.save(tmp_path / "sample.npy", np.zeros((3, 32, 32), np.int8))
    arguments = ("--sample-input", tmp_path / "sample.npy", "--out", tmp_path / "out")
    outcome = run(capsys, "synthesize", model, *arguments)
    assert outcome.code == 2 and "(3, 32, 32)" in outcome.err and "Traceback" not in outcome.err
    np.save(tmp_path / "sample.npy", np.array(["a", "b"]))
    assert_one_error(run(capsys, "synthesize", model, *arguments), 2, "E-SAMPLE-RANGE")
    with (tmp_path / "sample.npy").open("wb") as archive:
        np.savez(archive, images=np.zeros((1, 48, 48), np.int8))
    outcome = run(capsys, "synthesize", model, *arguments)
    assert_one_error(outcome, 2, "E-SAMPLE-FILE", "sample.npy", "numpy.save")
    assert not (tmp_path / "out").exists()


def test_a_foreign_folder_is_not_overwritten(tmp_path: Path, model: Path, capsys: Capture) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    outcome = run(capsys, "synthesize", model, "--out", tmp_path / "thesis")
    assert_one_error(outcome, 2, "E-PROJECT-FOREIGN", "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter1.txt"]
    run(capsys, "synthesize", model, "--out", tmp_path / "thesis", "--overwrite")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"
    outcome = run(capsys, "demo", "--out", tmp_path / "thesis")
    assert_one_error(outcome, 2, "E-DEMO-FOLDER", "thesis")
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


@pytest.mark.parametrize("verb", ["synthesize --out", "check --picture"])
def test_a_place_that_cannot_be_written(
    verb: str, tmp_path: Path, model: Path, capsys: Capture
) -> None:
    name, option = verb.split()
    (tmp_path / "file").write_text("precious")
    outcome = run(capsys, name, model, option, tmp_path / "file" / "inside.png")
    assert_one_error(outcome, 2, "E-FILE", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "precious"


def test_a_port_that_does_not_exist(tmp_path: Path, capsys: Capture) -> None:
    outcome = run(capsys, "bench", "--port", "/dev/ttyNOWHERE", "--out", tmp_path)
    assert_one_error(outcome, 3, "E-PORT-MISSING", "/dev/ttyNOWHERE")


def test_a_port_that_answers_rubbish(
    tmp_path: Path, pty: tuple[int, str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(session, "RUNNING_TIMING", Timing(connect_s=0.3, reboot_s=0.3))
    master, path = pty

    def chatter() -> None:
        try:
            while os.read(master, 4096):
                os.write(master, b"Hello from another firmware, 1.0\r\n")
        except OSError:
            return

    threading.Thread(target=chatter, daemon=True).start()
    outcome = run(capsys, "bench", "--port", path, "--out", tmp_path)
    assert_one_error(outcome, 4, "E-LINK-FOREIGN", "another firmware")


def test_a_board_that_resets_in_mid_run_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(session, "RUNNING_TIMING", Timing())
    board = FakeBoard(input_bytes=2304, output_values=7, name=b"tiny7", reboot_at_infer=5)
    with on_terminal(board) as path:
        arguments = ("--port", path, "--count", 8, "--warmup", 1, "--out", tmp_path / "bench")
        outcome = run(capsys, "bench", "--data", "faces:train=8,test=8", *arguments)
        assert_one_error(outcome, 4, "E-LINK-REBOOT", "22222222")
        assert "INTERRUPTED" in outcome.out
        rows = (tmp_path / "bench" / "bench.csv").read_text().splitlines()
        assert len(rows) == 1 + 1 + 3  # the first inference is there too
        assert '"complete": false' in (tmp_path / "bench" / "bench.json").read_text()


def test_meter_belongs_to_the_virtual_board(tmp_path: Path, capsys: Capture) -> None:
    outcome = run(capsys, "bench", "--port", "/dev/ttyACM0", "--meter", "sim", "--out", tmp_path)
    assert_one_error(outcome, 2, "E-BENCH-METER", "docs/energy.md")
    arguments = ("--meter", "sim", "--current-ma", 3, "--out", tmp_path)
    outcome = run(capsys, "bench", "--port", "sim", *arguments)
    assert_one_error(outcome, 2, "E-BENCH-METER", "one of them")


def test_a_failed_self_test_names_layer_channel_and_position(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    image = compile_network(Network.load(model)).image
    place = image.output_runs[2]
    failure = (1, 5, place.address, 0x00001000, 0x00001001)
    board = FakeBoard(
        input_bytes=2304, output_values=7, self_test=failure, network_id=network_id(image),
        name=b"tiny7",
    )  # fmt: skip
    with on_terminal(board) as path:
        arguments = (
            "bench",
            "--port",
            path,
            "--data",
            "faces:train=8,test=8",
            "--out",
            tmp_path / "b",
        )
        outcome = run(capsys, *arguments, "--model", model)
        words = (
            f"0x{place.address:08x} (layer 4 (output), channel 2, row 0, column 0)",
            "0x00001001",
        )
        assert_one_error(outcome, 5, "E-KAT-BOARD", *words)
        board.network_id = 7
        outcome = run(capsys, *arguments, "--model", model)
        assert_one_error(outcome, 5, "E-KAT-BOARD", "the board runs network 00000007")
        assert_one_error(run(capsys, *arguments), 5, "E-KAT-BOARD", "`--model MODEL` names layer")


def test_energy_needs_current_and_voltage(tmp_path: Path, capsys: Capture) -> None:
    board = FakeBoard(input_bytes=2304, output_values=7)
    with on_terminal(board) as path:
        arguments = ("--port", path, "--current-ma", 3.16, "--out", tmp_path / "bench")
        outcome = run(capsys, "bench", "--data", "faces:train=8,test=8", *arguments)
        assert_one_error(outcome, 2, "E-BENCH-SUPPLY")
