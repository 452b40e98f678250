"""Energy: I * V * t in the right units, and an estimate that says it is one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from max78k.errors import InputError
from max78k.host.energy import (
    ESTIMATE,
    FROM_CURRENT,
    FROM_TRACE,
    INFERENCE,
    PROCESSOR,
    energy_from_current,
    energy_mj,
    estimate_energy,
    read_trace,
)


def test_milliampere_volt_millisecond_give_microjoule():
    assert energy_mj(current_ma=3.16, voltage_v=5, time_ms=1.516) == pytest.approx(0.0239528)
    assert round(energy_mj(3.16, 5, 1.516), 5) == 0.02395
    assert energy_mj(1000, 1, 1000) == 1000  # 1 A at 1 V for 1 s is 1 J


def test_energy_from_a_current_is_labelled_and_exact():
    energy = energy_from_current(3.16, 5, 1.516)
    assert energy.kind == FROM_CURRENT == "from the given current"
    assert energy.low_mj == energy.mj == energy.high_mj == pytest.approx(0.0239528)


@pytest.mark.parametrize("values", [(-1, 5, 1), (1, math.nan, 1), (1, 5, math.inf)])
def test_impossible_supply_is_refused(values):
    with pytest.raises(InputError, match="E-ENERGY-SUPPLY"):
        energy_from_current(*values)


def test_estimate_reproduces_the_published_figures_within_its_bounds():
    for published_mj, time_ms in ((0.09, 1.4), (0.196, 5.5)):
        energy = estimate_energy(time_ms, 0)
        assert energy.kind == ESTIMATE == "estimate"
        assert energy.low_mj * 0.999 <= published_mj <= energy.high_mj * 1.001
        assert energy.low_mj < energy.mj < energy.high_mj
    assert estimate_energy(1, 1).mj == pytest.approx((INFERENCE.mw + PROCESSOR.mw) / 1e3)


def test_power_states_are_ordered_and_have_a_source():
    assert PROCESSOR.low_mw == pytest.approx(6.66)
    assert (round(INFERENCE.low_mw, 1), round(INFERENCE.high_mw, 1)) == (35.6, 64.3)
    for state in (INFERENCE, PROCESSOR):
        assert 0 < state.low_mw < state.mw < state.high_mw
        assert state.source


TRACE = """# estimate at 2 V, bounds; not a measurement
kind,start_ms,duration_ms,low_ma,high_ma
mean,0,10,1.0,4.0
mean,10,1,2.0,8.0
mean,11,9,1.0,4.0
run,10.25,0.5,3.0,12.0
run,15,1,1.0,4.0
"""


def test_current_trace_gives_the_energy_of_a_run_and_of_what_surrounds_it(tmp_path: Path):
    path = tmp_path / "current.csv"
    path.write_text(TRACE)
    trace = read_trace(path)
    run = trace.energy_of_run(0)
    assert (run.low_mj, run.high_mj) == pytest.approx((2 * 1.5e-3, 2 * 6e-3))
    assert run.mj == pytest.approx(2 * 3e-3)  # between the bounds
    assert run.kind == FROM_TRACE and FROM_TRACE.startswith(ESTIMATE)
    frame = trace.energy_around(0, before_ms=1.25, after_ms=1.25)
    outside = 1.0 * 1.0 + 0.25 * 2.0 + 0.25 * 2.0 + 1.0 * 1.0  # mA ms
    assert frame.low_mj == pytest.approx(2e-3 * (1.5 + outside))
    assert trace.energy_of_run(-1).low_mj == pytest.approx(2e-3)


@pytest.mark.parametrize("content", ["", "text", TRACE.replace("run,15,1", "walk,15,1"),
                                     TRACE.replace("3.0", "x")])  # fmt: skip
def test_file_that_is_no_current_trace_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "current.csv"
    path.write_text(content)
    with pytest.raises(InputError, match="E-BENCH-METER"):
        read_trace(path)
