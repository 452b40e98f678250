"""Finds room in a memory: data-memory offsets, kernel columns, bias entries.

The functions that pack do not stop at the end of the memory: a caller that compares choices wants
to know by how much something does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.tight import pack_tightly

_ROUNDS = 8  # orders tried beyond the fixed ones
_FEW = 6  # items whose orders are all tried
_STEPS, _MOST_STEPS = 60, 6000  # of a tight packing; the second with ``exact``


@dataclass(frozen=True)
class Columns:
    """Kernel columns wanted by a layer on the processors of a map.

    ``same`` is equal for layers that may share their columns, having the same kernels.
    """

    name: str
    processors: int
    count: int
    same: object


def pack_columns(
    items: Sequence[Columns], fixed: dict[str, int], exact: bool = False
) -> tuple[dict[str, int], int]:
    """First column of every item by name, and the end of the highest; ``fixed`` ones stay.

    An item takes the lowest free columns in the order of a list; of several lists the best result
    counts: the widest first, the longest first, the largest first. With ``exact``, all lists of a
    few items. What does not fit so is packed tightly, with ``exact`` in a longer search.
    """
    unit = limits.KERNEL_ALIGNMENT
    given = [item for item in items if item.name in fixed]
    free = _first_of_a_kind([item for item in items if item.name not in fixed])
    bound = _load(items)
    best: tuple[int, dict[str, int]] | None = None
    for order in _column_orders(free, exact):
        used = [0] * limits.PROCESSORS
        columns = {}
        for item in (*given, *order):
            units = -(-item.count // unit)
            members = _members(item.processors)
            if item.name in fixed:
                start = max(fixed[item.name], 0) // unit
            else:
                taken = 0
                for n in members:
                    taken |= used[n]
                start = _first_gap(taken, units)
            columns[item.name] = start * unit
            mask = ((1 << units) - 1) << start
            for n in members:
                used[n] |= mask
        end = max((columns[item.name] + item.count for item in (*given, *free)), default=0)
        if best is None or end < best[0]:
            best = end, columns
        if end <= bound:
            break
    assert best is not None
    if best[0] > limits.KERNEL_COLUMNS and not given:
        sizes = [-(-item.count // unit) for item in free]
        room = limits.KERNEL_COLUMNS // unit
        starts = pack_tightly(sizes, _by_processor(free), room, _MOST_STEPS if exact else _STEPS)
        if starts is not None:
            columns = {item.name: x * unit for item, x in zip(free, starts, strict=True)}
            best = max(columns[item.name] + item.count for item in free), columns
    return _shared(items, best[1] | fixed), best[0]


def _by_processor(items: Sequence[Columns]) -> set[frozenset[int]]:
    """Numbers of the items that share a processor."""
    return {
        frozenset(n for n, item in enumerate(items) if item.processors >> processor & 1)
        for processor in range(limits.PROCESSORS)
    }


@lru_cache(maxsize=4096)
def _members(processor_map: int) -> tuple[int, ...]:
    return tuple(bits.members(processor_map))


def _first_of_a_kind(items: Sequence[Columns]) -> list[Columns]:
    kinds: dict[tuple[object, int], Columns] = {}
    for item in items:
        kinds.setdefault((item.same, item.processors), item)
    return list(kinds.values())


def _shared(items: Sequence[Columns], columns: dict[str, int]) -> dict[str, int]:
    """Columns of all items: those that are the same as another have the other's."""
    first = {(x.same, x.processors): columns[x.name] for x in reversed(items) if x.name in columns}
    return {x.name: columns.get(x.name, first[x.same, x.processors]) for x in items}


def _load(items: Sequence[Columns]) -> int:
    """Columns of the fullest processor: no packing ends lower."""
    return max(processor_load(_first_of_a_kind(items)), default=0)


def processor_load(items: Sequence[Columns]) -> list[int]:
    """Columns wanted on each processor, without what is lost by alignment."""
    load = [0] * limits.PROCESSORS
    for item in items:
        for n in _members(item.processors):
            load[n] += item.count
    return load


