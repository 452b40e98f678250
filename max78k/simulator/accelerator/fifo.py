"""The input FIFOs: one per quadrant, filled by the processor, emptied by the first layer.

Their depth is not public; 16 is what the widths of the threshold fields suggest. A word written to
a full FIFO is lost, which is why firmware looks at the status register before every word.
"""

from __future__ import annotations

from max78k.chip import cnn_registers as cr
from max78k.chip import limits

DEPTH = 16
_FAST_FULL = 1 << 1  # status of the fast FIFO: software waits while it is set


class Fifos:
    """Control register and queues. The fast FIFO is another way into the queue of FIFO 0."""

    def __init__(self) -> None:
        self._control = 0
        self._queues: list[list[int]] = [[] for _ in range(limits.QUADRANTS)]

    def clear(self) -> None:
        """Empty and disabled."""
        self._control = 0
        for queue in self._queues:
            queue.clear()

    def read(self, offset: int) -> int:
        """Control; or status, in which bit n tells that FIFO n is full."""
        if offset == cr.FIFO_CTL.offset:
            return self._control
        return sum(self._full(n) << n for n in range(limits.QUADRANTS))

    def fast_status(self) -> int:
        """Status of the fast FIFO."""
        return _FAST_FULL if self._full(0) else 0

    def write_control(self, value: int) -> None:
        """Enables and thresholds."""
        self._control = value

    def enabled(self, number: int) -> bool:
        """Whether FIFO ``number`` takes words."""
        return bool(cr.FIFO_CTL.field("ENABLE").get(self._control) >> number & 1)

    def push(self, number: int, word: int) -> bool:
        """One input word for quadrant ``number``; False if the FIFO is full and the word lost."""
        if self._full(number):
            return False
        self._queues[number].append(word)
        return True

    def holds(self, numbers: tuple[int, ...]) -> int:
        """Words that every one of the FIFOs has."""
        return min((len(self._queues[n]) for n in numbers), default=0)

    def take(self, numbers: tuple[int, ...], count: int) -> list[list[int]]:
        """Remove the first ``count`` words of each of the FIFOs."""
        taken = [self._queues[n][:count] for n in numbers]
        for n in numbers:
            del self._queues[n][:count]
        return taken

    def _full(self, number: int) -> bool:
        return len(self._queues[number]) >= DEPTH


class Intake:
    """A frame on its way from the FIFOs ``numbers`` into the machine, ``words`` from each.

    The machine takes a word of each at a time: one in a cycle until the ``start`` words are there
    with which it can begin, then one in ``pace`` cycles, as it works its way through the frame.
    Without a clock (``pace`` 0) it takes them at once.

    Attributes:
        frame: what has been taken, by FIFO.
        began: cycle at which the first ``start`` words were there; None before.
        due: cycle from which on it can take the next words.
    """

    def __init__(
        self, fifos: Fifos, numbers: tuple[int, ...], words: int, start: int, pace: int
    ) -> None:
        self.frame: dict[int, list[int]] = {n: [] for n in numbers}
        self.began: int | None = None
        self._fifos = fifos
        self._numbers = numbers
        self._words = words if numbers else 0
        self._start = min(start, self._words)
        self._pace = pace
        self._taken = 0
        self.due = 0
        self._arrived = 0  # cycle at which the last word came into a FIFO

    def arrive(self, now: int) -> None:
        """A word has come into a FIFO at cycle ``now``, or the machine goes on."""
        self._arrived = now
        self.advance(now)

    def advance(self, now: int) -> None:
        """Take what the machine could take until cycle ``now``."""
        while self._taken < self._words and self._fifos.holds(self._numbers):
            moment = max(self.due, self._arrived)
            if moment > now:
                break
            self._take(moment)
        self._look(now)

    def finish(self, now: int) -> int | None:
        """Cycle at which the last word is in, once all are in the FIFOs; None before.

        All words are taken then.
        """
        self.advance(now)
        if self._taken + self._fifos.holds(self._numbers) < self._words:
            return None
        moment = now
        while self._taken < self._words:
            moment = max(self.due, self._arrived)
            self._take(moment)
        self._look(moment)
        return moment

    def _take(self, moment: int) -> None:
        for number, words in zip(self._numbers, self._fifos.take(self._numbers, 1), strict=True):
            self.frame[number] += words
        self._taken += 1
        self._look(moment)
        self.due = moment + (self._pace if self.began is not None else min(self._pace, 1))

    def _look(self, now: int) -> None:
        if self.began is None and self._taken >= self._start:
            self.began = now
