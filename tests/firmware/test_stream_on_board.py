"""Streams of frames through the compiled firmware on the virtual board, good line and bad."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

import soak
from board_line import BoardPort

from max78k.host.link import Device
from max78k.host.link_report import throughput
from max78k.network import reference
from max78k.simulator.board import VirtualBoard


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return soak.firmware(tmp_path_factory.mktemp("soak") / "project")


@pytest.mark.parametrize("rate", [115200, 2_000_000])
def test_a_stream_keeps_line_or_accelerator_busy(built, rate):
    elf, network = built
    port = BoardPort(VirtualBoard(elf, seed=1))
    inputs = np.random.default_rng(3).integers(-128, 128, (30, 1, 4, 4), dtype=np.int8)
    with Device(port, clock=port.clock, sleep=port.sleep) as device:
        assert device.negotiate_baud(rate) == rate
        results = list(device.stream(inputs))
        rates = throughput(results[1:], device.info, device.baud)
        report = device.link_report()
    expected = reference.outputs(network, inputs).reshape(30, -1)
    assert [r.scores.tolist() for r in results] == expected.tolist()
    assert rates.share > 0.95
    assert report.faults == {}
    assert report.board.runs == 30
    assert 0 < report.board.weights_ticks < 1_000_000
    assert port.board.findings == []


def test_the_books_of_a_line_without_faults_show_none(built):
    """At the highest rate to the end, from which the session returns to the default one."""
    result = soak.soak(*built, frames=20, rate=0.0, resets=0, seed=1)
    assert result.complaints() == []
    assert result.report.faults == {} and result.report.baud == 2_000_000


def test_a_bad_line_and_resets_give_no_wrong_result_and_all_are_counted(built):
    """``tools/soak.py`` runs as many frames as are wanted."""
    result = soak.soak(*built, frames=80, rate=1e-3, resets=1, seed=4)
    assert result.complaints() == []
    assert (result.right, result.wrong, result.resets) == (80, 0, 1)
    assert result.board.expected["damaged"] and result.at_host["CRC"]
    result.report.received.bad_crc += 1
    result.wrong += 1
    assert [text.split(":")[0] for text in result.complaints()] == [
        "wrong results",
        "results",
        "damaged frames at the host",
        "replies that came twice or late",
    ]
