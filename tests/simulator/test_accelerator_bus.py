"""Bus behaviour of the accelerator: power, widths, loading, control, and what it reports."""

from __future__ import annotations

import numpy as np
import pytest
from accelerator_program import (
    CCNT,
    EN,
    LCTL0,
    OUT_WORD,
    POST,
    QUADRANT,
    STEP,
    TPTR,
    WPTR,
    Board,
    Conv,
    data_address,
    kernel_address,
    run,
    values,
)

from max78k.simulator.accelerator import Accelerator

LAYER = Conv(values(1, 3, 6, 7), values(2, 5, 3, 3, 3), values(3, 5), pad=1, shift=-3)
BROAD = Conv(values(4, 20, 4, 4), values(5, 4, 20, 3, 3), pad=1, shift=-3)


def ready(layer: Conv = LAYER) -> Board:
    board = Board()
    board.setup(layer.quadrants)
    board.load(layer)
    return board


def finish(board: Board, layer: Conv = LAYER) -> str:
    """Start, complete; all findings in one text."""
    board.start(layer.quadrants)
    board.model.run()
    return "\n".join(board.findings)


def test_without_power_accesses_are_reported_once_and_have_no_effect() -> None:
    found: list[tuple[str, int]] = []
    model = Accelerator(lambda message, address: found.append((message, address)))
    model.write(QUADRANT + STEP, 8)
    assert model.read(QUADRANT + STEP) == 0
    assert found == [("access to quadrant 1, which has no power", QUADRANT + STEP)]
    model.set_power(2, 2, 0, 0)
    model.write(QUADRANT + STEP, 8)
    assert model.read(QUADRANT + STEP) == 8
    assert len(found) == 1


@pytest.mark.parametrize(
    ("masks", "text"),
    [
        ((0xE, 0xF, 0, 0), "quadrant 0, which has no power"),
        ((0xF, 0xF, 1, 0), "quadrant 0, which is isolated"),
        ((0xF, 0xF, 0, 1), "quadrant 0, which is held in reset"),
        ((0xF, 0xE, 0, 0), "data memory of quadrant 0 has no power"),
    ],
)
def test_each_power_state_that_blocks_an_access_is_named(
    masks: tuple[int, int, int, int], text: str
) -> None:
    board = Board()
    board.model.set_power(*masks)
    board.model.write(data_address(0, 0), 5)
    assert text in board.findings[0]


def test_weights_survive_a_power_cycle_with_ram_power_and_bias_does_not() -> None:
    board = ready()
    board.model.set_power(0, 0xF, 0xF, 0)
    board.model.set_power(0xF, 0xF, 0, 0)
    assert board.model.read(QUADRANT + 0x590) == 0
    board.setup([0])
    board.configure(LAYER.registers())
    text = finish(board)
    assert "the bias of output 0 was never loaded" in text
    assert "kernels" not in text


def test_weights_are_lost_with_ram_power() -> None:
    board = ready()
    board.model.set_power(0xF, 0, 0, 0)
    board.model.set_power(0xF, 0xF, 0, 0)
    text = finish(board)
    assert "the kernels of output 0 in processor 0 were never loaded" in text
    assert "undefined values" in text


def test_reset_clears_registers_and_ends_a_run() -> None:
    board = ready()
    board.start([0])
    assert board.model.busy
    board.model.set_power(0xF, 0xF, 0, 0xF)
    board.model.set_power(0xF, 0xF, 0, 0)
    assert not board.model.busy
    assert board.model.read(QUADRANT) == board.model.read(QUADRANT + LCTL0) == 0
    assert board.model.read(data_address(0, 0)) != 0


@pytest.mark.parametrize(
    ("address", "size"),
    [(data_address(0, 0) + 1, 1), (data_address(0, 0), 2), (kernel_address(0), 1), (QUADRANT, 1)],
)
def test_narrow_accesses_are_reported_and_dropped(address: int, size: int) -> None:
    board = ready()
    aligned = address & ~3
    before = board.model.read(aligned)
    board.model.write(address, 0x7F, size)
    assert board.model.read(aligned) == before
    board.model.read(address, size)
    assert board.findings[0].startswith(f"{size}-byte write")
    assert board.findings[1].startswith(f"{size}-byte read")


