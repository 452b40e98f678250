"""A timer on the device measures what the cycle model says of the shipped network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("unicorn", reason="the virtual board needs unicorn")

from max78k.chip import limits
from max78k.compiler.cycles import layer_cycles
from max78k.flows.firmware import make_firmware
from max78k.flows.models import load_model
from max78k.host.energy import read_trace
from max78k.host.session import SIM, connect


def test_timer_and_current_trace_agree_with_the_cycle_model(tmp_path: Path):
    model = load_model("fer7")
    firmware = make_firmware(model.network, tmp_path / "firmware", given=model.given)
    cycles = layer_cycles(model.network, firmware.synthesis.placement)
    expected = sum(cycles.values()) / limits.CNN_CLOCK_HZ
    frame = np.zeros(model.network.input_shape, np.int8)
    trace = tmp_path / "current.csv"
    with connect(SIM, elf=firmware.build.elf, highest_baud=921600, power=trace) as device:
        measured = device.infer(frame).inference_us / 1e6
    assert measured == pytest.approx(expected, rel=0.01)
    *_, run = read_trace(trace).runs
    assert run.milliseconds / 1e3 == pytest.approx(expected, rel=0.01)
