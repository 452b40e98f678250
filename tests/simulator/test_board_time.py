"""Virtual time where the board takes short cuts: delay loops, polling, waiting for a condition."""

from __future__ import annotations

import time

import pytest
from board_support import board, finished

from max78k.simulator.clock import Clock
from max78k.simulator.delay_loops import DelayLoop, find_loop
from max78k.simulator.signals import Run, Signals, tell
from max78k.simulator.trace import Trace

NOP, BNE_BACK_1, BNE_BACK_2 = 0xBF00, 0xD1FD, 0xD1FC


def test_counting_down_takes_every_cycle_of_virtual_time_and_hardly_any_of_the_host():
    began = time.process_time()
    it = finished("delay", seconds=4.0)
    assert time.process_time() - began < 0.5  # 300 million instructions
    overhead = it.word("cycles", 1) - 3
    assert it.word("cycles", 0) - overhead == 300_000_000
    assert it.word("cycles", 2) - overhead == 3_000
    assert it.word("ticks") >= 30  # interrupts go on inside a delay
    assert it.word("cycles", 3) - overhead == pytest.approx(3_000_000, rel=0.001)


@pytest.mark.parametrize(
    ("code", "loop"),
    [
        ((0x3801, BNE_BACK_1), DelayLoop("R0", 1, 2)),
        ((0x1E5B, BNE_BACK_1), DelayLoop("R3", 1, 2)),
        ((NOP, 0x3A04, BNE_BACK_2), DelayLoop("R2", 4, 3)),
        ((0x3801, 0xD0FD), None),  # another condition
        ((0x3801, 0xD1FC), None),  # to another place
        ((0x3800, BNE_BACK_1), None),  # stands still
        ((0x1E4B, BNE_BACK_1), None),  # from another register
        ((0x3801, 0x3901, BNE_BACK_2), None),  # two counters
        ((0x6801, 0x3801, BNE_BACK_2), None),  # a load
        ((0x3801,), None),
    ],
)
def test_only_loops_that_do_nothing_else_are_delay_loops(code, loop):
    assert find_loop(code, 0) == loop


def test_polled_systick_delay_is_exact_and_quick():
    it = board("systickdelay")
    began = time.process_time()
    it.run(5.0, until=lambda: it.word("done") == 1)
    assert time.process_time() - began < 1.0
    assert it.word("ticks") == pytest.approx(100_000_000, rel=0.0005)  # 2 s at 50 MHz


def test_condition_is_asked_before_the_core_sleeps_on():
    it = board("delay")
    it.run(5.0, until=lambda: it.word("flag") == 1)
    slept_from = it.now
    assert it.asleep and it.next_event - slept_from > 0.09


def test_condition_is_asked_after_each_interrupt():
    it = board("delay")
    for expected in range(1, 5):
        it.run(5.0, until=lambda: it.word("ticks") == expected)  # noqa: B023
        if expected == 1:
            began = it.now
    assert it.now - began == pytest.approx(0.003, abs=2e-7)


def test_trace_names_layers_and_exceptions():
    lines: list[str] = []
    trace = Trace(frozenset({"irq", "layers"}), lines.append, lambda: ("main+0x2", 0.001), str)
    signals = Signals(Clock(1))
    trace.follow(signals)
    tell(signals.runs)(Run(((0, 20), (3, 5)), 1))
    tell(signals.runs)(None)
    tell(signals.exceptions)(15, True)
    tell(signals.exceptions)(16 + 101, False)
    texts = [line.split(" ms ")[1].split("  [")[0].split(None, 1)[1] for line in lines]
    assert texts == [
        "start, 25 cycles", "layer  0        20 cycles", "layer  3         5 cycles", "end",
        "enter SysTick", "leave IRQ 101",
    ]  # fmt: skip
    assert lines[0].startswith("    1.000000 ms") and lines[0].endswith("[main+0x2]")
    read = trace.reads(lambda address, size: 7)
    assert read(0, 4) == 7 and len(lines) == 6  # the bus is not traced