def test_the_column_pointer_is_taken_only_in_express_mode() -> None:
    board = Board()
    board.setup([0], control=8)
    board.model.write(kernel_address(2) + 4 * 9 + 1, 1, 1)
    assert board.findings[0].startswith("1-byte write")
    board.setup([0])
    board.model.write(kernel_address(2), 0)
    assert "without a column pointer" in board.findings[1]


def test_a_kernel_column_reads_back_whichever_way_it_was_loaded() -> None:
    board = Board()
    column = bytes(range(0x80, 0x89))
    board.setup([1])
    base = kernel_address(18)
    board.model.write(base + 4 * 700 + 1, 1, 1)
    for word in (0x8081_8283, 0x8485_8687, 0x88FF_FFFF):
        board.model.write(base, word)
    express = [board.model.read(base + 16 * 700 + 4 * n) for n in range(4)]
    board.setup([1], control=8)
    for n, part in enumerate((column[:1], column[1:5], column[5:], b"")):
        board.model.write(base + 16 * 701 + 4 * n, int.from_bytes(part, "big"))
    assert express == [board.model.read(base + 16 * 701 + 4 * n) for n in range(4)]
    assert express == [0x80, 0x8182_8384, 0x8586_8788, 0]
    assert board.findings == []


def test_a_plain_column_is_committed_by_its_last_word_alone() -> None:
    board = Board()
    board.setup([0], control=8)
    for n in range(3):
        board.model.write(kernel_address(0) + 4 * n, 0x11)
    board.model.read(kernel_address(0))
    assert board.findings == ["read of kernel memory of quadrant 0 that was never written"]


def test_columns_past_the_end_are_reported() -> None:
    board = Board()
    board.setup([0])
    board.model.write(kernel_address(0) + 4 * 767 + 1, 1, 1)
    for _ in range(5):
        board.model.write(kernel_address(0), 0)
    assert board.findings == ["processor 0 has no kernel column 768"]


def test_reading_a_word_that_nothing_wrote_is_reported() -> None:
    board = ready()
    board.model.read(data_address(0, OUT_WORD))
    assert board.findings == ["read of data memory of quadrant 0 that was never written"]
    finish(board)
    board.findings.clear()
    board.model.read(data_address(0, OUT_WORD))
    assert board.findings == []


def test_the_result_appears_at_the_end_of_the_run_and_not_before() -> None:
    board = ready()
    started: list[int] = []
    board.model.on_start = started.append
    board.model.write(data_address(0, OUT_WORD), 0xDEAD_BEEF)
    board.start([0])
    assert len(started) == 1 and board.model.busy and not board.model.interrupt
    assert board.model.read(data_address(0, OUT_WORD)) == 0xDEAD_BEEF
    board.model.complete()
    assert not board.model.busy and board.model.interrupt
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())


def test_the_interrupt_is_raised_in_every_started_quadrant_and_cleared_by_writing_zero() -> None:
    board = ready(BROAD)
    finish(board, BROAD)
    for q in range(4):
        assert board.model.read(QUADRANT + q * STEP) >> 12 & 1 == (q in BROAD.quadrants)
    for q in BROAD.quadrants:
        address = QUADRANT + q * STEP
        board.model.write(address, board.model.read(address) & ~0x1001)
    assert not board.model.interrupt
    board.model.write(QUADRANT, board.model.read(QUADRANT) | 0x1000)
    assert not board.model.interrupt


def test_a_second_run_needs_no_reloading() -> None:
    board = ready()
    assert finish(board) == ""
    board.model.write(QUADRANT, board.model.read(QUADRANT) & ~0x1001)
    board.model.write(data_address(0, OUT_WORD), 0)
    assert finish(board) == ""
    np.testing.assert_array_equal(board.output(LAYER), LAYER.expected())


def test_stopping_leaves_the_old_content() -> None:
    board = ready()
    board.model.write(data_address(0, OUT_WORD), 77)
    board.start([0])
    board.model.write(QUADRANT, board.model.read(QUADRANT) & ~1)
    board.model.complete()
    assert board.model.read(data_address(0, OUT_WORD)) == 77
    assert not board.model.interrupt


