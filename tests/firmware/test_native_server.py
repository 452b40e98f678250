"""The requests of the link protocol, answered by the firmware's server compiled for the host."""

from __future__ import annotations

import random
import struct
import zlib

import numpy as np
import pytest
from native_build import compile_device
from tiny_image import tiny_image

from max78k.chip import addresses
from max78k.codegen.tables import network_id
from max78k.compiler.image import OutputRun
from max78k.host import messages as m
from max78k.host.framing import Decoder, Frame, cobs_encode, pack
from max78k.host.messages import Status, Type

INPUT = bytes(range(1, 13))


class Talk:
    """A list of requests, and the replies to all of them in one run of the program."""

    def __init__(self, device, mode="server"):
        self.device, self.mode = device, mode
        self.stream = b""
        self.sequence = 100

    def ask(self, kind, payload=b""):
        self.sequence += 1
        self.stream += pack(Frame(kind, self.sequence, payload))
        return self

    def replies(self):
        """(type, status, payload after the prefix) of each reply."""
        output, self.messages = self.device(self.stream, self.mode)
        result = []
        for frame in Decoder().feed(output):
            boot, cause, status = m.REPLY_PREFIX.unpack_from(frame.payload)
            assert (boot, cause) == (0x12345678, m.ResetCause.WATCHDOG)
            result.append((frame.type, Status(status), frame.payload[m.REPLY_PREFIX.size :]))
        return result


def test_hello_tells_who_answers(device):
    ((kind, status, payload),) = Talk(device).ask(Type.HELLO).replies()
    assert (kind, status) == (Type.HELLO | m.REPLY_FLAG, Status.OK)
    image = tiny_image()
    assert m.HELLO_REPLY.unpack(payload) == (
        m.PROTOCOL_VERSION, 1, 1, 3, m.MAX_PAYLOAD, 2, network_id(image), 100_000_000, 50_000_000,
        12, 8, b"tiny".ljust(m.NAME_BYTES, b"\0"),
    )  # fmt: skip


def test_input_in_parts_then_inference(device):
    talk = Talk(device)
    talk.ask(Type.INPUT, m.INPUT.pack(0) + INPUT[:5]).ask(Type.INPUT, m.INPUT.pack(5) + INPUT[5:])
    talk.ask(Type.INFER).ask(Type.OUTPUT, m.OUTPUT.pack(1, 1))
    first, second, infer, output = talk.replies()
    assert m.INPUT_REPLY.unpack(first[2]) == (5,)
    assert m.INPUT_REPLY.unpack(second[2]) == (12,)
    assert infer[1] is Status.OK
    assert m.INFER_REPLY.unpack_from(infer[2])[1:] == (1234, 10, 10, 1, 2)
    assert struct.unpack("<2i", infer[2][m.INFER_REPLY.size :]) == (78, 79)
    assert output[2] == m.OUTPUT_REPLY.pack(1, 1) + struct.pack("<i", 79)


def test_input_stays_for_another_inference_and_a_new_one_begins_at_offset_0(device):
    talk = Talk(device).ask(Type.INPUT, m.INPUT.pack(0) + INPUT).ask(Type.INFER).ask(Type.INFER)
    talk.ask(Type.INPUT, m.INPUT.pack(0) + INPUT[:3]).ask(Type.INFER)
    statuses = [status for _, status, _ in talk.replies()]
    assert statuses == [Status.OK] * 4 + [Status.NO_INPUT]


@pytest.mark.parametrize(
    ("kind", "payload", "status"),
    [
        (Type.HELLO, b"x", Status.BAD_LENGTH),
        (Type.INFER, b"", Status.NO_INPUT),
        (Type.INFER, b"x", Status.BAD_LENGTH),
        (Type.INPUT, b"", Status.BAD_LENGTH),
        (Type.INPUT, m.INPUT.pack(0), Status.BAD_LENGTH),
        (Type.INPUT, m.INPUT.pack(0) + bytes(13), Status.BAD_RANGE),
        (Type.INPUT, m.INPUT.pack(1) + bytes(4), Status.BAD_RANGE),
        (Type.INPUT, m.INPUT.pack(12) + bytes(1), Status.BAD_RANGE),
        (Type.INPUT, m.INPUT.pack(0xFFFF_FFFF) + bytes(2), Status.BAD_RANGE),
        (Type.OUTPUT, m.OUTPUT.pack(0, 1), Status.BAD_RANGE),
        (Type.SET_BAUD, m.SET_BAUD.pack(9600), Status.BAD_RANGE),
        (Type.SET_BAUD, b"", Status.BAD_LENGTH),
        (0x55, b"", Status.UNKNOWN_TYPE),
        (0x00, b"", Status.UNKNOWN_TYPE),
    ],
)
def test_request_that_does_not_fit_is_answered_with_its_status(device, kind, payload, status):
    ((got_kind, got_status, rest),) = Talk(device).ask(kind, payload).replies()
    assert (got_kind, got_status, rest) == (kind | m.REPLY_FLAG, status, b"")


@pytest.mark.parametrize(("first", "count"), [(0, 3), (2, 1), (0xFFFF, 0xFFFF), (1, 2)])
def test_output_outside_the_range_is_refused(device, first, count):
    talk = Talk(device).ask(Type.INPUT, m.INPUT.pack(0) + INPUT).ask(Type.INFER)
    assert talk.ask(Type.OUTPUT, m.OUTPUT.pack(first, count)).replies()[2][1] is Status.BAD_RANGE


