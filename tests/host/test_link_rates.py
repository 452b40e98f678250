"""Baud rates: climbing, what stops it, a board left at a high rate."""

from __future__ import annotations

from fake_device import FakeBoard
from link_rig import rig, sample

from max78k.host.messages import BAUD_RATES, Status, Type


def test_the_highest_working_rate_is_taken_and_left_again_at_the_end():
    device, board, port, _ = rig()
    with device:
        assert device.negotiate_baud() == board.baud == port.baudrate == BAUD_RATES[-1]
        device.infer(sample(100))
    assert board.baud == 115200 and port.closed


def test_a_rate_that_fails_is_given_up_for_a_lower_one():
    board = FakeBoard(good_rates=(115200, 230400))
    device, _, port, _ = rig(board)

    def trial(number, data):
        """The firmware goes back to the default rate when nothing valid arrives."""
        if board.baud not in board.good_rates and number > port.fails + 4:
            board.baud, port.fails = 115200, number
        return [(0.0, data)]

    port.fails = 0
    port.to_board = trial
    with device:
        assert device.negotiate_baud() == 230400
        device.infer(sample(100))


def test_negotiation_stops_at_the_rate_that_was_asked_for():
    device, board, *_ = rig()
    with device:
        assert device.negotiate_baud(460800) == board.baud == 460800
        assert device.negotiate_baud(115200) == 460800


def test_a_refused_rate_changes_nothing():
    device, board, *_ = rig(FakeBoard(refuse={Type.SET_BAUD: Status.BAD_RANGE}))
    with device:
        assert device.negotiate_baud() == board.baud == 115200


def test_a_lost_acknowledgement_is_healed_at_the_new_rate():
    device, board, port, _ = rig()
    lost = []

    def to_host(number, data):
        if data[2] == Type.SET_BAUD | 0x80 and len(lost) < 4:
            lost.append(number)
            return []
        return [(0.0, data)]

    port.to_host = to_host
    with device:
        assert device.negotiate_baud() == board.baud == BAUD_RATES[-1]
    assert lost


def test_a_board_left_at_a_high_rate_is_found():
    device, _, port, _ = rig(FakeBoard(baud=460800))
    with device:
        assert device.baud == port.baudrate == 460800
        device.infer(sample(100))
