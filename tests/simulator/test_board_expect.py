"""When a run ends by itself."""

from __future__ import annotations

import threading
import time

import pytest
from board_support import board

from max78k.errors import InputError, LinkError, MismatchError
from max78k.simulator.expect import End, Expectation
from max78k.simulator.serve import serve


def ends(until: str, *pieces: bytes, fail_on: str = "") -> list[bool]:
    """Whether the run has ended after each piece of text."""
    expectation = Expectation(End(until, fail_on))
    return [expectation.met(piece) for piece in pieces]


def test_patterns_are_found_across_pieces_and_lines():
    assert ends("PASS", b"no", b"PA", b"SS") == [False, False, True]
    assert ends(r"^\d+ tests, 0 failed$", b"12 tests, 0 failed", b"\r\n") == [False, True]
    assert ends("^PASS$", b"PASSED\n", b"x PASS\n", b"PASS\r\n") == [False, False, True]
    assert ends("(?i)done|ok", b"all OK") == [True]
    assert ends("größer", "grö".encode()[:3], "grö".encode()[3:], "ßer".encode())[-1]
    assert ends("", b"anything") == [False]


def test_what_lies_far_back_is_forgotten_but_no_line_is_cut():
    expectation = Expectation(End("^end of test$"))
    for _ in range(1000):
        assert not expectation.met(b"x end of test and more text\n")
    assert expectation.met(b"end of test\n")


def test_the_text_that_begins_first_counts():
    assert ends("PASS", b"PASS then FAIL", fail_on="FAIL") == [True]
    with pytest.raises(MismatchError, match="printed 'FAIL 3'"):
        ends("PASS", b"FAIL 3 then PASS", fail_on=r"FAIL \d+")


def test_what_is_no_pattern_is_refused():
    for wrong in ("(", "[", "*"):
        with pytest.raises(InputError, match="E-BOARD-PATTERN"):
            End(until=wrong)


def test_a_step_of_the_model_that_never_ends_is_given_up():
    it = board("cnnrun", "DIVIDER=4")

    def for_ever() -> None:
        while True:
            time.sleep(0.01)

    it._cnn.accelerator.complete = for_ever
    began = time.monotonic()
    with pytest.raises(LinkError, match=r"E-BOARD-TIMEOUT.*0\.3 s are over"):
        serve(it, port=None, end=End(until="PASS", timeout=0.3))
    assert time.monotonic() - began < 5
    other = board("cnnrun", "DIVIDER=4")
    other._cnn.accelerator.complete = for_ever
    serve(other, port=None, end=End(timeout=0.3))  # nothing was asked for: it ends well


def test_a_board_is_served_outside_the_main_thread_too():
    it, seen = board("hello", "VERDICT=PASS"), []
    thread = threading.Thread(
        target=lambda: serve(it, port=None, end=End("PASS", timeout=30), console=seen.append)
    )
    thread.start()
    thread.join(30)
    assert b"PASS" in b"".join(seen)
