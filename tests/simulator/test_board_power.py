"""The estimated supply current follows the states and adds up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from board_support import board, compiled, finished

from max78k.simulator.clock import SECOND
from max78k.simulator.power import DRAWS, VOLTAGE, Supply


def test_charge_is_current_times_time_for_both_bounds():
    now = [0]
    supply = Supply(lambda: now[0])
    supply.enter("core", "core_active", mhz=100, load=0)
    now[0] = SECOND // 2000  # half a millisecond
    supply.enter("core", "core_sleep", mhz=100, load=0)
    now[0] = SECOND // 100
    active, sleep = DRAWS["core_active"], DRAWS["core_sleep"]
    low, high = supply.charge
    assert low == pytest.approx(100 * (active.low * 0.0005 + sleep.low * 0.0095))
    assert high == pytest.approx(100 * (active.high * 0.0005 + sleep.high * 0.0095))
    assert supply.energy[0] == pytest.approx(VOLTAGE * low)
    first, rest = supply.rows()
    assert (first.start, first.milliseconds, rest.start, rest.milliseconds) == (0, 1, 1, 9)
    assert first.low == pytest.approx(50 * (active.low + sleep.low))
    assert rest.high == pytest.approx(100 * sleep.high)
    assert supply.table().startswith("# estimate")


def test_bounds_are_ordered_and_have_a_source():
    for state, draw in DRAWS.items():
        assert 0 <= draw.low <= draw.high, state
        assert draw.source, state


def test_trace_adds_up_to_the_charge_and_follows_the_program():
    it = finished("heartbeat", seconds=1.0)
    low, high = it.supply.charge
    rows = list(it.supply.rows())
    assert sum(row.milliseconds for row in rows) == 1000
    assert sum(row.low * row.milliseconds for row in rows) / 1000 == pytest.approx(low)
    assert sum(row.high * row.milliseconds for row in rows) / 1000 == pytest.approx(high)
    asleep = 100 * DRAWS["core_sleep"].low + 3 * DRAWS["oscillator"].low + DRAWS["uart"].low
    assert low == pytest.approx(asleep, rel=0.02)  # hardly ever awake


def test_lit_leds_and_the_accelerator_draw_more():
    it = finished("misc", seconds=0.1)  # one LED is on, the core sleeps
    *_, last = it.supply.rows()
    core = DRAWS["core_sleep"].low * 60 + 2 * DRAWS["oscillator"].low
    assert last.low == pytest.approx(core + DRAWS["led"].low)
    powered = finished("cnn")
    *_, last = powered.supply.rows()
    core_high = DRAWS["core_sleep"].high * 100 + 3 * DRAWS["oscillator"].high
    cnn_high = DRAWS["cnn_idle"].high + DRAWS["cnn_memory"].high / 4  # one quadrant
    assert last.high == pytest.approx(core_high + cnn_high)


def test_deep_sleep_stops_the_oscillators():
    it = finished("deepsleep", "MODE=8", "WAKE=1", seconds=1.0)
    *_, last = it.supply.rows()
    assert last.low == pytest.approx(DRAWS["core_deep_sleep"].low)


def test_runs_of_the_accelerator_are_marked_with_their_mean_current():
    now = [0]
    supply = Supply(lambda: now[0])
    supply.enter("core", "core_sleep", mhz=100, load=0)
    supply.enter("cnn", "cnn_idle")
    now[0] = SECOND // 1000
    supply.enter("cnn", "cnn_active", load=1.0)
    now[0] = SECOND // 400
    supply.enter("cnn", "cnn_idle")
    now[0] = SECOND
    (run,) = supply.runs()
    assert (run.start, run.milliseconds) == (pytest.approx(1.0), pytest.approx(1.5))
    core = DRAWS["core_sleep"].low * 100
    assert run.low == pytest.approx(core + DRAWS["cnn_active"].low)
    assert any(line.startswith("run,1,1.5,") for line in supply.table().splitlines())


def test_the_times_between_changes_of_the_marking_pins_have_their_mean_current():
    now = [0]
    supply = Supply(lambda: now[0])
    supply.enter("core", "core_sleep", mhz=100, load=0)
    now[0] = SECOND // 1000
    supply.mark(1)
    supply.mark(1)
    now[0] = SECOND // 500
    supply.enter("cnn", "cnn_active", load=1.0)
    now[0] = SECOND // 250
    supply.mark(0)
    now[0] = SECOND // 200
    first, loaded, rest = supply.marked()
    assert [span.marks for span in (first, loaded, rest)] == [0, 1, 0]
    assert (loaded.start, loaded.milliseconds) == (pytest.approx(1.0), pytest.approx(3.0))
    core = DRAWS["core_sleep"].low * 100
    assert loaded.low == pytest.approx(core + DRAWS["cnn_active"].low * 2 / 3)
    assert supply.table().splitlines()[-1].startswith("pins,4,1,")
    assert supply.table().splitlines()[-1].endswith(",0")


def test_share_of_processors_scales_the_lower_bound_most():
    supply = Supply(lambda: SECOND)
    supply.enter("cnn", "cnn_active", load=0.25)
    draw = DRAWS["cnn_active"]
    assert supply._low == pytest.approx(0.25 * draw.low)
    assert supply._high == pytest.approx(0.625 * draw.high)


def test_board_at_power_on_has_drawn_nothing():
    assert board("heartbeat").supply.charge == (0.0, 0.0)


def test_board_of_another_process_leaves_its_trace_when_it_ends(tmp_path: Path):
    path = tmp_path / "current.csv"
    command = [sys.executable, "-m", "max78k.simulator", "--stop-with-stdin", "--power", str(path)]
    process = subprocess.Popen(
        [*command, str(compiled("heartbeat"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline().startswith(b"pty ")
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()
    assert path.read_text().startswith("# estimate at 3 V")


@pytest.mark.parametrize("module", ["max78k.simulator", "max78k"])
def test_path_that_cannot_be_written_is_named_before_the_run(module: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    verb = ["board", "run"] if module == "max78k" else []
    command = [sys.executable, "-m", module, *verb, str(compiled("heartbeat"))]
    ended = subprocess.run(
        [*command, "--power", str(tmp_path / "file" / "current.csv")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2 and "pty" not in ended.stdout
    assert "E-FILE" in ended.stderr and "Traceback" not in ended.stderr
    assert str(tmp_path / "file") in ended.stderr
