"""A stream of frames against a fake board, over lines that drop, repeat, damage and split."""

from __future__ import annotations

import link_rig
import numpy as np
import pytest
from fake_device import FakeBoard, network
from hypothesis import given, settings
from hypothesis import strategies as st
from link_rig import drop, flip, half, noise, twice

from max78k.errors import InputError, LinkError
from max78k.host.diagnosis import RebootError
from max78k.host.framing import Decoder
from max78k.host.link import MOST_RESTARTS
from max78k.host.link_report import throughput
from max78k.host.messages import BAUD_RATES, ResetCause, Status, Type

SIZE = 2500  # three parts


def rig(board=None, **faults):
    return link_rig.rig(board or FakeBoard(input_bytes=SIZE, stream_window=3), **faults)


def samples(count, seed=1):
    return np.random.default_rng(seed).integers(-128, 128, (count, SIZE), dtype=np.int8)


def check(results, inputs):
    scores = [result.scores.tolist() for result in results]
    assert scores == [network(data.tobytes(), 10) for data in inputs]


def test_results_come_in_order_and_each_input_is_run_once():
    device, board, *_ = rig()
    inputs = samples(12)
    with device:
        check(list(device.stream(inputs)), inputs)
        assert board.log.count(Type.STREAM) == 12
        assert device.link_report().pipeline.parts == 36
    assert Type.INPUT not in board.log and Type.INFER not in board.log


def test_later_inputs_travel_before_the_first_result_is_there():
    device, _, port, _ = rig()
    sent = []
    port.to_board = lambda n, data: sent.append(Decoder().feed(data)[-1].type) or [(0.0, data)]
    port.to_host = lambda n, data: sent.append("result") or [(0.0, data)]
    with device:
        begin = len(sent)
        port.board.infer_s = 1.0
        list(device.stream(samples(3)))
    parts = [kind for kind in sent[begin:] if kind in (Type.STREAM, "result")]
    assert parts.count(Type.STREAM) == 9 and parts.count("result") == 3


def test_firmware_without_streams_is_asked_one_by_one():
    device, board, *_ = rig(FakeBoard(input_bytes=SIZE))
    inputs = samples(3)
    with device:
        check(list(device.stream(inputs)), inputs)
    assert board.log.count(Type.INFER) == 3


def test_no_frames_make_no_traffic_and_a_wrong_one_is_refused():
    device, board, *_ = rig()
    with device:
        assert list(device.stream([])) == []
        with pytest.raises(InputError):
            list(device.stream([bytes(3)]))
    assert Type.STREAM not in board.log


def test_the_timer_at_the_end_of_each_run_gives_the_rate():
    device, *_ = rig()
    with device:
        results = list(device.stream(samples(9)))
        rates = throughput(results, device.info, 115200)
    assert rates.frames_per_s == pytest.approx(50_000)  # 1000 ticks of 20 ns, over the wrap
    assert rates.inference_per_s == pytest.approx(1e6 / 1546)
    assert rates.line_per_s == pytest.approx(11520 / (SIZE + 3 * 21))


def split(number, data):
    return [(0.0, data[:9]), (0.0, data[9:])]


DAMAGE = (drop, flip, twice, split, noise, half)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from((None, None, *DAMAGE)), min_size=1, max_size=50), st.booleans())
def test_no_sequence_of_damage_gives_a_wrong_or_missing_result(script, outward):
    def fault(number, data):
        damage = script[number % len(script)] if number > 3 else None
        return damage(number, data) if damage else [(0.0, data)]

    device, *_ = rig(**{"to_board" if outward else "to_host": fault})
    inputs = samples(6)
    results = []
    try:
        with device:
            for result in device.stream(inputs):
                results.append(result)
    except LinkError as error:
        assert error.code in ("E-LINK-SILENT", "E-LINK-GARBAGE", "E-LINK-FOREIGN")
    else:
        assert len(results) == 6
    check(results, inputs[: len(results)])