def _column_orders(items: list[Columns], exact: bool) -> Iterator[Sequence[Columns]]:
    def width(item: Columns) -> int:
        return bits.count(item.processors)

    yield sorted(items, key=lambda x: (width(x) < limits.PROCESSORS, -x.count))
    yield sorted(items, key=lambda x: (-width(x), -x.count))
    yield sorted(items, key=lambda x: (-width(x) * x.count, -x.count))
    yield sorted(items, key=lambda x: (bits.lowest(x.processors), -x.count))
    if exact and len(items) <= _FEW:
        yield from permutations(items)


def _first_gap(taken: int, length: int) -> int:
    """Lowest position from which ``length`` bits of ``taken`` are 0."""
    starts = ~taken & ((1 << taken.bit_length() + 1) - 1)
    starts |= ((1 << length) - 1) << taken.bit_length()
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        starts &= starts >> step
        reach += step
    return bits.lowest(starts) if starts else taken.bit_length()


@dataclass(frozen=True)
class Block:
    """Words that something takes in some data-memory instances, with one offset in all of them.

    ``spans`` are (map of instances, first layer, last layer) during which words are taken there.
    """

    words: int
    spans: tuple[tuple[int, int, int], ...]

    def meets(self, other: Block) -> bool:
        """True if both are at some time in the same instance."""
        for mine, born, dies in self.spans:
            for theirs, other_born, other_dies in other.spans:
                if mine & theirs and born <= other_dies and other_born <= dies:
                    return True
        return False


def pack_data(
    blocks: Sequence[Block],
    together: Sequence[Sequence[int]],
    fixed: dict[int, int],
    exact: bool = False,
) -> tuple[list[int], int]:
    """First word of every block, and the end of the highest; ``fixed`` ones, by number, stay.

    ``together`` lists for every block the others that may meet it. A block takes the lowest room
    beside those that it meets, in the order of a list; of several lists the best result counts.
    With ``exact``, all lists of a few blocks. What does not fit so is packed tightly.
    """
    meets = [
        [n for n in others if block.meets(blocks[n])]
        for block, others in zip(blocks, together, strict=True)
    ]
    free = [number for number in range(len(blocks)) if number not in fixed]
    bound = max((_least_end(blocks, n, meets[n]) for n in range(len(blocks))), default=0)
    best: tuple[int, list[int]] | None = None
    queue = [free, sorted(free, key=lambda n: -blocks[n].words), _outward(blocks, meets, free)]
    if exact and len(free) <= _FEW:
        queue += map(list, permutations(free))
    rounds = 0
    while queue:
        order = queue.pop(0)
        places = _place_in_order(blocks, meets, order, fixed)
        ends = [place + block.words for place, block in zip(places, blocks, strict=True)]
        end = max(ends, default=0)
        if best is None or end < best[0]:
            best = end, places
        if end <= bound:
            break
        if not queue and rounds < _ROUNDS and free:  # what ends highest goes first
            rounds += 1
            top = max(free, key=lambda n: ends[n])
            if top != order[0]:
                queue.append([top, *(n for n in order if n != top)])
    assert best is not None
    if best[0] > limits.INSTANCE_WORDS and not fixed:
        sizes, steps = [block.words for block in blocks], _MOST_STEPS if exact else _STEPS
        starts = pack_tightly(sizes, _at_a_time(blocks), limits.INSTANCE_WORDS, steps)
        if starts is not None:
            return starts, max(start + size for start, size in zip(starts, sizes, strict=True))
    return best[1], best[0]


def _at_a_time(blocks: Sequence[Block]) -> set[frozenset[int]]:
    """Numbers of the blocks that are in one instance at the same time."""
    found = set()
    for instance in range(limits.INSTANCES):
        spans = [
            (born, dies, n)
            for n, block in enumerate(blocks)
            for instances, born, dies in block.spans
            if instances >> instance & 1
        ]
        for time, _, _ in spans:
            found.add(frozenset(n for born, dies, n in spans if born <= time <= dies))
    return found


