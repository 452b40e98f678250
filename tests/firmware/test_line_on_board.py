"""The rate of the line between the host and the compiled firmware: lost, found, raised again."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("unicorn")
pytest.importorskip("elftools")

import soak
from board_line import BoardPort, misread

from max78k.host.line import FIRST_WAIT_FRAMES
from max78k.host.link import Device
from max78k.network import reference
from max78k.simulator.board import VirtualBoard

RATE = 921600
NOISE = b"\x05\x07\0" * 10  # more bad events in a row than the firmware bears at a raised rate


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return soak.firmware(tmp_path_factory.mktemp("line") / "project")


@pytest.fixture
def session(built):
    port = BoardPort(VirtualBoard(built[0], seed=1))
    device = Device(port, timing=soak.TIMING, clock=port.clock, sleep=port.sleep)
    with device:
        assert device.negotiate_baud(RATE) == RATE
        yield device, port


def inputs(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(-128, 128, (count, 1, 4, 4), dtype=np.int8)


def answers(built, data: np.ndarray) -> list[list[int]]:
    return reference.outputs(built[1], data).reshape(len(data), -1).tolist()


def test_a_receiver_at_another_rate_reads_other_bytes():
    data = bytes(range(256))
    assert misread(data, 115200, 115200) == misread(data, 115200, 117000) == data
    assert misread(b"\xf0", 115200, 57600) == b"\xfe"  # sampled at its bits 3, 5, 7, 9, then idle
    assert misread(data, RATE, 115200) != data[: len(misread(data, RATE, 115200))]
    assert set(misread(b"\x00" * 9, 115200, RATE)) == {0}


def test_a_request_to_a_board_that_gave_up_the_rate_is_answered_at_the_default_one(built, session):
    device, port = session
    data = inputs(1)
    port.write(NOISE)
    port.sleep(0.01)
    assert device.infer(data[0]).scores.tolist() == answers(built, data)[0]
    report = device.link_report()
    assert report.baud == 115200 and report.slowdowns == 1
    assert report.board.runs == 1
    assert set(report.faults) == {
        "requests repeated", "rates given up", "frames damaged towards the board",
    }  # fmt: skip


def test_an_inference_whose_reply_is_lost_with_the_rate_is_not_run_again(built, session):
    """The repeated request has the number of the first one: the board has its reply in memory."""
    device, port = session
    data = inputs(2)
    assert device.infer(data[0]).scores.tolist() == answers(built, data)[0]
    device.send_input(data[1])
    pass_on = port.to_host.pass_on

    def lose(reply: bytes):
        port.to_host.pass_on = pass_on
        port.board.console.host_write(NOISE)
        return []

    port.to_host.pass_on = lose
    assert device.infer().scores.tolist() == answers(built, data)[1]
    report = device.link_report()
    assert report.baud == 115200 and report.board.runs == 2
    assert report.board.repeats >= 1


def test_a_stream_goes_on_after_the_board_gave_up_the_rate(built, session):
    device, port = session
    data = inputs(40)
    results = []
    for result in device.stream(data):
        results.append(result.scores.tolist())
        if len(results) == 10:
            port.write(NOISE)
    assert results == answers(built, data)
    report = device.link_report()
    assert report.slowdowns == 1 and report.board.runs == 40


def test_a_rate_that_was_given_up_is_taken_again_when_the_line_is_good(built, session):
    device, port = session
    port.write(NOISE)
    port.sleep(0.01)
    device.hello()
    assert device.baud == 115200
    data = inputs(FIRST_WAIT_FRAMES + 20)
    results = [result.scores.tolist() for result in device.stream(data)]
    assert results == answers(built, data)
    assert device.baud == RATE
    device.hello()
    assert device.link_report().slowdowns == 1
