"""Who is at the other end of the line, and at which rate: found, raised, watched, lowered.

A board that restarts is back at the default rate, and so is one that has met many errors in a row
(:data:`max78k.host.messages`). Both are looked for where they may be. A rate that was lost to
errors is tried again once the line has been good for long enough.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from max78k.errors import LinkError
from max78k.host import messages
from max78k.host.diagnosis import RebootError, no_answer, unanswered
from max78k.host.exchange import Exchange
from max78k.host.messages import BAUD_RATES, DEFAULT_BAUD, Status, Type
from max78k.host.replies import DeviceInfo, Reply, device_info

# A rate at which so many of so many frames are damaged or missing is given up.
WATCHED_FRAMES, MOST_DAMAGED = 64, 8
# It is tried again after so many good frames, for each of so many one may have been damaged; each
# time that it is lost again, after twice as many.
FIRST_WAIT_FRAMES, LONGEST_WAIT_FRAMES, CLIMBING_SHARE = 256, 65536, 64
_TRIAL_BYTES = 512


@dataclass(frozen=True)
class _Count:
    """Frames since the port was opened."""

    good: int
    bad: int


class Line:
    """The line of an open port.

    Attributes:
        exchange: what carries its requests.
        info: the board's last HELLO, None before there was one.
        boot_id: the board's start that spoke last.
        slowdowns: times that a rate was given up for its errors.
    """

    def __init__(self, exchange: Exchange, sleep: Callable[[float], None]) -> None:
        self.exchange = exchange
        self.info: DeviceInfo | None = None
        self.boot_id: int | None = None
        self.slowdowns = 0
        self._sleep = sleep
        self._judged = _Count(0, 0)  # when the line was judged last
        self._lost_rate = 0  # the highest one that was given up, 0 for none
        self._lowered: _Count | None = None  # since when a higher rate is waited for
        self._wait_frames = FIRST_WAIT_FRAMES

    @property
    def baud(self) -> int:
        """Current rate in bits per second."""
        return self.exchange.baud

    def check_boot(self, reply: Reply, kind: Type) -> None:
        """Raise RebootError if the reply is of another start of the board than the last one."""
        before, self.boot_id = self.boot_id, reply.boot_id
        if before is not None and before != reply.boot_id:
            raise RebootError(before, reply.boot_id, reply.reset_cause, kind.name)

    def take_info(self, reply: Reply) -> DeviceInfo:
        """Read a HELLO; from now on this is the board."""
        self.info = device_info(reply)
        self.boot_id = reply.boot_id
        return self.info

    def find(
        self, rates: list[int], limit_s: float, unlike: int | None = None
    ) -> tuple[DeviceInfo | None, bytes]:
        """Say HELLO at each rate in turn until the board answers or time is up.

        ``unlike``: a boot id that must be gone. Also returns the foreign bytes seen at the first
        rate, the one at which they mean something.
        """
        exchange, hello_s = self.exchange, self.exchange.timing.hello_s
        end = exchange.clock() + limit_s
        evidence = b""
        numbers: set[int] = set()
        with exchange.search():
            while True:
                for rate in rates:
                    exchange.set_rate(rate)
                    reply = exchange.probe(hello_s, numbers)
                    if reply is not None and reply.boot_id != unlike:
                        return self.take_info(reply), evidence
                    if rate == rates[0]:
                        evidence += exchange.evidence()
                if exchange.clock() >= end:
                    exchange.set_rate(rates[0])
                    return None, evidence

    def diagnose(self, kind: Type, evidence: bytes) -> tuple[LinkError, bool]:
        """Why a request got no answer, and whether the same start of the board still lives.

        A restart is looked for, since it explains the most. ``evidence``: foreign bytes that came
        instead of an answer.
        """
        baud, before = self.baud, self.boot_id
        rates = [baud] if baud == DEFAULT_BAUD else [baud, DEFAULT_BAUD]
        found, later = self.find(rates, self.exchange.timing.reboot_s)
        if found is None:
            return no_answer(evidence + later, kind.name, baud), False
        if before is not None and found.boot_id != before:
            return RebootError(before, found.boot_id, found.reset_cause, kind.name), False
        if self.baud < baud:
            self._give_up(baud)
        return (no_answer(evidence, kind.name, baud) if evidence else unanswered(kind.name)), True

    def ask_at_default(self, kind: Type, payload: bytes, limit_s: float) -> Reply | None:
        """Repeat the last request, by its number, where a board goes back to after many errors.

        It has the reply in its memory if only that was lost, so that nothing is done twice.
        """
        rate = self.baud
        if rate == DEFAULT_BAUD:
            return None
        self.exchange.set_rate(DEFAULT_BAUD)
        reply = self.exchange.ask(kind, payload, limit_s=limit_s, anew=False)
        if reply is None:
            self.exchange.set_rate(rate)
        elif reply.boot_id == self.boot_id:
            self._give_up(rate)
        return reply

    def climb(self, highest: int) -> int:
        """Take the highest rate up to ``highest`` that the line holds; returns it."""
        for rate in sorted(BAUD_RATES):
            before = self.baud
            if before < rate <= highest and not self._move_to(rate):
                if self.baud < before:
                    self._move_to(before)
                break
        return self.baud

    def tend(self, missing: int) -> bool:
        """Give up a rate that damages too much, try one again that was; whether one was changed.

        ``missing``: frames that had to be sent again, since the port was opened. Raises
        RebootError, and LinkError if the board is not found again.
        """
        seen = self.exchange.statistics
        now = _Count(seen.frames, seen.damaged + missing)
        if now.good - self._judged.good >= WATCHED_FRAMES:
            bad = now.bad - self._judged.bad > MOST_DAMAGED
            self._judged = now
            lower = [rate for rate in BAUD_RATES if rate < self.baud]
            if bad and lower:
                self._give_up(self.baud)
                self._move_to(lower[-1])
                return True
        if self.baud >= self._lost_rate:
            return False
        since = self._lowered or now
        self._lowered = since
        if now.good - since.good < self._wait_frames:
            return False
        self._lowered = now
        if (now.bad - since.bad) * CLIMBING_SHARE > now.good - since.good:
            return False
        if self.climb(self._lost_rate) < self._lost_rate:
            self._wait_frames = min(2 * self._wait_frames, LONGEST_WAIT_FRAMES)
        return True

    def trust(self) -> None:
        """Forget which rates were given up."""
        self._lost_rate = 0

    def _give_up(self, rate: int) -> None:
        again = self._lost_rate > 0
        wait = 2 * self._wait_frames if again else FIRST_WAIT_FRAMES
        self._wait_frames = min(wait, LONGEST_WAIT_FRAMES)
        self._lost_rate = max(self._lost_rate, rate)
        self._lowered = None
        self.slowdowns += 1

    def _move_to(self, rate: int) -> bool:
        """Change both sides to ``rate``; on failure both are back at the old or default one."""
        exchange, before = self.exchange, self.baud
        reply = exchange.ask(Type.SET_BAUD, messages.SET_BAUD.pack(rate))
        if reply is not None:
            self.check_boot(reply, Type.SET_BAUD)
            if reply.status != Status.OK:
                return False
        # Without a reply the board may have changed all the same: look at the new rate as well.
        self._sleep(exchange.timing.settle_s)
        exchange.set_rate(rate)
        lower = rate < before  # any lower rate is better than the one that is given up
        if exchange.ask(Type.HELLO) is not None if lower else self._holds(rate):
            return True
        # Asked at the bad rate it may still understand; else it goes back by itself, after errors.
        exchange.ask(Type.SET_BAUD, messages.SET_BAUD.pack(before), tries=2)
        found, evidence = self.find([before, DEFAULT_BAUD], exchange.timing.reboot_s)
        if found is None:
            raise no_answer(evidence, f"the return from {rate} baud", before)
        return False

    def _holds(self, rate: int) -> bool:
        """Whether test patterns come back whole; old firmware only says that they arrived."""
        assert self.info is not None
        size = min(_TRIAL_BYTES, self.info.max_payload - messages.REPLY_PREFIX.size)
        damage = self.exchange.statistics.damaged
        for pattern in _trial_patterns(rate, size):
            reply = self.exchange.ask(Type.ECHO, pattern, tries=1)
            if reply is None or (reply.status == Status.OK and reply.body != pattern):
                return False
        return damage == self.exchange.statistics.damaged


def _trial_patterns(rate: int, size: int) -> Iterator[bytes]:
    """What stresses a line: long runs of one level, the fastest changes, and everything else."""
    yield bytes(size)
    yield b"\xff" * size
    yield b"\x55" * size
    yield random.Random(rate).randbytes(size)