def test_repeated_request_is_answered_from_memory(device):
    talk = Talk(device).ask(Type.SET_BAUD, m.SET_BAUD.pack(921600))
    talk.stream *= 3
    replies = talk.replies()
    assert len(replies) == 3 and len(set(replies)) == 1
    assert talk.messages.count("action 1 921600") == 1


def test_same_sequence_with_other_content_is_a_new_request(device):
    stream = pack(Frame(Type.HELLO, 7)) + pack(Frame(Type.INFER, 7))
    kinds = [frame.type for frame in Decoder().feed(device(stream)[0])]
    assert kinds == [Type.HELLO | m.REPLY_FLAG, Type.INFER | m.REPLY_FLAG]


def test_reset_is_acknowledged_first(device):
    talk = Talk(device).ask(Type.RESET)
    assert talk.replies()[0][:2] == (Type.RESET | m.REPLY_FLAG, Status.OK)
    assert "action 2" in talk.messages


def test_reply_that_comes_back_is_not_answered(device):
    assert device(pack(Frame(Type.HELLO | m.REPLY_FLAG, 1)))[0] == b""


def test_other_protocol_version_is_told_so(device):
    stream = pack(Frame(Type.HELLO, 1, b"whatever", version=9))
    (frame,) = Decoder().feed(device(stream)[0])
    assert m.REPLY_PREFIX.unpack(frame.payload)[2] == Status.BAD_VERSION


@pytest.mark.parametrize("length", [0, 1, 9, 0xFFFF])
def test_length_that_is_not_true_is_refused(device, length):
    body = m.HEADER.pack(m.PROTOCOL_VERSION, Type.INPUT, 3, length) + m.INPUT.pack(0) + INPUT[:3]
    wire = cobs_encode(body + m.CRC.pack(zlib.crc32(body))) + b"\0"
    (frame,) = Decoder().feed(device(wire)[0])
    assert m.REPLY_PREFIX.unpack(frame.payload)[2] == Status.BAD_LENGTH


def test_self_test_reports_the_first_mismatch(device):
    ok = Talk(device).ask(Type.SELF_TEST).replies()[0]
    assert (ok[1], m.SELF_TEST_REPLY.unpack(ok[2])) == (Status.OK, (0, 2, 0, 0, 0))
    bad = Talk(device, "mismatch").ask(Type.SELF_TEST).replies()[0]
    assert bad[1] is Status.MISMATCH
    assert m.SELF_TEST_REPLY.unpack(bad[2]) == (1, 2, 0x50402000, 5, 7)


@pytest.mark.parametrize("last", [Type.SELF_TEST, Type.INFER])
def test_a_run_under_way_ends_before_another_one_is_prepared(device, last):
    """As after a session that was broken off in the middle of a stream."""
    talk = Talk(device, "slow").ask(Type.STREAM, m.STREAM.pack(9, 0) + INPUT)
    talk.ask(Type.INPUT, m.INPUT.pack(0) + INPUT).ask(last)
    statuses = {kind: status for kind, status, _ in talk.replies()}
    assert statuses[last | m.REPLY_FLAG] is statuses[Type.STREAM | m.REPLY_FLAG] is Status.OK
    assert "while the accelerator runs" not in talk.messages


def test_accelerator_that_does_not_finish_is_reported(device):
    talk = Talk(device, "timeout").ask(Type.INPUT, m.INPUT.pack(0) + INPUT).ask(Type.INFER)
    replies = talk.ask(Type.SELF_TEST).ask(Type.OUTPUT, m.OUTPUT.pack(0, 1)).replies()
    statuses = [status for _, status, _ in replies]
    assert statuses == [Status.OK, Status.CNN_TIMEOUT, Status.CNN_TIMEOUT, Status.BAD_RANGE]


def test_output_of_several_frames_and_both_widths(tmp_path):
    base = addresses.data_memory(0) + 0x2000
    runs = (OutputRun(base, 0, 1, 300, 8), OutputRun(base, 0, 1, 299, 32))
    image = tiny_image(output_runs=runs, expected_output=np.zeros(599, np.int64))
    talk = Talk(compile_device(image, tmp_path))
    talk.ask(Type.INPUT, m.INPUT.pack(0) + bytes(12)).ask(Type.INFER)
    for first, count in ((249, 253), (502, 97), (599, 0), (0, 254)):
        talk.ask(Type.OUTPUT, m.OUTPUT.pack(first, count))
    _, infer, *parts, last = talk.replies()
    assert m.INFER_REPLY.unpack_from(infer[2])[4:] == (0xFFFF, 249)
    data = infer[2][m.INFER_REPLY.size :] + b"".join(part[2][4:] for part in parts)
    expected = np.arange(599)
    expected[:300] = expected[:300].astype(np.int8)
    assert np.array_equal(np.frombuffer(data, "<i4"), expected)
    assert last[1] is Status.BAD_RANGE  # more than a frame holds


def test_any_request_is_answered_without_harm(device):
    """Frames with a right CRC and hostile content, under the host's sanitizers."""
    generator = random.Random(5)
    stream = b""
    for sequence in range(2000):
        kind = generator.choice([*Type, generator.randrange(128)])
        payload = generator.randbytes(generator.choice([0, 1, 4, 5, 8, 16, 17, m.MAX_PAYLOAD]))
        if generator.random() < 0.5:
            small = bytes(generator.choice(b"\0\1\2\x0b\x0c") for _ in payload)
            payload = small[:4] + payload[4:]
        stream += pack(Frame(kind, sequence, payload))
    output, _ = device(stream)
    assert len(Decoder().feed(output)) == 2000
