"""The benchmark: rows, statistics, energy, and runs that end early without losing a row."""

from __future__ import annotations

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
from fake_device import FakeBoard, FakeClock, FakePort, network

from max78k.errors import InputError, LinkError
from max78k.host.bench import (
    CSV_COLUMNS,
    PHASES,
    STATISTICS,
    csv_log,
    run_bench,
    summarize,
    write_csv,
)
from max78k.host.energy import FROM_TRACE, CurrentTrace, Span
from max78k.host.link import Device


@pytest.fixture
def device():
    with make_device(FakeBoard(infer_s=0.1)) as device:
        yield device


def make_device(board):
    clock = FakeClock()
    return Device(FakePort(board, clock), clock=clock, sleep=clock.sleep)


def inputs(count=5):
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, (count, 4, 5, 5)).astype(np.int8)


def classes(data):
    return [int(np.argmax(network(frame.tobytes(), 10))) for frame in data]


def test_every_input_is_run_and_warm_up_is_not_counted():
    board = FakeBoard()
    with make_device(board) as device:
        result = run_bench(device, inputs(), repeats=3, warmup=2)
    assert [(row.round, row.index) for row in result.rows] == [
        (r, i) for r in range(3) for i in range(5)
    ]
    assert board.log.count(4) == 17  # INFER
    for row in result.rows:
        assert list(row.scores) == network(inputs()[row.index].tobytes(), 10)


def test_accuracy_counts_right_classes(device):
    data = inputs()
    labels = np.array(classes(data))
    labels[0] = (labels[0] + 1) % 10
    result = run_bench(device, data, labels=labels)
    assert result.accuracy == 0.8
    assert "accuracy 80.00 %" in result.summary()
    assert run_bench(device, data).accuracy is None


def test_phases_are_the_boards_and_link_is_the_hosts(device):
    result = run_bench(device, inputs())
    statistics = result.phase_statistics()
    assert set(statistics) == {*PHASES, "board"}
    assert statistics["inference"]["median"] == 1516.0
    assert statistics["load"]["mean"] == 20.0
    assert statistics["board"]["max"] == 1551.0
    assert statistics["link"]["min"] >= 0.09e6
    assert 8 < result.frames_per_s <= 10  # 0.1 s each, seen in steps of 0.02 s


def test_statistics_against_known_values():
    values = [float(n) for n in range(1, 102)]
    figures = summarize(values)
    assert tuple(figures) == STATISTICS
    assert (figures["min"], figures["median"], figures["mean"], figures["max"]) == (1, 51, 51, 101)
    assert (figures["p95"], figures["p99"]) == (96, 100)
    assert figures["std"] == pytest.approx(math.sqrt((101**2 - 1) / 12))
    assert set(summarize([4.0]).values()) == {4.0, 0.0}


def test_energy_from_the_given_current(device):
    result = run_bench(device, inputs(), current_ma=3.16, voltage_v=5)
    row = result.rows[0]
    assert row.energy_kind == "from the given current"
    assert row.inference_energy_mj == pytest.approx(0.0239528)
    assert row.energy_mj == pytest.approx(0.0239528 * 1551 / 1516)
    assert "from the given current" in result.summary()
    assert "frame_low_mj" not in result.to_json()["energy"]


