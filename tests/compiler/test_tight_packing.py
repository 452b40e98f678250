"""Memories that can be filled to the last word are."""

from __future__ import annotations

import random

import pytest

from max78k.chip import limits
from max78k.compiler.spaces import Block, Columns, Entries, pack_bias, pack_columns, pack_data
from max78k.compiler.tight import pack_tightly

Rectangle = tuple[int, int, int, int]  # from and to across, from and to upwards


def cut(seed: int, count: int, width: int, height: int, unit: int = 1) -> list[Rectangle]:
    """A full memory, cut into ``count`` pieces: across into times or processors, or upwards."""
    dice = random.Random(seed)
    pieces = [(0, width, 0, height)]
    while len(pieces) < count:
        left, right, low, high = pieces.pop(dice.randrange(len(pieces)))
        units = (high - low) // unit
        if right - left > 1 and dice.random() < 0.5:
            at = dice.randrange(left + 1, right)
            pieces += [(left, at, low, high), (at, right, low, high)]
        elif units > 1:
            at = low + unit * dice.randrange(1, units)
            pieces += [(left, right, low, at), (left, right, at, high)]
        else:
            pieces.append((left, right, low, high))
    dice.shuffle(pieces)
    return pieces


@pytest.mark.parametrize("seed", range(30))
def test_data_that_just_fit_are_placed(seed: int) -> None:
    pieces = cut(seed, 16, 20, limits.INSTANCE_WORDS)
    blocks = [Block(high - low, ((1, left, right - 1),)) for left, right, low, high in pieces]
    together = [[n for n in range(16) if n != m] for m in range(16)]
    starts, end = pack_data(blocks, together, {}, exact=True)
    assert end == limits.INSTANCE_WORDS
    for n, one in enumerate(blocks):
        for m in range(n):
            apart = starts[n] + one.words <= starts[m] or starts[m] + blocks[m].words <= starts[n]
            assert apart or not one.meets(blocks[m])


@pytest.mark.parametrize("seed", range(30))
def test_kernels_that_just_fit_are_placed(seed: int) -> None:
    pieces = cut(seed, 24, limits.PROCESSORS, limits.KERNEL_COLUMNS, limits.KERNEL_ALIGNMENT)
    items = [
        Columns(str(n), (1 << right) - (1 << left), high - low, n)
        for n, (left, right, low, high) in enumerate(pieces)
    ]
    columns, end = pack_columns(items, {}, exact=True)
    assert end == limits.KERNEL_COLUMNS
    used: set[tuple[int, int]] = set()
    for item in items:
        assert columns[item.name] % limits.KERNEL_ALIGNMENT == 0
        rows = range(columns[item.name], columns[item.name] + item.count)
        own = {(p, c) for p in range(64) if item.processors >> p & 1 for c in rows}
        assert not own & used
        used |= own


@pytest.mark.parametrize("seed", range(10))
def test_biases_that_nearly_fill_the_quadrants_are_dealt_out(seed: int) -> None:
    dice = random.Random(seed)
    counts = []
    for _ in range(limits.QUADRANTS):
        first, second = sorted(dice.sample(range(1, 508), 2))
        counts += [first, second - first, 508 - second]
    items = [Entries(str(n), count, False, ()) for n, count in enumerate(counts)]
    places, end = pack_bias(items, range(limits.QUADRANTS), {})
    assert end <= limits.BIAS_BYTES_PER_QUADRANT
    used = set()
    for item in items:
        quadrant, start = places[item.name]
        used |= {(quadrant, start + n) for n in range(item.count)}
    assert len(used) == sum(counts)


def test_what_has_no_room_is_not_placed() -> None:
    sections = [frozenset({0, 1}), frozenset({1, 2}), frozenset({2, 0})]
    assert pack_tightly([4, 3, 2], sections, 9, 100) is not None
    assert pack_tightly([4, 3, 2], sections, 8, 100) is None
    assert pack_tightly([4, 3, 2], sections, 9, 2) is None  # two steps for three items