def test_a_lost_part_is_named_by_the_board_and_sent_again():
    device, board, port, _ = rig()
    with device:
        first = port.writes
        port.to_board = lambda n, data: [] if n == first + 2 else [(0.0, data)]
        inputs = samples(5)
        check(list(device.stream(inputs)), inputs)
        counts = device.link_report().pipeline
    assert (counts.holes, counts.timeouts) == (1, 0)
    assert board.log.count(Type.STREAM) == 5


def test_a_lost_result_is_fetched_and_not_run_again():
    device, board, port, _ = rig()
    with device:
        first = port.replies
        port.to_host = lambda n, data: [] if n == first + 2 else [(0.0, data)]
        inputs = samples(5)
        check(list(device.stream(inputs)), inputs)
        counts = device.link_report().pipeline
    assert counts.overtaken + counts.timeouts == 1
    assert board.log.count(Type.STREAM) == 5


def test_a_restart_ends_a_stream_or_is_counted():
    device, board, *_ = rig(FakeBoard(input_bytes=SIZE, stream_window=3, reboot_at_infer=4))
    with device, pytest.raises(RebootError) as caught:
        list(device.stream(samples(8)))
    assert caught.value.cause is ResetCause.POWER_ON
    device, board, *_ = rig(FakeBoard(input_bytes=SIZE, stream_window=3, reboot_at_infer=4))
    inputs = samples(8)
    with device:
        device.negotiate_baud()
        check(list(device.stream(inputs, keep_going=True)), inputs)
        assert device.link_report().faults["restarts: power on"] == 1
        assert device.baud == board.baud == BAUD_RATES[-1]


def test_a_board_that_restarts_with_every_frame_ends_a_stream():
    """As one on a weak supply does: it would never give a result."""
    device, board, *_ = rig()
    answer = board._stream

    def restarts(sequence, payload):
        replies = answer(sequence, payload)
        if replies:
            board.reboot()
        return []

    with device:
        board._stream = restarts
        with pytest.raises(RebootError):
            list(device.stream(samples(3), keep_going=True))
        assert device.link_report().faults["restarts: power on"] == MOST_RESTARTS + 1


def test_a_rate_that_errs_in_use_is_given_up():
    device, board, port, _ = rig()
    with device:
        device.negotiate_baud()

        def to_host(number, data):
            return flip(number, data) if board.baud > 460800 and number % 3 == 0 else [(0.0, data)]

        port.to_host = to_host
        inputs = samples(200)
        check(list(device.stream(inputs)), inputs)
        assert device.baud == board.baud == 460800
        assert device.link_report().slowdowns == 2


def test_a_frame_that_the_board_refuses_is_an_error_with_its_status():
    device, board, *_ = rig()
    board._stream = lambda sequence, payload: [
        reply(board, sequence, Status.CNN_TIMEOUT, payload[:4] + bytes(4))
    ]
    with device, pytest.raises(LinkError, match="accelerator"):
        list(device.stream(samples(1)))


def reply(board, sequence, status, body):
    import struct

    from fake_device import encode

    head = struct.pack("<IHH", board.boot_id, board.cause, status)
    return encode(Type.STREAM | 0x80, sequence, head + body)


def test_a_pattern_that_comes_back_changed_shows_a_bad_rate():
    device, board, port, _ = rig()

    def to_host(number, data):
        echo = len(data) > 500
        return flip(number, data) if echo and board.baud > 230400 else [(0.0, data)]

    port.to_host = to_host
    with device:
        assert device.negotiate_baud() == board.baud == 230400


def test_replies_that_come_twice_are_counted():
    device, _, port, _ = rig()
    with device:
        port.to_host = twice
        inputs = samples(4)
        check(list(device.stream(inputs)), inputs)
        device.hello()
        port.to_host = lambda n, data: [(0.0, data)]
        device.hello()
        report = device.link_report()
    assert report.pipeline.repeated_replies + report.late_replies == 4 + 1
    assert report.answered == 4  # HELLO three times and STATISTICS
    assert report.received.frames == 4 + report.answered + 5
