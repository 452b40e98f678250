"""Energy: I * V * t in the right units, and an estimate that says it is one."""

from __future__ import annotations

import math

import pytest

from max78k.errors import InputError
from max78k.host.energy import (
    ESTIMATE,
    FROM_CURRENT,
    INFERENCE,
    PROCESSOR,
    energy_from_current,
    energy_mj,
    estimate_energy,
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
