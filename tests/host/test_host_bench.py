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
from max78k.host.bench import run_bench
from max78k.host.bench_rows import (
    CSV_COLUMNS,
    STATISTICS,
    csv_log,
    phase_statistics,
    read_csv,
    summarize,
    write_csv,
)
from max78k.host.energy import ESTIMATE
from max78k.host.link import Device
from max78k.host.meters.constant import ConstantMeter
from max78k.host.meters.meter import STATED
from max78k.host.meters.run import EnergyRun


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
    statistics = phase_statistics(result.rows)
    assert set(statistics) == {"load", "inference", "unload", "post", "link", "board"}
    assert statistics["inference"]["p50"] == 1516.0
    assert statistics["load"]["mean"] == 20.0
    assert statistics["board"]["max"] == 1551.0
    assert statistics["link"]["min"] >= 0.09e6
    assert 8 < result.frames_per_s <= 10  # 0.1 s each, seen in steps of 0.02 s


def test_statistics_against_known_values():
    values = [float(n) for n in range(1, 102)]
    figures = summarize(values)
    assert tuple(figures) == STATISTICS
    assert (figures["min"], figures["p50"], figures["mean"], figures["max"]) == (1, 51, 51, 101)
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
    assert [int(row["index"]) for row in rows] == [0, 0, 1, 2, 3, 4]
    assert [row["part"] for row in rows] == ["first", *["measured"] * 5]
    assert [float(row["inference_us"]) for row in rows] == [1516.0] * 6
    for text, row in zip(rows[1:], result.rows, strict=True):
        assert [int(cell) for cell in text["scores"].split(";")] == list(row.scores)
        assert int(text["predicted"]) == row.predicted == int(text["label"])
        assert float(text["energy_mj"]) == row.energy_mj
    assert read_csv(path) == [*result.before, *result.rows]
    write_csv(tmp_path / "again.csv", [*result.before, *result.rows])
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
        assert len(path.read_text().splitlines()) == 1 + 1 + 3
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
    assert seen == [2, 3, 4, 5, 6]


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
    assert (summary["schema"], summary["schema_version"]) == ("max78k-bench", 2)
    assert set(summary) == {
        "schema", "schema_version", "device", "baud", "complete", "interruption", "frames",
        "frames_planned", "elapsed_s", "frames_per_s", "accuracy", "phases_us", "single_us",
        "first", "weights_us", "energy", "link",
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
    device._line.info = dataclasses.replace(device.info, stream_window=3)
    device._exchange._port.board.stream_window = 3
    result = run_bench(device, inputs(), repeats=2, pipelined=True)
    assert [row.scores for row in result.rows] == [row.scores for row in singly.rows]
    assert result.pipelined and result.throughput.frames_per_s > 0
    assert "by the board's timer" in result.summary()


def test_a_run_without_rows_has_a_summary(device):
    def stop(done, planned):
        raise KeyboardInterrupt

    result = run_bench(device, inputs(), progress=stop)
    result.rows.clear()
    assert result.to_json()["energy"] is None and result.to_json()["phases_us"] == {}
    assert "INTERRUPTED" in result.summary()


def test_energies_of_a_meter_replace_the_estimates(device):
    run = EnergyRun(ConstantMeter(10.0, 2.0))
    result = run_bench(device, inputs(2), warmup=1, energy=run)
    result.take_energy(run.finish())
    assert [row.inference_energy_mj for row in result.rows] == pytest.approx(
        [0.02 * row.inference_us / 1e3 for row in result.rows]
    )
    assert {row.energy_kind for row in result.rows} == {STATED}
    assert {row.energy_kind for row in result.before} == {ESTIMATE}
    energy = result.to_json()["energy"]
    assert energy["kind"] == STATED and energy["meter"]["phases"]["load"]["total"]["n"] == 2
    assert "10 mA at 2 V" in result.summary()


def test_a_run_by_time_goes_through_the_inputs_again_and_again(device):
    result = run_bench(device, inputs(3), seconds=1.0)
    assert 8 <= len(result.rows) <= 11  # 0.1 s each
    assert [(row.round, row.index) for row in result.rows[:5]] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1),
    ]  # fmt: skip
    assert (
        result.to_json()["frames_planned"] is None and "inferences one by one" in result.summary()
    )


def test_inputs_that_come_one_by_one_are_not_waited_for_beyond_the_last(device):
    taken = []

    def camera():
        for number, frame in enumerate(inputs(100)):
            taken.append(number)
            yield frame

    result = run_bench(device, camera(), most=4, warmup=2)
    assert taken == list(range(6)) and len(result.rows) == 4
    ended = run_bench(device, iter(inputs(3)), warmup=0)
    assert len(ended.rows) == 3 and ended.planned is None


def test_the_first_inference_stands_apart_with_what_the_board_did_before(device):
    result = run_bench(device, inputs(2), warmup=3)
    assert [row.part for row in result.before] == ["first", "warm-up", "warm-up"]
    assert {row.part for row in result.rows} == {"measured"}
    summary = result.to_json()
    assert summary["first"]["runs_before"] == 6 and summary["first"]["board"] == 1551.0
    assert summary["weights_us"] == 1000.0  # 50,000 ticks of 50 MHz
    assert "weights loaded once, at the start, in 1000.0 us" in result.summary()
    assert run_bench(device, inputs(1), warmup=0).to_json()["first"] is None


def test_a_check_runs_once_after_the_first_inference(device):
    board = device._exchange._port.board
    seen = []
    run_bench(device, inputs(), warmup=2, check=lambda: seen.append(board.log.count(4)))
    run_bench(device, inputs(1), warmup=0, check=lambda: seen.append(board.log.count(4)))
    assert seen == [1, 7]


def test_single_inferences_go_ahead_of_a_pipeline_alone(device):
    assert run_bench(device, inputs(), singles=3).singles == []
    device._line.info = dataclasses.replace(device.info, stream_window=3)
    device._exchange._port.board.stream_window = 3
    result = run_bench(device, inputs(), singles=3, pipelined=True)
    assert [row.index for row in result.singles] == [1, 2, 3]
    assert result.to_json()["single_us"]["link"]["min"] >= 0.09e6
    assert "one at a time: 1551.0 us on the board" in result.summary()


def test_inputs_that_the_board_makes_are_asked_for_in_their_own_way(device):
    def infer(packets):
        answer = device.infer(bytes(100))
        return dataclasses.replace(answer, window_us=40.0)

    result = run_bench(device, [np.zeros((7, 4), np.int8)] * 2, infer=infer, pipelined=True)
    assert not result.pipelined
    statistics = phase_statistics(result.rows)
    assert statistics["window"]["mean"] == 40.0 and statistics["board"]["mean"] == 1591.0


def test_same_inputs_have_the_same_number_in_every_run(device):
    numbers = [row.input_crc for row in run_bench(device, inputs()).rows]
    assert len(set(numbers)) == 5
    assert [row.input_crc for row in run_bench(device, list(inputs())).rows] == numbers


def test_link_faults_of_an_interrupted_run_are_told():
    with make_device(FakeBoard(reboot_at_infer=4)) as device:
        result = run_bench(device, inputs())
    assert result.interrupted and result.link is not None
    assert "damaged" in result.summary() or "link: " in result.summary()


def test_a_file_that_is_no_log_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    for text in ("", "a,b\n1,2\n", ",".join(CSV_COLUMNS) + "\nmeasured,x\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="E-BENCH-RUN"):
            read_csv(path)
