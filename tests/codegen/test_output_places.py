"""A wrong value and a wrong word are named by layer, channel and position."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from max78k.codegen.output_places import output_places, value_text, word_text
from max78k.errors import MismatchError
from max78k.flows.accelerator_runs import check_known_answer
from max78k.flows.synthesis import Compiled, compile_network
from max78k.network import Layer, Network, Operation


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    weights = np.random.default_rng(2).integers(-128, 128, (5, 3, 3, 3), dtype=np.int8)
    layers = (
        Layer("first", Operation.CONV2D, ("input",), weights, padding=1),
        Layer("last", Operation.CONV2D, ("first",), weights[:2, :1].repeat(5, axis=1)),
    )
    return compile_network(Network("two", (3, 6, 7), layers, ("first", "last")))


def test_values_are_counted_through_all_outputs(compiled: Compiled) -> None:
    places = output_places(compiled.network)
    text = {n: value_text(compiled.image, places, n) for n in (0, 41, 42 + 8, 5 * 42 + 20 + 7)}
    assert text == {
        0: "layer 0 (first), channel 0, row 0, column 0",
        41: "layer 0 (first), channel 0, row 5, column 6",
        50: "layer 0 (first), channel 1, row 1, column 1",
        237: "layer 1 (last), channel 1, row 1, column 2",
    }
    with pytest.raises(IndexError):
        value_text(compiled.image, places, 5 * 42 + 40)


def test_of_a_word_the_lowest_wrong_channel_is_named(compiled: Compiled) -> None:
    image, places = compiled.image, output_places(compiled.network)
    run = image.output_runs[1]
    address = run.address + 4 * run.step * 9
    lane = 0xFF << 8 * run.lane
    assert word_text(image, places, address, lane) == "layer 0 (first), channel 1, row 1, column 2"
    assert "channel 0" in word_text(image, places, address, 0xFFFFFFFF)
    assert word_text(image, places, address + 2, 0xFFFFFFFF) == ""
    assert word_text(image, places, 0x50000000, 0xFFFFFFFF) == ""


def test_the_check_before_writing_names_the_first_difference(compiled: Compiled) -> None:
    image, places = compiled.image, output_places(compiled.network)
    check_known_answer(image, places)
    wrong = image.expected_output.copy()
    wrong[[43, 100]] += 1
    with pytest.raises(MismatchError, match=r"2 of 250 .*layer 0 \(first\), channel 1, row 0, col"):
        check_known_answer(replace(image, expected_output=wrong), places)
