"""The accelerator under compiled firmware: FIFOs with back-pressure, findings with their place."""

from __future__ import annotations

import pytest
from board_support import board, finished

from max78k.simulator.findings import SimulatorError


def test_firmware_that_polls_the_fifo_gets_every_word_through() -> None:
    it = finished("fifo", "POLLING")
    assert it.word("done") == 1 and it.word("waited") > 0
    assert not any("lost" in finding.message for finding in it.findings)


def test_firmware_that_does_not_poll_the_fifo_loses_words_and_is_told() -> None:
    it = finished("fifo")
    assert it.word("done") == 0
    lost = [finding for finding in it.findings if "lost" in finding.message]
    assert len(lost) == 1
    assert (lost[0].code, lost[0].address) == ("E-BOARD-CNN", 0x5000_0008)
    assert lost[0].symbol.startswith("program+")
    assert lost[0].pc


def test_polling_is_as_exact_as_the_work_of_the_layer() -> None:
    it = board("fifo", "POLLING")
    spans: list[float] = []
    it._cnn.on_run = lambda layers: spans.append(it.now)
    it.run(1.0)
    begin, end = spans
    assert 0 < end - begin < 0.001  # what is left when the last word is in: the FIFO's content


def test_strict_makes_a_lost_word_an_error() -> None:
    with pytest.raises(SimulatorError, match="is lost: it is full"):
        finished("fifo", strict=True)


def test_reads_between_writes_are_no_polling_loop() -> None:
    it = finished("cnnpoll")
    # a write takes 28 cycles, a read 23, the loop itself a few; the timer counts every second
    assert 200 * (28 + 23) / 2 <= it.word("ticks") < 200 * (28 + 23 + 12) / 2


def test_what_shows_at_the_end_of_a_run_is_told_with_the_place_that_began_it() -> None:
    it = finished("cnnpoll")
    assert it.word("interrupts") == 1
    (finding,) = it.findings
    assert finding.code == "E-BOARD-CNN" and "undefined" in finding.message
    assert finding.symbol.startswith("begin_run")
