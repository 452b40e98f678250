"""Requests over the link against a fake board: who it is, input, inference, restart, report."""

from __future__ import annotations

import numpy as np
import pytest
from fake_device import FakeBoard, network
from link_rig import failure, rig, sample

from max78k.errors import InputError
from max78k.host.messages import ResetCause, Type
from max78k.host.replies import SelfTest, ticks_to_us


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


@pytest.mark.parametrize("count", [0, 1, 4, 5, 17])
def test_csi_packets_arrive_whole_however_many_there_are(count):
    device, board, *_ = rig(FakeBoard(max_payload=64))
    packets = sample(count * 14).reshape(count, 14)[:, ::-1]
    with device:
        device.collect_csi(14, [1, 2], 256)
        device.send_csi(packets)
    assert board._packets == packets.tobytes()
    assert board.log.count(Type.CSI_PACKETS) == -(-count // 4)


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        (np.zeros((2, 7), np.int8), r"\[2, 7\]"),
        (bytes(15), r"\[15\]"),
        (np.zeros((1, 14)), "'d'"),
        ([[0] * 14], "list"),
    ],
)
def test_csi_packets_of_wrong_size_or_type_are_refused_before_anything_is_sent(packets, words):
    device, board, *_ = rig()
    with device:
        device.collect_csi(14, [1, 2], 256)
        with pytest.raises(InputError, match=f"E-LINK-INPUT.*{words}"):
            device.send_csi(packets)
    assert Type.CSI_PACKETS not in board.log


def test_csi_packets_need_a_board_that_knows_their_size_and_frames_that_hold_one():
    device, board, *_ = rig(FakeBoard(max_payload=64))
    with device:
        with pytest.raises(InputError, match=r"E-LINK-INPUT.*collect_csi"):
            device.send_csi(np.zeros((1, 14), np.int8))
        with pytest.raises(InputError, match=r"E-LINK-INPUT.*128 bytes.*64"):
            device.collect_csi(128, [1, 2], 256)
    assert {Type.CSI_SETUP, Type.CSI_PACKETS}.isdisjoint(board.log)


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


def test_counters_wrap_at_32_bits():
    assert ticks_to_us(50, 50_000_000) == 1.0
    begin, end = 0xFFFF_FF00, 0x0000_0100
    assert ticks_to_us(end - begin, 1_000_000) == 512.0


def test_a_report_does_not_change_when_the_session_goes_on():
    device, *_ = rig()
    with device:
        report = device.link_report()
        before = report.to_json()
        device.infer(sample(100))
    assert report.to_json() == before
