"""``max78k bench`` as a user runs it, against boards in Python on pseudo-terminals."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import assert_one_error, run
from fake_device import FakeBoard, network, on_terminal

from max78k.cli.bench import command
from max78k.flows import bench_inputs
from max78k.host import session
from max78k.host.bench_rows import PHASES, read_csv
from max78k.host.exchange import Timing
from max78k.network import Network

Capture = pytest.CaptureFixture[str]
Boards = Callable[..., str]


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Iterator[Boards]:
    """Starts a fake board on a pseudo-terminal of its own; gives the port."""
    monkeypatch.setattr(session, "RUNNING_TIMING", Timing())
    with ExitStack() as opened:

        def start(**options: object) -> str:
            values = {"input_bytes": 2304, "output_values": 7, "name": b"tiny7", **options}
            board = FakeBoard(**values)  # type: ignore[arg-type]
            return opened.enter_context(on_terminal(board))

        yield start


def bench(capsys: Capture, port: str, *arguments: object):
    return run(capsys, "bench", "--port", port, *arguments)


def test_a_run_leaves_rows_figures_and_a_page(tmp_path: Path, boards: Boards, capsys: Capture):
    outcome = bench(capsys, boards(stream_window=3), "--count", 12, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bench.csv", "bench.json", "report.html",
    ]  # fmt: skip
    rows = read_csv(tmp_path / "bench.csv")
    parts = [row.part for row in rows]
    assert parts == ["first", *["single"] * 10, *["measured"] * 12]
    summary = json.loads((tmp_path / "bench.json").read_text())
    assert summary["link"]["pipelined"] and summary["single_us"]["board"]["p50"] == 1551.0
    assert summary["accuracy"] is not None and np.sum(summary["confusion"]) == 12
    assert "anger" in summary["class_names"] or "happy" in summary["class_names"]
    page = (tmp_path / "report.html").read_text()
    assert "tiny7" in page and "Confusion matrix" in page and summary["port"] in page


def test_one_by_one_is_still_there(tmp_path: Path, boards: Boards, capsys: Capture):
    arguments = ("--count", 4, "--one-by-one", "--json", "--out", tmp_path)
    outcome = bench(capsys, boards(stream_window=3), *arguments)
    summary = json.loads(outcome.out)
    assert summary["link"]["pipelined"] is False and summary["single_us"] == {}
    assert [row.part for row in read_csv(tmp_path / "bench.csv")].count("measured") == 4


def test_random_inputs_suit_every_network(tmp_path: Path, boards: Boards, capsys: Capture):
    port = boards(input_bytes=77, output_values=3)
    outcome = bench(capsys, port, "--data", "random", "--count", 5, "--json", "--out", tmp_path)
    summary = json.loads(outcome.out)
    assert summary["frames"] == 5 and summary["accuracy"] is None and summary["confusion"] is None
    outcome = bench(capsys, port, "--data", "faces", "--out", tmp_path / "no")
    assert_one_error(outcome, 2, "E-BENCH-SIZE", "77 bytes", "--data random")


def scores_of(folder: Path) -> list[list[int]]:
    return [list(row.scores) for row in read_csv(folder / "bench.csv") if row.part == "measured"]


def test_integers_go_to_the_board_as_they_are(tmp_path: Path, boards: Boards, capsys: Capture):
    inputs = np.random.default_rng(3).integers(-128, 128, (6, 1, 48, 48), dtype=np.int8)
    np.savez(tmp_path / "in.npz", inputs=inputs, labels=np.arange(6))
    arguments = ("--data", tmp_path / "in.npz", "--count", 4, "--out", tmp_path / "b")
    outcome = bench(capsys, boards(), *arguments)
    assert outcome.code == 0, outcome.err
    assert scores_of(tmp_path / "b") == [network(one.tobytes(), 7) for one in inputs[:4]]
    np.savez(tmp_path / "in.npz", inputs=inputs[:, 0, 0])
    assert_one_error(bench(capsys, boards(), *arguments), 2, "E-BENCH-SIZE", "[6, 48]", "2304")
    np.savez(tmp_path / "in.npz", inputs=inputs, labels=np.zeros(5, np.int64))
    assert_one_error(bench(capsys, boards(), *arguments), 2, "E-BENCH-LABELS")
    for label in (-1, 7):
        np.savez(tmp_path / "in.npz", inputs=inputs, labels=np.full(6, label))
        told = bench(capsys, boards(), *arguments)
        assert_one_error(told, 2, "E-BENCH-LABELS", f"the label {label},", "7 outputs")


def test_labels_are_judged_as_those_of_the_network_or_refused(
    tmp_path: Path, boards: Boards, model: Path, tiny_network: Network, capsys: Capture
):
    images = np.random.default_rng(4).integers(0, 256, (14, 48, 48), np.uint8)
    labels, names = np.arange(14) % 7, tiny_network.class_names
    words = ("--data", tmp_path / "d.npz", "--model", model, "--out", tmp_path / "b", "--json")
    confusions = []
    for order in (range(7), range(6, -1, -1)):
        numbers = np.argsort(order)[labels]
        ordered = np.array([names[n].title() for n in order])
        np.savez(tmp_path / "d.npz", images=images, labels=numbers, class_names=ordered)
        confusions.append(json.loads(bench(capsys, boards(), *words).out)["confusion"])
    assert confusions[0] == confusions[1]
    np.savez(tmp_path / "d.npz", images=images, labels=labels, class_names=np.array([*"abcdefg"]))
    told = bench(capsys, boards(), *words)
    assert_one_error(told, 2, "E-EVALUATE-CLASSES", "tiny7 knows", "a, b, c", "data convert")
    np.savez(tmp_path / "d.npz", images=images, labels=labels + 1)
    for unknown in (words, (*words[:2], *words[4:])):
        told = bench(capsys, boards(), *unknown)
        assert_one_error(told, 2, "E-EVALUATE-CLASSES", "the label 7", "7 outputs")


def test_pictures_and_videos_are_cut_to_their_middle(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    picture = np.full((48, 96, 3), 200, np.uint8)
    picture[:, 24:72] = 90
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), picture)
    video = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 48))
    for _ in range(5):
        video.write(picture)
    video.release()
    expected = network(bytes([(90 - 128) & 0xFF]) * 2304, 7)
    for source, frames in (("pictures", 3), ("pictures/1.png", 1), ("a.avi", 4)):
        arguments = ("--data", tmp_path / source, "--count", 4, "--out", tmp_path / "b")
        outcome = bench(capsys, boards(), *arguments)
        assert outcome.code == 0, outcome.err
        found = np.array(scores_of(tmp_path / "b"))
        assert found.shape == (frames, 7)
        assert np.abs(found - expected).max() <= (3000 if source == "a.avi" else 0)


def test_a_camera_is_asked_for_a_picture_when_one_is_due(
    tmp_path: Path, boards: Boards, capsys: Capture, monkeypatch: pytest.MonkeyPatch
):
    taken: list[int] = []

    def camera(source: str) -> Iterator[tuple[str, np.ndarray]]:
        assert source == "webcam:1"
        for number in range(1000):
            taken.append(number)
            yield f"{number}", np.full((48, 48, 3), number, np.uint8)

    monkeypatch.setattr(bench_inputs, "frames", camera)
    arguments = ("--data", "webcam:1", "--count", 5, "--warmup", 2, "--json", "--out", tmp_path)
    summary = json.loads(bench(capsys, boards(stream_window=3), *arguments).out)
    assert len(taken) == 7 and summary["frames"] == 5
    assert not summary["link"]["pipelined"]  # a pipeline would wait for the camera with results


def test_boards_at_once_have_a_folder_each_and_one_page(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    ports = [boards(), boards(ticks=(1000, 151600, 500, 250))]
    words = [word for port in ports for word in ("--port", port)]
    outcome = run(capsys, "bench", *words, "--count", 4, "--out", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    both = json.loads(outcome.out)["boards"]
    assert [one["port"] for one in both] == ports
    assert [one["phases_us"]["inference"]["p50"] for one in both] == [1516.0, 3032.0]
    assert (tmp_path / "board-2" / "bench.csv").is_file()
    page = (tmp_path / "report.html").read_text()
    assert page.count(f"<figcaption>{ports[0]}") == page.count(f"<figcaption>{ports[1]}") > 4


def test_one_board_that_fails_does_not_end_the_others(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    words = ("--port", boards(reboot_at_infer=4), "--port", boards())
    outcome = run(capsys, "bench", *words, "--count", 9, "--out", tmp_path)
    assert_one_error(outcome, 4, "E-LINK-REBOOT")
    summary = [json.loads((tmp_path / f"board-{n}" / "bench.json").read_text()) for n in (1, 2)]
    assert [one["complete"] for one in summary] == [False, True] and summary[1]["frames"] == 9
    assert "ended early" in (tmp_path / "report.html").read_text()


def test_one_meter_is_not_for_two_boards(tmp_path: Path, capsys: Capture):
    words = ("--port", "A", "--port", "B", "--meter", "ppk2:auto,volts=3.3", "--out", tmp_path)
    assert_one_error(run(capsys, "bench", *words), 2, "E-BENCH-METER", "2 boards")


def test_a_comparison_says_ratio_interval_and_whether_answers_are_the_same(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    for name, ticks in (("old", (1000, 75800, 500, 250)), ("new", (1000, 37900, 500, 250))):
        arguments = ("--count", 6, "--out", tmp_path / name)
        assert bench(capsys, boards(ticks=ticks), *arguments).code == 0
    words = ("--compare", tmp_path / "old", tmp_path / "new", "--out", tmp_path / "page")
    outcome = run(capsys, "bench", *words)
    assert outcome.code == 0, outcome.err
    assert "Of 6 inputs that both runs measured, 6 have the same scores" in outcome.out
    line = next(line for line in outcome.out.splitlines() if line.startswith("inference"))
    assert "0.5000" in line and "0.5000 to 0.5000" in line
    assert "Comparison" in (tmp_path / "page" / "report.html").read_text()
    report = json.loads(run(capsys, "bench", *words[:3], "--json").out)
    assert report["runs"] == ["old", "new"] and report["same_scores"] == 6


def test_what_is_no_run_is_not_compared(tmp_path: Path, capsys: Capture):
    outcome = run(capsys, "bench", "--compare", tmp_path, tmp_path)
    assert_one_error(outcome, 2, "E-BENCH-RUN", "bench.json")
    (tmp_path / "bench.json").write_text('{"schema": "other"}')
    outcome = run(capsys, "bench", "--compare", tmp_path, tmp_path)
    assert_one_error(outcome, 2, "E-BENCH-RUN", "max78k-bench")
    outcome = run(capsys, "bench", "--compare", "a", "b", "--replay", "c")
    assert_one_error(outcome, 2, "E-ARGS-BENCH")


def test_a_failure_leaves_what_explains_it(tmp_path: Path, boards: Boards, capsys: Capture):
    (tmp_path / "fw.elf").write_bytes(b"firmware")
    words = ("--count", 8, "--elf", tmp_path / "fw.elf", "--out", tmp_path / "b")
    outcome = bench(capsys, boards(reboot_at_infer=5), *words)
    assert_one_error(outcome, 4, "E-LINK-REBOOT")
    assert f"max78k bench --replay {tmp_path / 'b' / 'failure.zip'}" in outcome.err
    with zipfile.ZipFile(tmp_path / "b" / "failure.zip") as archive:
        about = json.loads(archive.read("bundle.json"))
        assert about["error"]["code"] == "E-LINK-REBOOT" and about["device"]["network_name"]
        assert about["options"]["source"]["count"] == 8 and len(about["firmware_sha256"]) == 64
        link = archive.read("link.txt").decode().splitlines()
        assert archive.read("firmware.elf") == b"firmware"
        assert len(archive.read("bench.csv").splitlines()) == 1 + 1 + 3
    assert {line.split(" ")[1] for line in link} >= {">", "<"}
    assert all(bytes.fromhex(line.split(" ")[2]) for line in link if "=" not in line)


def test_a_bundle_without_firmware_or_inputs_says_what_it_lacks(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    bench(capsys, boards(reboot_at_infer=3), "--count", 4, "--out", tmp_path / "b")
    bundle = tmp_path / "b" / "failure.zip"
    outcome = run(capsys, "bench", "--replay", bundle, "--out", tmp_path / "r")
    assert_one_error(outcome, 2, "E-BENCH-REPLAY", "--elf")
    bundle.write_bytes(bundle.read_bytes()[:-30])
    outcome = run(capsys, "bench", "--replay", bundle, "--out", tmp_path / "r")
    assert_one_error(outcome, 2, "E-BENCH-BUNDLE", "failure.zip")


def test_a_run_by_time_ends(tmp_path: Path, boards: Boards, capsys: Capture):
    arguments = ("--seconds", 0.3, "--count", 3, "--json", "--out", tmp_path)
    summary = json.loads(bench(capsys, boards(), *arguments).out)
    assert summary["frames_planned"] is None and summary["frames"] >= 1
    assert summary["options"]["seconds"] == 0.3


def test_raw_packets_and_csi_need_to_be_what_they_say(
    tmp_path: Path, boards: Boards, capsys: Capture
):
    outcome = bench(capsys, boards(), "--raw", "--out", tmp_path)
    assert_one_error(outcome, 2, "E-BENCH-RAW", "faces")
    (tmp_path / "walk.csv").write_text("type,role\nCSI_DATA,AP\n")
    outcome = bench(capsys, boards(), "--data", tmp_path / "walk.csv", "--out", tmp_path)
    assert_one_error(outcome, 2, "E-BENCH-MODEL", "--model")


def test_every_example_of_the_help_is_a_command_line_that_is_taken():
    text = command.help or ""
    examples = [line.split("  (")[0].strip() for line in text.splitlines()
                if line.strip().startswith("max78k ")]  # fmt: skip
    assert len(examples) >= 10
    for example in examples:
        words = shlex.split(example)
        assert words[:2] == ["max78k", "bench"]
        command.make_context("bench", words[2:])


def test_the_page_of_the_docs_names_what_there_is():
    text = (Path(__file__).resolve().parents[2] / "docs" / "bench.md").read_text("utf-8")
    options = {word for parameter in command.params for word in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) | {"--one-by-one"}
    assert named <= options | {"--one-by-one"}, named - options
    phases = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert phases[:7] == [*PHASES, "board"]


def test_a_meter_that_fails_costs_no_rows(tmp_path: Path, boards: Boards, capsys: Capture):
    (tmp_path / "trace.csv").write_text("time_s,current_ma,D0,D1\n0,1,0,0\n1,1,0,0\n")
    words = ("--count", 3, "--meter", f"csv:{tmp_path / 'trace.csv'},volts=3", "--out", tmp_path)
    outcome = bench(capsys, boards(), *words)
    assert_one_error(outcome, 2, "E-METER-MARKS")
    assert len(scores_of(tmp_path)) == 3 and (tmp_path / "report.html").is_file()
    assert not (tmp_path / "failure.zip").exists()