def test_the_self_test_reports_its_end_and_leaves_zeros() -> None:
    board = ready()
    board.model.write(QUADRANT + 0xC, 1)
    mask = 1 << 27 | 1 << 18
    assert board.model.read(QUADRANT + 0xC) & mask == mask
    assert board.model.read(QUADRANT + 0xC) & 1 << 14 == 0
    assert board.model.read(data_address(0, 0)) == board.model.read(data_address(15, 99)) == 0
    assert board.findings == []


def test_line_buffer_and_bias_keep_their_own_width() -> None:
    board = Board()
    board.model.write(QUADRANT + 0x1_4000, 0x1_2345)
    board.model.write(QUADRANT + 0x8004, 0x123)
    assert board.model.read(QUADRANT + 0x1_4000) == 0x2345
    assert board.model.read(QUADRANT + 0x8004) == 0x23


def test_addresses_without_anything_are_reported() -> None:
    board = Board()
    board.model.write(QUADRANT + 0x20_0000, 1)
    board.model.read(0x5000_2000)
    assert board.findings == [
        "the accelerator has nothing at 0x50300000",
        "the accelerator has nothing at 0x50002000",
    ]


FAULTS = {
    "clock": (lambda b: b.model.write(QUADRANT + STEP, 0), "is started without its clock"),
    "source": (
        lambda b: b.model.write(QUADRANT + LCTL0, 0x920),
        "quadrant 1 has processors enabled, but the master does not add its sums",
    ),
    "kernel enable": (
        lambda b: b.model.write(QUADRANT + EN, 0x7FFF_FFFF),
        "enables processors and kernels differently",
    ),
    "quadrants differ": (
        lambda b: b.model.write(QUADRANT + STEP + CCNT, 5),
        "CCNT of quadrant 1 differs from the master's",
    ),
    "line buffer": (lambda b: b.model.write(QUADRANT + TPTR, 9), "TPTR is 0x9"),
    "processor without a quadrant": (
        lambda b: b.model.write(QUADRANT + 2 * STEP + EN, 1),
        "quadrant 2 has processors enabled but is not started",
    ),
    "past the instance": (
        lambda b: [b.model.write(QUADRANT + q * STEP + 0x510, 8190) for q in (0, 1)],
        "past the end of data instance 0",
    ),
    "output past the instance": (
        lambda b: b.model.write(QUADRANT + WPTR, 8190),
        "writes past the end of data instance 0",
    ),
    "overwritten input": (
        lambda b: b.model.write(QUADRANT + WPTR, 12),
        "overwrites its own input before it is read",
    ),
    "bias": (lambda b: b.model.write(QUADRANT + POST, 0x2_7000), "the bias of output 0"),
    "nothing to compute": (
        lambda b: b.model.write(QUADRANT + CCNT, 0),
        "leave nothing to compute",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_configuration_is_reported(name: str) -> None:
    corrupt, text = FAULTS[name]
    board = ready(BROAD)
    corrupt(board)
    if name == "clock":
        board.model.write(QUADRANT + STEP, 1 | 0x800)
        board.model.write(QUADRANT, 9)
        board.model.run()
        assert text in "\n".join(board.findings)
    else:
        assert text in finish(board, BROAD)


def test_the_sound_configuration_is_not_reported() -> None:
    assert finish(ready(BROAD), BROAD) == ""
    output, _ = run(BROAD)
    np.testing.assert_array_equal(output, BROAD.expected())


def test_an_output_in_place_is_no_fault_where_reading_is_ahead_of_writing() -> None:
    layer = Conv(values(6, 4, 4, 4), values(7, 4, 4, 1, 1), shift=-2)
    board = ready(layer)
    board.model.write(QUADRANT + WPTR, 0)
    assert finish(board, layer) == ""


def test_a_fifo_that_is_not_enabled_takes_nothing() -> None:
    board = Board()
    board.model.write(0x5000_000C, 1)
    assert board.findings == ["word for FIFO 1, which is not enabled"]


@pytest.mark.parametrize("seed", range(8))
def test_nonsense_in_the_registers_never_ends_the_model(seed: int) -> None:
    random = np.random.default_rng(seed)
    board = ready(BROAD)
    for offset in random.choice(np.arange(0x10, 0xA90, 0x80), 3, replace=False).tolist():
        board.model.write(QUADRANT + offset, int(random.integers(0, 1 << 32)))
    finish(board, BROAD)
    assert board.model.interrupt
