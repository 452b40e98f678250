"""What the accelerator passes over in silence on silicon, each provoked here and told once."""

from __future__ import annotations

import numpy as np
from accelerator_program import (
    EN,
    LCTL1,
    OUT_WORD,
    QUADRANT,
    RPTR,
    WPTR,
    Board,
    Conv,
    data_address,
    kernel_address,
    values,
)

LAYER = Conv(values(1, 4, 6, 7), values(2, 4, 4, 3, 3), pad=1, shift=-3)
PIXELS = LAYER.x.shape[1] * LAYER.x.shape[2]


def ready(layer: Conv = LAYER, last_layer: int = 0, control: int = 0x10_0008) -> Board:
    board = Board()
    board.setup(layer.quadrants, last_layer, control)
    board.load(layer)
    return board


def finish(board: Board, times: int = 1) -> list[str]:
    for _ in range(times):
        board.start([0])
        board.model.run()
    return board.findings


def two_layers(second: dict[int, int]) -> Board:
    """The same layer twice, the second with some registers of its own."""
    board = ready(last_layer=1)
    board.configure(LAYER.registers(), 1)
    board.configure({0: second}, 1)
    return board


def test_a_result_that_the_next_layer_reads_may_be_overwritten() -> None:
    board = two_layers({RPTR: OUT_WORD, WPTR: OUT_WORD + 0x400})
    assert finish(board) == []


def test_a_result_that_nothing_has_read_is_told_when_it_is_overwritten() -> None:
    board = two_layers({WPTR: OUT_WORD + PIXELS - 1})
    text = "layer 1 overwrites results of layer 0 that no layer has read"
    assert finish(board, times=2) == [text]
    assert finish(two_layers({WPTR: OUT_WORD + PIXELS})) == []


def test_every_lane_of_a_wide_result_counts_when_it_falls_on_the_input() -> None:
    layer = Conv(values(3, 4, 2, 2), values(4, 4, 4, 1, 1), wide=True)
    board = ready(layer)
    board.model.write(QUADRANT + RPTR, 3)
    for pixel in range(4):  # of four words the output of the first pixel takes the last
        board.model.write(data_address(0, 3 + pixel), pixel)
    board.model.write(QUADRANT + WPTR, 1)
    assert finish(board) == ["layer 0 overwrites its own input before it is read"]


def test_kernel_memory_that_is_powered_down_takes_and_gives_nothing() -> None:
    board = ready()
    board.model.write(0x5000_1000, 1 << 12)
    assert board.model.read(kernel_address(0)) == 0
    board.model.write(kernel_address(0), 1)
    assert board.findings == ["kernel memory of quadrant 0 has no power"]
    board.model.write(0x5000_1000, 0)
    assert "were never loaded" in finish(board)[-1]


def test_an_interrupt_that_is_not_acknowledged_is_told_at_the_next_start() -> None:
    board = ready()
    finish(board)
    control = board.model.read(QUADRANT)
    board.model.write(QUADRANT, control & ~1)
    board.model.write(QUADRANT, control | 1)
    assert board.findings == ["quadrant 0 is started with its last interrupt not acknowledged"]


def test_a_start_without_an_end_is_told() -> None:
    board = ready()
    finish(board)
    control = board.model.read(QUADRANT)
    board.model.write(QUADRANT, control & ~0x1000)
    assert board.findings == []
    board.model.write(QUADRANT, control)
    assert board.findings == ["EN of quadrant 0 was never cleared, so that nothing starts"]
    assert not board.model.busy


def test_a_kernel_entry_is_told_only_if_it_is_enabled() -> None:
    board = ready()
    board.model.write(QUADRANT + EN, 0x1F_001F)
    for word in range(PIXELS):
        board.model.write(data_address(4, word), 0)
    assert finish(board) == [
        "layer 0: the kernels of output 0 in processor 4 were never loaded or do not exist"
    ]


def streams(first: int, second: int, output: int, rollover: int = 10) -> list[str]:
    """Two streaming layers with their buffers and the output at these words of instance 0."""
    board = ready(last_layer=1, control=0x18_C008)
    board.configure(LAYER.registers(), 1)
    shared = {0x810: 1, 0x910: rollover, 0x990: PIXELS}
    board.configure({0: shared | {RPTR: first, WPTR: second}})
    board.configure({0: {0x910: rollover, RPTR: second, WPTR: output}}, 1)
    board.model.write(0x5000_0000, 0x1908)
    board.start([0], 0x18_C808)
    return [text for text in board.findings if "stream buffer" in text]


def test_stream_buffers_keep_apart() -> None:
    assert streams(0, 10, 20) == []
    assert streams(0, 9, 100) == ["layer 1: the stream buffer overlaps that of layer 0"]
    assert streams(0, 10, 19) == ["layer 1: the output overwrites the stream buffer of layer 1"]
    assert streams(0, 8190, 20) == ["layer 1: the stream buffer runs past its data instance"]


def test_nothing_is_told_twice() -> None:
    board = ready()
    board.model.write(QUADRANT + LCTL1, board.model.read(QUADRANT + LCTL1) & ~0xFF00)
    board.model.write(QUADRANT + WPTR, 12)
    finish(board, times=3)
    assert len(board.findings) == len(set(board.findings)) > 0


def test_the_results_of_these_programs_are_right_without_the_mistakes() -> None:
    board = ready()
    assert finish(board, times=2) == []
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())
