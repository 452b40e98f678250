"""The link over lines that drop, repeat, damage, split and delay what is said."""

from __future__ import annotations

import numpy as np
import pytest
from fake_device import network
from hypothesis import given, settings
from hypothesis import strategies as st
from link_rig import drop, flip, half, noise, rig, sample, twice

from max78k.errors import LinkError
from max78k.host.messages import Type


def split(number, data):
    return [(0.05 * n, data[n * 7 : n * 7 + 7]) for n in range(-(-len(data) // 7))]


def late(number, data):
    return [(0.45, data)]


DAMAGE = (drop, flip, twice, split, late, noise, half)


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_reply_is_repaired_and_carried_out_once(damage):
    def to_host(number, data):
        return damage(number, data) if number % 3 == 2 else [(0.0, data)]

    device, board, *_ = rig(to_host=to_host)
    with device:
        for _ in range(4):
            assert device.infer(sample(100)).scores.tolist() == network(sample(100).tobytes(), 10)
    assert board.log.count(Type.INFER) == 4


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_damaged_request_is_repaired_and_carried_out_once(damage):
    def to_board(number, data):
        return damage(number, data) if number % 3 == 2 else [(0.0, data)]

    device, board, *_ = rig(to_board=to_board)
    with device:
        for _ in range(4):
            assert device.infer(sample(100)).scores.tolist() == network(sample(100).tobytes(), 10)
    assert board.log.count(Type.INFER) == 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from((None, *DAMAGE)), max_size=60), st.booleans())
def test_no_sequence_of_damage_gives_a_wrong_or_doubled_result(script, outward):
    """Either the right scores, or an error with a code; never a second run of one request."""

    def fault(number, data):
        damage = script[number % len(script)] if script else None
        return damage(number, data) if damage else [(0.0, data)]

    device, board, *_ = rig(**{"to_board" if outward else "to_host": fault})
    answered = 0
    try:
        with device:
            for start in range(3):
                data = np.roll(sample(100), start)
                assert device.infer(data).scores.tolist() == network(data.tobytes(), 10)
                answered += 1
    except LinkError as error:
        assert error.code in ("E-LINK-SILENT", "E-LINK-GARBAGE", "E-LINK-FOREIGN")
    assert answered <= board.log.count(Type.INFER) <= answered + 1


def test_retries_carry_the_same_sequence_number_and_are_counted():
    seen = []

    def to_board(number, data):
        seen.append(data.strip(b"\0"))
        return [] if number in (2, 3) else [(0.0, data)]

    device, *_ = rig(to_board=to_board)
    with device:
        device.hello()
        assert device.retries == 2
    assert seen[1] == seen[2] == seen[3] != seen[0]
