"""Energy: I * V * t in the right units, and an estimate that says it is one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from max78k.errors import InputError
from max78k.host.energy import (
    ESTIMATE,
    FROM_CURRENT,
    INFERENCE,
    PROCESSOR,
    Span,
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
kind,start_ms,duration_ms,low_ma,high_ma,marks
mean,0,10,1.0,4.0,
run,15,1,1.0,4.0,
pins,0,10,1.0,4.0,0
pins,10,2,3.0,12.0,3
"""


def test_a_current_trace_is_read_by_kind_of_row(tmp_path: Path):
    path = tmp_path / "current.csv"
    path.write_text(TRACE)
    trace = read_trace(path)
    assert trace.voltage_v == 2.0
    assert trace.means == (Span(0.0, 10.0, 1.0, 4.0),) and trace.runs == (Span(15, 1, 1, 4),)
    assert trace.pins == (Span(0.0, 10.0, 1.0, 4.0, 0), Span(10.0, 2.0, 3.0, 12.0, 3))


@pytest.mark.parametrize("content", ["", "text", TRACE.replace("run,15,1", "walk,15,1"),
                                     TRACE.replace("3.0", "x"), TRACE.replace("3.0", "nan"),
                                     TRACE.replace("pins,0", "pins," + 200_000 * "0")])  # fmt: skip
def test_file_that_is_no_current_trace_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "current.csv"
    path.write_text(content)
    with pytest.raises(InputError, match="E-BENCH-METER"):
        read_trace(path)
