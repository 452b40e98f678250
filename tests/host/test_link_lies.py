"""Replies that contradict the protocol, the request or the board's own HELLO."""

from __future__ import annotations

import struct

import pytest
from fake_device import FakeBoard, encode
from link_rig import failure, rig, sample

from max78k.host.messages import Status, Type


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.UNKNOWN_TYPE, "E-LINK-STATUS"),
        (Status.BAD_LENGTH, "E-LINK-STATUS"),
        (Status.BAD_RANGE, "E-LINK-STATUS"),
        (Status.NO_INPUT, "E-LINK-STATUS"),
        (Status.CNN_TIMEOUT, "E-LINK-STATUS"),
        (Status.MISMATCH, "E-LINK-STATUS"),
        (Status.BAD_VERSION, "E-LINK-VERSION"),
        (999, "E-LINK-STATUS"),
    ],
)
def test_a_refusal_names_request_and_status(status, code):
    device, *_ = rig(FakeBoard(refuse={Type.INFER: status}))
    with device:
        message = failure(code, lambda: device.infer(sample(100)))
    assert "INFER" in message and f"status {int(status)}" in message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(19),
        struct.pack("<IIIIHH", 1, 2, 3, 4, 0, 10),  # states ten values, sends none
        struct.pack("<IIIIHH", 1, 2, 3, 4, 0, 10) + bytes(44),  # eleven values
        struct.pack("<IIIIHH", 1, 2, 3, 4, 0, 11) + bytes(44),  # more than HELLO stated
        struct.pack("<IIIIHH", 1, 2, 3, 4, 0, 0xFFFF),
        struct.pack("<IIIIHH", 1, 2, 3, 4, 10, 10) + bytes(40),  # class 10 of 10
    ],
)
def test_an_inference_reply_that_lies_is_refused(body):
    device, board, *_ = rig()
    board._infer = lambda payload: (Status.OK, body)
    with device:
        failure("E-LINK-REPLY", lambda: device.infer(sample(100)))


@pytest.mark.parametrize("first_count", [(0, 5), (9, 0), (9, 2), (8, 1), (9, 0xFFFF)])
def test_an_output_part_that_lies_is_refused(first_count):
    device, board, *_ = rig()
    nine = struct.pack("<IIIIHH", 1, 2, 3, 4, 0, 9) + bytes(36)
    board._infer = lambda payload: (Status.OK, nine)
    part = struct.pack("<HH", *first_count) + bytes(4 * min(first_count[1], 100))
    board._send_output = lambda payload: (Status.OK, part)
    with device:
        failure("E-LINK-REPLY", lambda: device.infer(sample(100)))


@pytest.mark.parametrize("received", [0, 1, 0xFFFF_FFFF, 101])
def test_an_input_count_that_lies_ends_in_an_error(received):
    device, board, *_ = rig()
    board._take_input = lambda payload: (Status.OK, struct.pack("<I", received))
    with device:
        failure("E-LINK-REPLY", lambda: device.infer(sample(100)))


@pytest.mark.parametrize(
    "lie", [{"timer_hz": 0}, {"input_bytes": 0}, {"max_payload": 0}, {"max_payload": 4}]
)
def test_an_impossible_hello_is_refused(lie):
    device, *_ = rig(FakeBoard(**lie))
    failure("E-LINK-REPLY", device.__enter__)


def test_a_short_reply_is_refused():
    device, _, port, _ = rig()
    with device:
        port.to_host = lambda n, data: [(0.0, encode(0x81, device._exchange._sequence, b"abc"))]
        failure("E-LINK-REPLY", device.hello)
