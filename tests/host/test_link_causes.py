"""Why there is no answer: silence, foreign text, damage, another version, a restart, an echo."""

from __future__ import annotations

import pytest
from fake_device import FakeBoard, encode
from link_rig import failure, rig, sample

from max78k.host.diagnosis import RebootError
from max78k.host.messages import BAUD_RATES, ResetCause, Status, Type


def test_silence_is_called_silence():
    device, _, port, clock = rig()
    port.board = None
    start = clock()
    message = failure("E-LINK-SILENT", device.__enter__)
    assert "115200" in message
    assert port.closed
    assert 3 < clock() - start < 12  # seconds


def test_foreign_text_is_shown():
    device, _, port, _ = rig()
    port.board = None
    for n in range(40):
        port.push(b"Waiting...\r\n*** CNN Inference Test \x1b[31m ***\r\n", delay=n / 4)
    message = failure("E-LINK-FOREIGN", device.__enter__)
    assert "CNN Inference Test \\x1b[31m ***" in message
    assert message.isprintable()


def test_damaged_bytes_are_called_garbage():
    device, _, port, _ = rig()
    port.board = None
    for n in range(40):
        port.push(bytes([0x80, 0xF8, 0x00, 0x1C, 0xE3, 0x9C] * 3), delay=n / 4)
    assert "80 f8" in failure("E-LINK-GARBAGE", device.__enter__)


@pytest.mark.parametrize("board", [FakeBoard(version=2), FakeBoard(refuse={1: Status.BAD_VERSION})])
def test_another_protocol_version_is_named(board):
    device, *_ = rig(board)
    failure("E-LINK-VERSION", device.__enter__)


def test_a_reply_of_another_version_is_not_read_by_our_table():
    device, _, port, _ = rig()
    with device:
        port.to_host = lambda n, data: [(0.0, encode(0x81, 0, b"?", version=9))]
        assert "version 9" in failure("E-LINK-VERSION", device.hello)


@pytest.mark.parametrize("cause", list(ResetCause))
def test_a_restart_is_reported_with_its_cause(cause):
    device, board, *_ = rig()
    with device:
        device.infer(sample(100))
        board.reboot(cause)
        with pytest.raises(RebootError) as caught:
            device.infer(sample(100))
        assert caught.value.code == "E-LINK-REBOOT"
        assert caught.value.cause is cause
        assert "11111111 became 22222222" in str(caught.value)
        device.infer(sample(100))  # the session goes on with the new boot


def test_a_restart_at_the_default_rate_is_found_from_a_high_rate():
    device, *_ = rig(FakeBoard(reboot_at_infer=2))
    with device:
        assert device.negotiate_baud() == BAUD_RATES[-1]
        device.infer(sample(100))
        message = failure("E-LINK-REBOOT", lambda: device.infer(sample(100)))
    assert "power on" in message and "INFER" in message


def test_an_unknown_reset_cause_is_no_crash():
    device, board, *_ = rig()
    with device:
        board.reboot(77)
        assert "unknown (77)" in failure("E-LINK-REBOOT", device.hello)


def test_a_hanging_inference_is_told_from_a_dead_board():
    device, _, port, _ = rig()

    def no_inference(number, data):
        return [] if data[2] == Type.INFER | 0x80 else [(0.0, data)]

    port.to_host = no_inference
    with device:
        assert "answers HELLO" in failure("E-LINK-SILENT", lambda: device.infer(sample(100)))


def test_an_echo_is_called_an_echo():
    device, _, port, _ = rig()
    port._deliver = port.push
    failure("E-LINK-ECHO", device.__enter__)


def test_a_port_that_fails_is_named():
    device, _, port, _ = rig()
    with device:

        def gone(size=1):
            raise OSError(5, "Input/output error")

        port.read = gone
        assert "Input/output error" in failure("E-LINK-PORT", device.hello)


def test_a_terminal_that_fails_as_its_rate_changes_is_named():
    """Its errors are not of the kind that all others of a port are."""
    termios = pytest.importorskip("termios")
    device, _, port, _ = rig()
    with device:

        def gone():
            raise termios.error(5, "Input/output error")

        port.reset_input_buffer = gone
        assert "Input/output error" in failure("E-LINK-PORT", device.negotiate_baud)