def test_energy_without_a_current_is_called_an_estimate_with_bounds(device):
    energy = run_bench(device, inputs()).to_json()["energy"]
    assert energy["kind"] == "estimate"
    assert energy["frame_low_mj"] < energy["inference_mj"] < energy["frame_mj"]
    assert energy["frame_mj"] < energy["frame_high_mj"]
    assert ": estimate" in run_bench(device, inputs()).summary()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"inputs": inputs()[:0]}, "E-BENCH-INPUT"),
        ({"repeats": 0}, "E-BENCH-INPUT"),
        ({"warmup": -1}, "E-BENCH-INPUT"),
        ({"labels": [1, 2]}, "E-BENCH-LABELS"),
        ({"current_ma": 3.0}, "E-BENCH-SUPPLY"),
        ({"voltage_v": 3.0}, "E-BENCH-SUPPLY"),
        ({"current_ma": -3.0, "voltage_v": 5}, "E-ENERGY-SUPPLY"),
        ({"inputs": [*inputs(), bytes(7)]}, "E-LINK-INPUT"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_inference(arguments, code):
    board = FakeBoard()
    with make_device(board) as device, pytest.raises(InputError) as caught:
        run_bench(device, **{"inputs": inputs(), **arguments})
    assert caught.value.code == code
    assert 4 not in board.log


def test_csv_holds_every_row(device, tmp_path):
    path = tmp_path / "sub" / "bench.csv"
    with csv_log(path) as write:
        result = run_bench(device, inputs(), labels=classes(inputs()), on_row=write)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [int(row["index"]) for row in rows] == [0, 1, 2, 3, 4]
    assert [float(row["inference_us"]) for row in rows] == [1516.0] * 5
    for text, row in zip(rows, result.rows, strict=True):
        assert [int(cell) for cell in text["scores"].split(";")] == list(row.scores)
        assert int(text["predicted"]) == row.predicted == int(text["label"])
        assert float(text["energy_mj"]) == row.energy_mj
    write_csv(tmp_path / "again.csv", result.rows)
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_rows_without_label_or_class_have_empty_cells(tmp_path):
    with make_device(FakeBoard(has_class=False)) as device:
        result = run_bench(device, inputs(1), labels=[3])
        assert result.accuracy is None
        write_csv(tmp_path / "a.csv", run_bench(device, inputs(1)).rows)
    row = next(csv.DictReader((tmp_path / "a.csv").open()))
    assert row["label"] == row["predicted"] == ""


def test_a_restart_ends_the_run_and_keeps_the_rows(tmp_path):
    path = tmp_path / "bench.csv"
    with make_device(FakeBoard(reboot_at_infer=5)) as device:  # one warm-up, then the fourth row
        with csv_log(path) as write:
            result = run_bench(device, inputs(), repeats=2, on_row=write)
        assert result.interrupted and len(result.rows) == 3
        assert {row.boot_id for row in result.rows} == {0x11111111}
        assert len(path.read_text().splitlines()) == 4
        summary = result.to_json()
        assert (summary["complete"], summary["frames"], summary["frames_planned"]) == (False, 3, 10)
        assert summary["interruption"]["code"] == "E-LINK-REBOOT"
        assert "INTERRUPTED" in result.summary() and "3 of 10" in result.summary()
        with pytest.raises(LinkError, match="E-LINK-REBOOT"):
            result.raise_if_interrupted()


def test_ctrl_c_ends_the_run_and_keeps_the_rows(device, tmp_path):
    def stop(done, planned):
        if done == 2:
            raise KeyboardInterrupt

    result = run_bench(device, inputs(), progress=stop)
    assert len(result.rows) == 2
    assert result.to_json()["interruption"]["code"] == "E-BENCH-STOPPED"
    with pytest.raises(KeyboardInterrupt):
        result.raise_if_interrupted()


def test_rows_are_on_disk_while_the_run_goes_on(device, tmp_path):
    """A process that is killed leaves what it has measured."""
    path = tmp_path / "bench.csv"
    seen = []

    def look(done, planned):
        seen.append(len((tmp_path / "bench.csv.part").read_text().splitlines()) - 1)
        assert not path.exists()

    with csv_log(path) as write:
        run_bench(device, inputs(), on_row=write, progress=look)
    assert seen == [1, 2, 3, 4, 5]


def test_an_error_after_the_first_row_still_finishes_the_file(device, tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), csv_log(path):
        raise RuntimeError
    assert path.read_text() == "old"
    row = run_bench(device, inputs(1)).rows[0]
    with pytest.raises(RuntimeError), csv_log(path) as write:
        write(row)
        raise RuntimeError
    assert len(path.read_text().splitlines()) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["bench.csv"]


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="E-BENCH-FILE"), csv_log(tmp_path / "file" / "a.csv"):
        pass


def test_json_summary_has_the_documented_keys(device):
    result = run_bench(device, inputs(), labels=[0] * 5)
    summary = json.loads(json.dumps(result.to_json()))
    assert (summary["schema"], summary["schema_version"]) == ("max78k-bench", 1)
    assert set(summary) == {
        "schema", "schema_version", "device", "baud", "complete", "interruption", "frames",
        "frames_planned", "elapsed_s", "frames_per_s", "accuracy", "phases_us", "energy", "link",
    }  # fmt: skip
    assert summary["complete"] is True and summary["interruption"] is None
    assert summary["device"]["network_name"] == "fake"
    link = summary["link"]
    assert (link["retries"], link["bad_chunks"], link["pipelined"]) == (0, 0, False)
    assert link["throughput"] is None  # one by one: no timer values to count by
    assert link["session"]["board"] == {
        "frames": 1, "bad_frames": 2, "line_errors": 3, "repeats": 4, "holes": 5, "runs": 6,
        "weights_ticks": 50_000,
    }  # fmt: skip


def test_a_pipelined_run_gives_the_same_rows_and_a_rate_by_the_board_s_timer(device):
    singly = run_bench(device, inputs(), repeats=2)
    device._info = dataclasses.replace(device.info, stream_window=3)
    device._exchange._port.board.stream_window = 3
    result = run_bench(device, inputs(), repeats=2, pipelined=True)
    assert [row.scores for row in result.rows] == [row.scores for row in singly.rows]
    assert result.pipelined and result.throughput.frames_per_s > 0
    assert "by the board's timer" in result.summary()


def test_a_run_without_rows_has_a_summary(device):
    def stop(row):
        raise KeyboardInterrupt

    result = run_bench(device, inputs(), on_row=stop)
    result.rows.clear()
    assert result.to_json()["energy"] is None and result.to_json()["phases_us"] == {}
    assert "INTERRUPTED" in result.summary()


def test_energies_of_a_current_trace_belong_to_the_last_runs(device):
    result = run_bench(device, inputs(2), warmup=0)
    runs = tuple(Span(10.0 * n, 1.0, n, 4.0 * n) for n in range(1, 4))
    trace = CurrentTrace(voltage_v=2.0, means=(Span(0.0, 100.0, 1.0, 1.0),), runs=runs)
    result.take_trace(trace)
    assert [row.inference_energy_mj for row in result.rows] == pytest.approx([0.008, 0.012])
    assert {row.energy_kind for row in result.rows} == {FROM_TRACE}
    energy = result.to_json()["energy"]
    assert energy["frame_low_mj"] < energy["frame_mj"] < energy["frame_high_mj"]
    assert "estimate, from the virtual board's current trace" in result.summary()
    with pytest.raises(InputError, match="E-BENCH-METER"):
        run_bench(device, inputs(5)).take_trace(trace)
