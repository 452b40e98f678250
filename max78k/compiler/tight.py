"""Packs a memory to the last word, where taking the lowest room in some order is not enough.

In a packing from which nothing can sink any further, each item lies on the floor or on one that it
meets. Taken in the order of their starts, each therefore lies on the highest of those that came
before: to try all orders in which starts do not decrease is to try all packings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence


def pack_tightly(
    sizes: Sequence[int], sections: Collection[frozenset[int]], room: int, steps: int
) -> list[int] | None:
    """Start of every item, none ending above ``room``; None if no packing was found.

    Args:
        sizes: of the items.
        sections: sets of items, by number, that must not overlap.
        room: size of the memory.
        steps: items that are placed on trial before the search ends.
    """
    return _Packing(sizes, sections, room, steps).run()


class _Packing:
    def __init__(
        self, sizes: Sequence[int], sections: Collection[frozenset[int]], room: int, steps: int
    ) -> None:
        self.sizes = sizes
        self.sections = _largest(sections)
        self.room = room
        self.steps = steps
        numbers = range(len(self.sections))
        self.inside = [
            [s for s in numbers if item in self.sections[s]] for item in range(len(sizes))
        ]
        self.floor = [0] * len(self.sections)
        self.missing = [sum(sizes[n] for n in members) for members in self.sections]
        self.starts = [-1] * len(sizes)

    def run(self) -> list[int] | None:
        if max(self.missing, default=0) > self.room:
            return None
        return self.starts if self._place(len(self.sizes), 0) else None

    def _place(self, left: int, last: int) -> bool:
        """Place the items that are left, none before ``last``."""
        if not left:
            return True
        lowest = {
            n: max((self.floor[s] for s in self.inside[n]), default=0)
            for n, start in enumerate(self.starts)
            if start < 0
        }
        if not self._can_end(lowest, last):
            return False
        first_end = min(max(start, last) + self.sizes[n] for n, start in lowest.items())
        tried = set()
        for n, start in sorted(lowest.items(), key=lambda item: (item[1], -self.sizes[item[0]])):
            alike = (self.sizes[n], tuple(self.inside[n]))
            if last <= start < first_end and alike not in tried and self.steps > 0:
                tried.add(alike)
                self.steps -= 1
                if self._place_one(n, start, left):
                    return True
        return False

    def _place_one(self, number: int, start: int, left: int) -> bool:
        own, end = self.inside[number], start + self.sizes[number]
        before = [self.floor[s] for s in own]
        for s in own:
            self.floor[s] = end
            self.missing[s] -= self.sizes[number]
        self.starts[number] = start
        if self._place(left - 1, start):
            return True
        self.starts[number] = -1
        for s, floor in zip(own, before, strict=True):
            self.floor[s] = floor
            self.missing[s] += self.sizes[number]
        return False

    def _can_end(self, lowest: dict[int, int], last: int) -> bool:
        """False if in some section there is not enough room above for what is missing in it."""
        for s, members in enumerate(self.sections):
            if self.missing[s]:
                start = min(lowest[n] for n in members if n in lowest)
                if max(start, last) + self.missing[s] > self.room:
                    return False
        return True


def _largest(sections: Collection[frozenset[int]]) -> list[frozenset[int]]:
    """Sections that are no part of others, in a fixed order."""
    ordered = sorted(set(sections), key=lambda members: (-len(members), sorted(members)))
    return [s for n, s in enumerate(ordered) if not any(s < other for other in ordered[:n])]
