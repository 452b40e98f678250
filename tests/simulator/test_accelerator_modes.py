"""Modes of a run: held and continued, layer by layer, from FIFOs; the byte transposer; XOR."""

from __future__ import annotations

import numpy as np
import pytest
from accelerator_program import (
    LCTL1,
    OUT_WORD,
    QUADRANT,
    STEP,
    WPTR,
    Board,
    Conv,
    data_address,
    values,
)

LAYER = Conv(values(1, 3, 6, 7), values(2, 5, 3, 3, 3), values(3, 5), pad=1, shift=-3)
PIXELS = LAYER.x.shape[1] * LAYER.x.shape[2]
FULL = 0x5000_0004


class Timed(Board):
    """A board whose CNN clock a test moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.cycle = 0
        self.starts: list[int] = []
        self.holds = 0
        self.model.runs.now = lambda: self.cycle
        self.model.on_start = self.starts.append
        self.model.runs.on_hold = self._held

    def _held(self) -> None:
        self.holds += 1

    def change(self, clear: int = 0, set_: int = 0) -> None:
        """Software's read-modify-write of the master's CTL."""
        self.model.write(QUADRANT, self.model.read(QUADRANT) & ~clear | set_)


def started() -> Timed:
    board = Timed()
    board.setup([0])
    board.load(LAYER)
    board.start([0])
    return board


def test_a_held_run_takes_the_time_that_was_left_and_ends_with_the_right_result() -> None:
    board = started()
    board.cycle = 100
    board.change(clear=1)
    board.model.complete()
    assert board.holds == 1 and board.model.busy and not board.model.interrupt
    board.cycle = 5000
    board.change(set_=1)
    assert board.starts == [board.starts[0], board.starts[0] - 100]
    board.model.complete()
    assert board.model.interrupt
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())


def test_a_start_sequence_after_a_hold_begins_anew() -> None:
    board = started()
    board.cycle = 100
    board.change(clear=1)
    board.start([0])
    assert board.starts[1] == board.starts[0]
    assert board.findings == []


def test_layer_by_layer_each_start_runs_the_next_layer() -> None:
    board = Timed()
    control = 0x10_0108
    board.setup([0], last_layer=1, control=control)
    board.load(LAYER)
    board.configure(LAYER.registers(), 1)
    board.model.write(QUADRANT + WPTR + 4, OUT_WORD + 0x400)
    second = data_address(0, OUT_WORD + 0x400)
    board.start([0], control)
    board.model.complete()
    assert board.model.interrupt and not board.model.read(QUADRANT) & 1
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())
    first_word = board.model.read(data_address(0, OUT_WORD))
    assert board.model.read(second) != first_word
    board.change(clear=1 << 12, set_=1)
    board.model.complete()
    assert board.model.read(second) == first_word
    assert board.starts[0] == board.starts[1] + 1  # the start itself takes a cycle, once
    board.change(clear=1 << 12, set_=1)
    assert board.starts[2] == board.starts[0]  # begins again at the first layer


def test_one_bit_weights_invert_in_exclusive_or_mode() -> None:
    layer = Conv(values(8, 5, 5, 4), values(9, 6, 5, 3, 3, bits=1), pad=1, bits=1, wide=True)
    control = 0x30_0008
    board = Board()
    board.setup([0], control=control)
    board.load(layer)
    board.start([0], control)
    board.model.run()
    padded = np.pad(layer.x, ((0, 0), (1, 1), (1, 1)))
    expected = np.zeros((6, 5, 4), np.int64)
    for m, r, c in np.ndindex(6, 5, 4):
        expected[m, r, c] = (padded[:, r : r + 3, c : c + 3] ^ layer.weights[m]).sum()
    np.testing.assert_array_equal(board.output(layer), expected)
    assert board.findings == []


def test_exclusive_or_mode_leaves_wider_weights_alone() -> None:
    board = Board()
    board.setup([0], control=0x30_0008)
    board.load(LAYER)
    board.start([0], 0x30_0008)
    board.model.run()
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())


def transposed(board: Board, lane: int, count: int, start: int, step: int = 1) -> list[int]:
    """Bytes of a lane through the transposer, as software reads them."""
    board.model.write(QUADRANT + WPTR, start)
    board.model.write(QUADRANT + LCTL1, step - 1)
    board.model.write(QUADRANT, 1 << 16 | lane << 17 | 1 << 3)
    board.model.read(QUADRANT + 0x1000)
    words = [board.model.read(QUADRANT + 0x1000) for _ in range(count // 4)]
    board.model.write(QUADRANT, 1 << 3)
    return list(np.array(words, "<u4").tobytes())


@pytest.mark.parametrize(("instance", "lane"), [(0, 0), (0, 2), (5, 3)])
def test_the_byte_transposer_collects_a_lane(instance: int, lane: int) -> None:
    board = Board()
    board.setup([0])
    for word in range(16):
        board.model.write(data_address(4 * instance, 0x20 + word), word * 0x01010101 + 0x30201000)
    start = instance << 13 | 0x20
    assert transposed(board, lane, 8, start) == [16 * lane + n for n in range(8)]
    assert transposed(board, lane, 8, start, 2) == [16 * lane + 2 * n for n in range(8)]
    assert board.findings == []


def test_the_byte_transposer_reports_misuse() -> None:
    board = Board()
    board.setup([0])
    board.model.read(QUADRANT + 0x1000)
    transposed(board, 0, 4, 0)
    assert board.findings == [
        "read through the byte transposer, which is not switched on",
        "the byte transposer reads data that was never written",
    ]


def fed(control: int = 0x10_8008, fifo: int = 0x5000_0008) -> tuple[Timed, list[int], int]:
    """A board that waits for its input, the input words and the port to write them to."""
    board = Timed()
    board.setup([0], control=control)
    board.load(LAYER)
    words = [board.model.read(data_address(0, n)) for n in range(PIXELS)]
    for n in range(PIXELS):
        board.model.write(data_address(0, n), 0)
    board.configure({0: {0x810: PIXELS, 0x990: PIXELS}})
    board.model.write(0x5000_0000, 0x1908)
    board.start([0], control=control | 0x800)
    return board, words, fifo


def test_a_full_fifo_says_so_and_loses_what_is_written() -> None:
    board, words, port = fed()
    for number, word in enumerate(words[:17]):  # one has been taken at once
        assert board.model.read(FULL) == 0, number
        board.model.write(port, word)
    assert board.model.read(FULL) == 1
    assert board.findings == []
    board.model.write(port, 99)
    assert board.findings == ["a word for FIFO 0 is lost: it is full"]
    board.cycle += 1
    assert board.model.read(FULL) == 0
    for word in words[17:]:
        while board.model.read(FULL):
            board.cycle += 1
        board.model.write(port, word)
    assert len(board.starts) == 1
    board.model.complete()
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())


def test_the_run_ends_its_own_time_after_the_last_word() -> None:
    direct = started().starts[0]
    board, words, port = fed()
    for word in words:
        board.cycle += 10
        board.model.write(port, word)
    assert board.starts == [direct]


def test_the_fast_fifo_has_its_own_enable_and_status() -> None:
    board, words, _ = fed()
    board.model.write(0x400C_0410, words[0])
    assert board.findings == ["word for the fast FIFO, which is not enabled"]
    board, words, _ = fed(control=0x10_8008 | 1 << 22)
    for word in words:
        while board.model.read(0x400C_0404) & 2:
            board.cycle += 1
        board.model.write(0x400C_0410, word)
    assert board.cycle > 0
    board.model.complete()
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())
    assert board.findings == []


def test_a_fed_run_without_processors_waits_for_nothing() -> None:
    board = Timed()
    board.setup([0], control=0x10_8008)
    board.configure({0: {0x990: PIXELS}})
    board.start([0], control=0x10_8808)
    assert len(board.starts) == 1
    board.model.complete()
    assert board.model.interrupt
    assert "layer 0: no processor is enabled" in board.findings


def test_a_streaming_layer_takes_words_at_the_pace_of_its_work() -> None:
    board = Timed()
    control = 0x18_C008
    board.setup([0], control=control)
    board.load(LAYER)
    board.configure({0: {0x810: 1, 0x910: 2, 0x990: PIXELS}})
    board.model.write(0x5000_0000, 0x1908)
    board.start([0], control=control | 0x800)
    written = 0
    while not board.starts:
        while board.model.read(FULL):
            board.cycle += 1
        board.model.write(0x5000_0008, 0)
        written += 1
    assert written == PIXELS
    streaming = (started().starts[0] - 1) * 3 // 2
    # It began with the first word; all but the last 16 have been taken, each at its pace.
    assert board.cycle == pytest.approx(streaming * (PIXELS - 17) / PIXELS, rel=0.05)
    assert board.cycle + board.starts[0] == pytest.approx(streaming, rel=0.05)


def test_a_quadrant_of_its_own_is_no_part_of_the_run() -> None:
    board = started()
    board.model.write(QUADRANT + STEP, 0x10_0009)
    assert "independent runs are not modelled" in board.findings[0]
