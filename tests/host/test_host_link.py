"""The link against a fake board, over lines that drop, repeat, damage, split, delay and lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from fake_device import FakeBoard, FakeClock, FakePort, encode, network
from hypothesis import given, settings
from hypothesis import strategies as st

from max78k.errors import ExitCode, InputError, LinkError
from max78k.host.diagnosis import RebootError
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.messages import BAUD_RATES, ResetCause, Status, Type
from max78k.host.replies import SelfTest, ticks_to_us


def rig(board=None, **faults):
    board = board or FakeBoard()
    clock = FakeClock()
    port = FakePort(board, clock, **faults)
    return Device(port, clock=clock, sleep=clock.sleep), board, port, clock


def sample(size):
    return np.arange(size, dtype=np.int64).astype(np.int8)


def failure(code, action):
    with pytest.raises(LinkError) as caught:
        action()
    assert caught.value.code == code, str(caught.value)
    assert caught.value.exit_code == ExitCode.LINK_FAILED
    assert caught.value.hint
    return str(caught.value)


def test_hello_tells_who_the_board_is():
    device, *_ = rig(FakeBoard(name=b"fer\x1b[2J", cause=ResetCause.WATCHDOG))
    with device:
        info = device.info
    assert (info.protocol, info.firmware, info.network_id) == (1, "1.0", 0xCAFEF00D)
    assert (info.input_bytes, info.output_values, info.timer_hz) == (100, 10, 50_000_000)
    assert (info.boot_id, info.reset_cause) == (0x11111111, ResetCause.WATCHDOG)
    assert info.network_name == "fer\\x1b[2J"  # no control characters reach the terminal


def test_inference_gives_scores_class_and_times_of_the_board():
    device, board, *_ = rig(FakeBoard(infer_s=0.1))
    data = sample(100)
    with device:
        result = device.infer(data.reshape(4, 5, 5))
    assert result.scores.dtype == np.int32
    assert result.scores.tolist() == network(data.tobytes(), 10)
    assert result.class_index == 0
    assert (result.load_us, result.inference_us, result.unload_us, result.post_us) == (
        20.0, 1516.0, 10.0, 5.0,
    )  # fmt: skip
    assert result.link_s == pytest.approx(0.1, abs=0.03)
    assert result.boot_id == board.boot_id


@pytest.mark.parametrize("size", [1, 1019, 1020, 1021, 2040, 9216])
def test_inputs_of_any_length_arrive_whole(size):
    device, board, *_ = rig(FakeBoard(input_bytes=size, output_values=1))
    with device:
        device.infer(sample(size))
    assert bytes(board._input) == sample(size).tobytes()
    assert board.log.count(Type.INPUT) == -(-size // 1020)


@pytest.mark.parametrize("values", [1, 249, 250, 502, 503, 4096])
def test_long_outputs_come_in_parts(values):
    device, board, *_ = rig(FakeBoard(output_values=values, has_class=False))
    with device:
        result = device.infer(sample(100))
    assert result.scores.tolist() == network(sample(100).tobytes(), values)
    assert result.class_index is None
    assert board.log.count(Type.OUTPUT) == -(-max(0, values - 249) // 253)


def test_a_board_with_small_frames_is_served_in_small_frames():
    device, board, *_ = rig(FakeBoard(max_payload=64, output_values=100))
    with device:
        result = device.infer(sample(100))
    assert result.scores.tolist() == network(sample(100).tobytes(), 100)
    assert board.log.count(Type.INPUT) == 2


def test_inference_can_be_repeated_on_the_input_already_there():
    device, board, *_ = rig()
    with device:
        first, second = device.infer(sample(100)), device.infer()
    assert first.scores.tolist() == second.scores.tolist()
    assert board.log.count(Type.INPUT) == 1 and board.log.count(Type.INFER) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(99), "99 bytes"),
        (np.zeros(101, np.int8), "101 bytes"),
        (np.zeros(100, np.uint8), "'B'"),
        (np.zeros(25, np.float32), "'f'"),
        ([0] * 100, "list"),
    ],
)
def test_inputs_of_wrong_size_or_type_are_refused_before_anything_is_sent(data, words):
    device, board, *_ = rig()
    with device, pytest.raises(InputError, match=words) as caught:
        device.infer(data)
    assert caught.value.code == "E-LINK-INPUT"
    assert Type.INPUT not in board.log


def test_a_transposed_array_is_sent_in_its_own_order():
    device, board, *_ = rig()
    data = sample(100).reshape(10, 10).T
    with device:
        device.infer(data)
    assert bytes(board._input) == np.ascontiguousarray(data).tobytes()


def test_self_test_mismatch_is_a_result():
    device, *_ = rig(FakeBoard(self_test=(3, 40, 0x50400000, 0x7F, 0x7E)))
    with device:
        result = device.self_test()
    assert result == SelfTest(3, 40, 0x50400000, 0x7F, 0x7E)
    assert not result.passed


def test_self_test_passes_only_if_something_was_compared():
    assert SelfTest(0, 40, 0, 0, 0).passed
    device, *_ = rig(FakeBoard(self_test=(0, 0, 0, 0, 0)))
    with device:
        failure("E-LINK-REPLY", device.self_test)


def test_reset_waits_for_the_new_boot():
    device, board, *_ = rig()
    with device:
        info = device.reset()
        assert info.boot_id == board.boot_id == 0x22222222
        assert info.reset_cause == ResetCause.SOFTWARE
        device.infer(sample(100))


def test_reset_does_not_take_the_old_boot_for_the_new_one():
    """The board may answer HELLO once more before it goes down."""
    device, board, port, clock = rig()
    with device:
        old, restart = board.boot_id, board.reboot
        board.reboot = lambda cause: None

        def to_board(number, data):
            if clock() > start + 1 and board.boot_id == old:
                restart(ResetCause.SOFTWARE)
            clock.sleep(0.1)
            return [(0.0, data)]

        start = clock()
        port.to_board = to_board
        assert device.reset().boot_id == board.boot_id != old


# Damage


def drop(number, data):
    return []


def flip(number, data):
    return [(0.0, data[:5] + bytes([data[5] ^ 0x10]) + data[6:])]


def twice(number, data):
    return [(0.0, data), (0.0, data)]


def split(number, data):
    return [(0.05 * n, data[n * 7 : n * 7 + 7]) for n in range(-(-len(data) // 7))]


def late(number, data):
    return [(0.45, data)]


def noise(number, data):
    return [(0.0, b"\x99\x02noise\0" + data)]


def half(number, data):
    return [(0.0, data[: len(data) // 2] + b"\0")]


DAMAGE = (drop, flip, twice, split, late, noise, half)


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_reply_is_repaired_and_carried_out_once(damage):
    def to_host(number, data):
        return damage(number, data) if number % 3 == 2 else [(0.0, data)]

    device, board, *_ = rig(to_host=to_host)
    with device:
        for _ in range(4):
            assert device.infer(sample(100)).scores.tolist() == network(sample(100).tobytes(), 10)
    assert board.log.count(Type.INFER) == 4


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_request_is_repaired_and_carried_out_once(damage):
    def to_board(number, data):
        return damage(number, data) if number % 3 == 2 else [(0.0, data)]

    device, board, *_ = rig(to_board=to_board)
    with device:
        for _ in range(4):
            assert device.infer(sample(100)).scores.tolist() == network(sample(100).tobytes(), 10)
    assert board.log.count(Type.INFER) == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from((None, *DAMAGE)), max_size=60), st.booleans())
def test_no_sequence_of_damage_gives_a_wrong_or_doubled_result(script, outward):
    """Either the right scores, or an error with a code; never a second run of one request."""

    def fault(number, data):
        damage = script[number % len(script)] if script else None
        return damage(number, data) if damage else [(0.0, data)]

    device, board, *_ = rig(**{"to_board" if outward else "to_host": fault})
    answered = 0
    try:
        with device:
            for start in range(3):
                data = np.roll(sample(100), start)
                assert device.infer(data).scores.tolist() == network(data.tobytes(), 10)
                answered += 1
    except LinkError as error:
        assert error.code in ("E-LINK-SILENT", "E-LINK-GARBAGE", "E-LINK-FOREIGN")
    assert answered <= board.log.count(Type.INFER) <= answered + 1


def test_retries_carry_the_same_sequence_number_and_are_counted():
    seen = []

    def to_board(number, data):
        seen.append(data.strip(b"\0"))
        return [] if number in (2, 3) else [(0.0, data)]

    device, *_ = rig(to_board=to_board)
    with device:
        device.hello()
        assert device.retries == 2
    assert seen[1] == seen[2] == seen[3] != seen[0]


def test_time_limits_grow_with_length_at_a_low_rate():
    device, board, port, _ = rig()
    port.baudrate = board.baud = 1200
    board.good_rates = (1200,)

    def slow(number, data):
        return [(10 * len(data) / 1200, data)]

    port.to_host = slow
    with device:
        device.infer(sample(100))
        assert device.retries == 0


def test_counters_wrap_at_32_bits():
    assert ticks_to_us(50, 50_000_000) == 1.0
    begin, end = 0xFFFF_FF00, 0x0000_0100
    assert ticks_to_us(end - begin, 1_000_000) == 512.0


# The five causes


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


# Replies that lie


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


# Baud rates


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


def test_short_limits_end_soon():
    device, _, port, clock = rig()
    port.board = None
    device._exchange.timing = Timing(hello_s=0.05, connect_s=0.1)
    start = clock()
    failure("E-LINK-SILENT", device.__enter__)
    assert clock() - start < 2


def test_a_report_does_not_change_when_the_session_goes_on():
    device, *_ = rig()
    with device:
        report = device.link_report()
        before = report.to_json()
        device.infer(sample(100))
    assert report.to_json() == before


def test_an_answer_that_lay_in_the_buffer_at_the_end_of_its_time_is_in_time():
    """A machine under load may not let a program run for longer than any limit."""
    clock = FakeClock()
    port = FakePort(FakeBoard(), clock)
    looks = []

    def halting():
        looks.append(port.writes)
        if looks.count(port.writes) == 2:  # the limit is known, the port not yet looked at
            clock.sleep(60.0)
        return clock()

    with Device(port, clock=halting, sleep=clock.sleep) as device:
        device.infer(sample(100))
        assert device.link_report(ask_board=False).faults == {}


def test_a_board_that_starts_slowly_is_found_without_a_fault():
    """Replies to earlier greetings come late, at another rate, whole or cut: nothing is lost."""
    device, board, port, clock = rig()
    port.to_host = lambda _, data: [(0.9 if data[2] == Type.HELLO | 0x80 else 0.0, data)]
    start = clock()

    def at_any_rate(data):
        port.baudrate, rate = board.baud, port.baudrate
        deliver(data)
        port.baudrate = rate

    deliver, port._deliver = port._deliver, at_any_rate  # as a pseudo-terminal does
    with device:
        assert clock() - start > 0.8
        clock.sleep(2.0)
        device.infer(sample(100))
        assert device.link_report(ask_board=False).faults == {}
        assert device.baud == 115200


def test_patience_with_an_intact_line_ends_when_it_has_lost_something():
    timing = Timing(intact_s=30.0)
    clock = FakeClock()
    lost = []

    def to_host(number, data):
        if number in (3, 4):
            lost.append(clock())
            return []
        return [(20.0 if number == 2 else 0.0, data)]

    port = FakePort(FakeBoard(), clock, to_host=to_host)
    with Device(port, timing=timing, clock=clock, sleep=clock.sleep) as device:
        device.hello()
        assert device.retries == 0  # it took twenty seconds and was waited for
        device.hello()
        assert device.retries == 2
        assert 30 < lost[1] - lost[0] < 31
        assert clock() - lost[1] < 2