def _least_end(blocks: Sequence[Block], number: int, meets: list[int]) -> int:
    """Words that a block takes together with the largest one that it meets."""
    return blocks[number].words + max((blocks[n].words for n in meets), default=0)


def _outward(blocks: Sequence[Block], meets: list[list[int]], free: list[int]) -> list[int]:
    """From the largest block to those that it meets, and on: the order that suits a chain."""
    rest = sorted(free, key=lambda n: -blocks[n].words)
    order: list[int] = []
    while rest:
        number = next((n for n in rest if set(meets[n]) & set(order)), rest[0])
        order.append(number)
        rest.remove(number)
    return order


def _place_in_order(
    blocks: Sequence[Block], meets: list[list[int]], order: list[int], fixed: dict[int, int]
) -> list[int]:
    places = [-1] * len(blocks)
    for number, word in fixed.items():
        places[number] = word
    for number in order:
        size = blocks[number].words
        spans = sorted(
            (places[n], places[n] + blocks[n].words) for n in meets[number] if places[n] >= 0
        )
        word = 0
        for start, stop in spans:
            if word + size <= start:
                break
            word = max(word, stop)
        places[number] = word
    return places


@dataclass(frozen=True)
class Entries:
    """Bias entries wanted by a layer, and the quadrants that are given for it, if any are."""

    name: str
    count: int
    flattens: bool
    allowed: tuple[int, ...]


def pack_bias(
    items: Sequence[Entries], quadrants: Sequence[int], fixed: dict[str, tuple[int, int]]
) -> tuple[dict[str, tuple[int, int]], int]:
    """Quadrant and first entry of every item by name, and the end of the highest.

    Flattening layers first, then the longest; each goes to the quadrant with most room. What does
    not fit so is dealt out again.
    """
    level = dict.fromkeys(quadrants, 0)
    result = dict(fixed)
    for item in items:
        if item.name in fixed:
            quadrant, start = fixed[item.name]
            level[quadrant] = max(level.get(quadrant, 0), start + item.count)
    free = [item for item in items if item.name not in fixed]
    before = dict(level)
    choices: list[Sequence[int]] = []
    free.sort(
        key=lambda item: (not item.allowed, len(item.allowed), not item.flattens, -item.count)
    )
    for item in free:
        allowed = [q for q in item.allowed if q in quadrants] or item.allowed or quadrants
        choices.append(allowed)
        quadrant = min(allowed, key=lambda q: level.get(q, 0))
        result[item.name] = quadrant, level.get(quadrant, 0)
        level[quadrant] = level.get(quadrant, 0) + item.count
    if max(level.values(), default=0) > limits.BIAS_BYTES_PER_QUADRANT:
        filled = _Filling([item.count for item in free], choices, before).run()
        if filled is not None:
            level = before
            for item, quadrant in zip(free, filled, strict=True):
                result[item.name] = quadrant, level.get(quadrant, 0)
                level[quadrant] = level.get(quadrant, 0) + item.count
    return result, max(level.values(), default=0)


class _Filling:
    """Deals out ``counts`` so that no quadrant takes more than it has, where there is a way."""

    def __init__(
        self, counts: Sequence[int], choices: Sequence[Sequence[int]], level: dict[int, int]
    ) -> None:
        self.counts = counts
        self.choices = choices
        self.level = dict(level)
        self.steps = _STEPS * len(counts)

    def run(self, done: int = 0) -> list[int] | None:
        """Quadrants of the counts from number ``done`` on."""
        if done == len(self.counts):
            return []
        tried = set()
        for quadrant in sorted(self.choices[done], key=lambda q: -self.level.get(q, 0)):
            level = self.level.get(quadrant, 0)
            new = level + self.counts[done]
            if new > limits.BIAS_BYTES_PER_QUADRANT or level in tried or self.steps <= 0:
                continue
            tried.add(level)
            self.steps -= 1
            self.level[quadrant] = new
            rest = self.run(done + 1)
            if rest is not None:
                return [quadrant, *rest]
            self.level[quadrant] = level
        return None
