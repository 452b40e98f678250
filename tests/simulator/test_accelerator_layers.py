"""Single layers, written to the registers by hand, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from accelerator_program import (
    CCNT,
    EN,
    LCTL0,
    LCTL1,
    MCNT,
    MOFFS,
    ONED,
    OUT_WORD,
    PCCNT,
    POST,
    PRCNT,
    QUADRANT,
    RCNT,
    RPTR,
    STRIDE,
    WPTR,
    Board,
    Conv,
    data_address,
    pooled_by_loops,
    run,
    values,
)

LAYERS = {
    "3x3": Conv(values(1, 3, 6, 7), values(2, 5, 3, 3, 3), pad=1, relu=True, shift=-3),
    "3x3 without padding": Conv(values(3, 4, 5, 5), values(4, 4, 4, 3, 3), shift=-4),
    "3x3 padded by 2": Conv(values(5, 2, 4, 6), values(6, 3, 2, 3, 3), pad=2, shift=-2),
    "1x1": Conv(values(7, 6, 4, 5), values(8, 9, 6, 1, 1), shift=-2),
    "bias": Conv(values(9, 3, 4, 4), values(10, 4, 3, 3, 3), values(11, 4), pad=1, shift=-3),
    "absolute value": Conv(values(12, 3, 4, 4), values(13, 4, 3, 3, 3), absolute=True, shift=-4),
    "shift left": Conv(values(14, 2, 3, 3, bits=3), values(15, 4, 2, 1, 1, bits=3), shift=4),
    "shift left past the unit": Conv(values(16, 2, 3, 3, bits=2), values(17, 4, 2, 1, 1), shift=9),
    "32-bit output": Conv(values(18, 5, 3, 4), values(19, 6, 5, 3, 3), pad=1, wide=True),
    "max pooling": Conv(
        values(20, 3, 8, 6), values(21, 4, 3, 3, 3), pad=1, pool=(2, 2), stride=2, shift=-3
    ),
    "average pooling": Conv(
        values(22, 3, 9, 7),
        values(23, 4, 3, 1, 1),
        pool=(3, 2),
        stride=2,
        average=True,
        wide=True,
    ),
    "decimation without pooling": Conv(
        values(24, 2, 9, 10), values(25, 3, 2, 3, 3), stride=2, shift=-3
    ),
    "4-bit weights": Conv(
        values(26, 3, 4, 5), values(27, 5, 3, 3, 3, bits=4), pad=1, bits=4, shift=1
    ),
    "2-bit weights": Conv(values(28, 6, 4, 4), values(29, 9, 6, 1, 1, bits=2), bits=2, shift=3),
    "1-bit weights": Conv(
        values(30, 5, 4, 4), values(31, 9, 5, 3, 3, bits=1), pad=1, bits=1, shift=3
    ),
    "several quadrants": Conv(values(32, 40, 3, 3), values(33, 6, 40, 3, 3), pad=1, shift=-5),
    "two input passes": Conv(values(34, 70, 3, 3), values(35, 6, 70, 3, 3), pad=1, shift=-5),
    "two output passes": Conv(values(36, 3, 4, 3), values(37, 70, 3, 3, 3), pad=1, shift=-3),
    "two passes in and out": Conv(values(38, 66, 2, 3), values(39, 70, 66, 1, 1), wide=True),
    "1-D": Conv(values(40, 6, 12, 1), values(41, 5, 6, 5, 1), pad=2, shift=-3),
    "1-D of length 9, pooled": Conv(
        values(42, 3, 30, 1), values(43, 4, 3, 9, 1), pool=(2, 1), stride=2, shift=-4
    ),
    "flatten": Conv(values(44, 5, 3, 4), values(45, 7, 5, 3, 4), flatten=True, wide=True),
    "flatten of more than 16 steps": Conv(
        values(46, 5, 5, 4), values(47, 7, 5, 5, 4), values(48, 7), flatten=True, shift=-3
    ),
    "transposed": Conv(
        values(49, 3, 4, 3), values(50, 4, 3, 3, 3), pad=1, transposed=True, shift=-3
    ),
    "CHW input": Conv(values(51, 3, 5, 5), values(52, 4, 3, 3, 3), pad=1, big_data=True, shift=-3),
    "gap between output words": Conv(
        values(53, 3, 4, 4), values(54, 6, 3, 3, 3), pad=1, gap=1, shift=-3
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_what_plain_loops_compute(name: str) -> None:
    layer = LAYERS[name]
    output, board = run(layer)
    np.testing.assert_array_equal(output, layer.expected())
    assert len(np.unique(output)) > 3  # not saturated into triviality
    assert board.findings == []


@pytest.mark.parametrize("name", ["3x3", "1x1", "4-bit weights", "1-D", "two input passes"])
def test_both_ways_of_loading_kernels_are_equal(name: str) -> None:
    layer = LAYERS[name]
    express, _ = run(layer)
    plain, board = run(layer, express=False)
    np.testing.assert_array_equal(express, plain)
    assert board.findings == []


def test_average_pooling_rounds_half_away_from_zero_when_told_to() -> None:
    layer = LAYERS["average pooling"]
    x = pooled_by_loops(layer.x, layer.pool, layer.stride, average=True, rounding=True)
    expected = np.einsum("chw,mc->mhw", x, layer.weights[:, :, 0, 0])
    output, _ = run(layer, extra_control=1 << 13)
    np.testing.assert_array_equal(output, expected)
    assert (output != run(layer)[0]).any()


def test_large_sums_are_exact() -> None:
    x, weights = np.full((64, 3, 3), -128), np.full((4, 64, 3, 3), -128)
    x[0, 1, 1], weights[0, 0, 1, 1] = 127, 127
    layer = Conv(x, weights, pad=1, wide=True)
    output, _ = run(layer)
    assert output[0, 1, 1] == 575 * 128 * 128 + 127 * 127
    np.testing.assert_array_equal(output, layer.expected())


PASS_THROUGH = 3 << 24  # POST of a layer without kernels and with one operand


def run_pass_through(
    x: np.ndarray, operands: int, registers: dict[int, int]
) -> tuple[np.ndarray, Board]:
    """``x`` is (operands, channels up to 4, rows, columns), words of an operand interleaved."""
    board = Board()
    board.setup([0])
    _, channels, rows, columns = x.shape
    for pixel in range(rows * columns):
        for o in range(operands):
            column = x[o].reshape(channels, -1)[:, pixel]
            word = sum((int(v) & 0xFF) << (8 * lane) for lane, v in enumerate(column))
            board.model.write(data_address(0, pixel * operands + o), word)
    words = {
        RCNT: rows - 1,
        CCNT: columns - 1,
        WPTR: OUT_WORD,
        0x390: 0x800,
        LCTL0: 0x920,
        EN: (1 << channels) - 1,
        POST: PASS_THROUGH if operands == 1 else 1 << 24,
        ONED: 1 << 8,
    }
    board.configure({0: words | registers})
    board.start([0])
    board.model.run()
    pool_rows, pool_columns = (registers.get(r, 0) + 1 for r in (PRCNT, PCCNT))
    stride = registers.get(STRIDE, 0) + 1
    shape = ((rows + stride - pool_rows) // stride, (columns + stride - pool_columns) // stride)
    found = [board.model.read(data_address(0, OUT_WORD + n)) for n in range(shape[0] * shape[1])]
    lanes = np.array(found, np.uint32).view(np.int8).reshape(-1, 4)[:, :channels]
    return lanes.T.reshape(channels, *shape).astype(np.int64), board


def test_a_pass_through_layer_pools() -> None:
    x = values(60, 1, 4, 9, 6)
    registers = {PRCNT: 4, PCCNT: 2, STRIDE: 2, LCTL0: 0x820 | 1 << 7}
    output, board = run_pass_through(x, 1, registers)
    np.testing.assert_array_equal(output, pooled_by_loops(x[0], (5, 3), 3, average=True))
    assert board.findings == []


@pytest.mark.parametrize("operands", [2, 5, 16])
@pytest.mark.parametrize("function", [0, 1, 2, 3])
def test_elementwise_operands_combine_in_order(function: int, operands: int) -> None:
    x = values(61, operands, 3, 4, 3)
    oned = 1 << 13 | function << 14 | (operands - 1) << 18
    output, board = run_pass_through(x, operands, {ONED: oned})
    expected = x[0].copy()
    for operand in x[1:]:
        expected = {
            0: expected - operand,
            1: expected + operand,
            2: expected | operand,
            3: expected ^ operand,
        }[function]
    np.testing.assert_array_equal(output, np.clip(expected, -128, 127))
    assert board.findings == []


def test_the_order_of_pooling_and_elementwise_matters() -> None:
    x = values(62, 2, 4, 4, 4)
    oned = 1 << 13 | 1 << 14 | 1 << 18
    pool = {PRCNT: 1, PCCNT: 1, STRIDE: 1, LCTL0: 0x9A0}
    pooled = [pooled_by_loops(operand, (2, 2), 2, average=False) for operand in x]
    first, _ = run_pass_through(x, 2, pool | {ONED: oned | 1 << 16})
    np.testing.assert_array_equal(first, np.clip(pooled[0] + pooled[1], -128, 127))
    last, _ = run_pass_through(x, 2, pool | {ONED: oned})
    total = np.clip(x[0] + x[1], -128, 127)
    np.testing.assert_array_equal(last, pooled_by_loops(total, (2, 2), 2, average=False))


def test_fifo_words_are_the_first_layers_input() -> None:
    layer = LAYERS["3x3"]
    expected, _ = run(layer)
    board = Board()
    starts: list[int] = []
    board.model.on_start = starts.append
    board.setup([0], control=0x10_8008)
    board.load(layer)
    pixels = layer.x.shape[1] * layer.x.shape[2]
    words = [board.model.read(data_address(0, n)) for n in range(pixels)]
    for n in range(pixels):
        board.model.write(data_address(0, n), 0)
    board.configure({0: {0x810: pixels, 0x990: pixels}})
    board.model.write(0x5000_0000, 0x1908)
    board.start([0], control=0x10_8808)
    for word in words:
        assert board.model.busy and not starts
        board.model.write(0x5000_0008, word)
    assert len(starts) == 1
    board.model.complete()
    np.testing.assert_array_equal(board.output(layer), expected)
    assert board.findings == []


def mutated(layer: Conv, change: dict[int, int], quadrant: int = 0) -> np.ndarray:
    """Output with bits of registers flipped: {offset: bits}."""
    board = Board()
    board.setup(layer.quadrants)
    board.load(layer)
    for offset, bits in change.items():
        address = QUADRANT + quadrant * 0x40_0000 + offset
        board.model.write(address, board.model.read(address) ^ bits)
    board.start(layer.quadrants)
    board.model.run()
    return board.output(layer)


EFFECTIVE = {
    "row count": ("3x3", {RCNT: 1}),
    "row padding": ("3x3", {RCNT: 1 << 16}),
    "column count": ("3x3", {CCNT: 1}),
    "column padding": ("3x3", {CCNT: 1 << 16}),
    "kernel kind": ("3x3", {ONED: 1 << 8}),
    "kernel byte start": ("1x1", {ONED: 1 << 4}),
    "1-D length": ("1-D", {ONED: 1 << 8}),
    "pool rows": ("max pooling", {PRCNT: 2}),
    "pool columns": ("max pooling", {PCCNT: 2}),
    "pool enable": ("max pooling", {LCTL0: 1 << 7}),
    "pool kind": ("max pooling", {LCTL0: 1 << 8}),
    "stride": ("max pooling", {STRIDE: 1}),
    "write pointer": ("3x3", {WPTR: 8}),
    "write instance": ("3x3", {WPTR: 1 << 13}),
    "instance step": ("3x3", {MOFFS: 0x2000}),
    "pass step": ("two output passes", {0x490: 1}),
    "read pointer": ("3x3", {RPTR: 1}),
    "CHW": ("3x3", {LCTL0: 1 << 6}),
    "ReLU": ("3x3", {LCTL0: 1 << 9}),
    "sources": ("several quadrants", {LCTL0: 1 << 14}),
    "32 bits": ("3x3", {LCTL0: 1 << 16}),
    "kernel start": ("3x3", {MCNT: 8 << 16}),
    "kernel end": ("3x3", {MCNT: 32}),
    "input passes": ("two input passes", {LCTL1: 1}),
    "output step": ("3x3", {LCTL1: 1 << 4}),
    "last slot": ("two output passes", {LCTL1: 1 << 12}),
    "processors": ("3x3", {EN: 2}),
    "bias start": ("bias", {POST: 1}),
    "bias enable": ("bias", {POST: 1 << 12}),
    "shift": ("3x3", {POST: 1 << 13}),
    "shift direction": ("3x3", {POST: 1 << 17}),
    "flatten steps": ("flatten of more than 16 steps", {POST: 1 << 18}),
    "weight width": ("3x3", {POST: 3 << 22}),
    "absolute value": ("absolute value", {POST: 1 << 26}),
    "flatten": ("flatten of more than 16 steps", {POST: 1 << 27}),
    "transposed": ("transposed", {POST: 1 << 28}),
}


@pytest.mark.parametrize("name", EFFECTIVE)
def test_a_flipped_register_bit_changes_the_output(name: str) -> None:
    layer_name, change = EFFECTIVE[name]
    layer = LAYERS[layer_name]
    assert (mutated(layer, change) != layer.expected()).any()
    np.testing.assert_array_equal(mutated(layer, {}), layer.expected())


@pytest.mark.parametrize("name", ["32-bit output", "4-bit weights", "flatten"])
def test_one_weight_bit_and_one_input_bit_change_the_output(name: str) -> None:
    layer = LAYERS[name]
    for corrupt in (
        lambda board: board.model.write(
            data_address(0, 5), board.model.read(data_address(0, 5)) ^ 0x40
        ),
        lambda board: board.load_columns(
            1, [bytes([layer.columns(1)[0][0] ^ 1]) + layer.columns(1)[0][1:]]
        ),
    ):
        board = Board()
        board.setup([0])
        board.load(layer)
        corrupt(board)
        board.start([0])
        board.model.run()
        assert (board.output(layer) != layer.expected()).any()


def test_the_cycles_of_a_layer_follow_the_published_formula() -> None:
    layer = Conv(values(70, 3, 8, 8), values(71, 4, 3, 3, 3), pad=1)
    # One pass, one operand: padding costs 2 cycles a column, data 2. Input line with padding:
    # 2 * 1 * 3 + 8 * 3 = 30, twice before the first output; 8 lines of 22 + 4 * 8; start 1.
    board = Board()
    starts: list[int] = []
    board.model.on_start = starts.append
    board.setup([0])
    board.load(layer)
    board.start([0])
    assert starts == [1 + 30 + 30 + 8 * (22 + 32)]
    assert board.model.run() == starts[0]
