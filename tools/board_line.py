"""The virtual board in the process of the host, joined by a line that can be made bad.

Where the two ends have different rates each takes the other's bits for what they are at its own.
The link measures with the board's own clock, so that a run depends on nothing but its seed: neither
on the machine's speed nor on what else it does.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from link_ledger import Ledger

from max78k.host.messages import DEFAULT_BAUD
from max78k.simulator.board import VirtualBoard
from max78k.simulator.clock import SECOND

READ_TIMEOUT_S = 0.02
_BUSY_STEP_S, _IDLE_STEP_S = 0.0001, 0.01
_SHORTEST_S = 1e-6  # what is left of a wait may be less than the clock resolves
_DELAY_S = (0.001, 0.1)  # shortest and longest pause of the line


_TOLERANCE = 0.03  # of a rate: the last of ten bits is still sampled within itself


def misread(data: bytes, sent: float, read: float) -> bytes:
    """What a receiver at ``read`` baud takes ``data`` for, which are sent at ``sent`` baud."""
    if abs(sent / read - 1) < _TOLERANCE:
        return data
    levels = [bit for byte in data for bit in (0, *(byte >> n & 1 for n in range(8)), 1)]

    def level(time: float) -> int:
        return levels[int(time * sent)] if time * sent < len(levels) else 1

    def next_of(value: int, time: float) -> float:
        begin = int(time * sent)
        return time if level(time) == value else levels.index(value, begin) / sent

    found = bytearray()
    time = 0.0
    while 0 in levels[int(time * sent) :]:
        time = next_of(0, time)
        if level(time + 0.5 / read):
            time += 0.5 / read  # shorter than half a bit: no start bit
            continue
        found.append(sum(level(time + (1.5 + n) / read) << n for n in range(8)))
        time += 9.5 / read
        if 1 not in levels[int(time * sent) :]:
            break
        time = next_of(1, time)  # after a framing error the line must be high first
    return bytes(found)


@dataclass
class Damage:
    """One direction of a line that errs; ``rate`` is the chance of each fault.

    Per byte: ``flip`` (one bit) and ``drop``. Per frame: ``duplicate``, ``split`` (a pause inside
    it) and ``delay`` (a pause before it). ``injected`` counts them by name.
    """

    source: random.Random
    rate: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    _frame: bytearray = field(default_factory=bytearray)

    def pass_on(self, data: bytes) -> list[tuple[float, bytes]]:
        """What arrives of ``data``: bytes, each after a pause in seconds."""
        pieces: list[tuple[float, bytes]] = []
        for byte in data:
            self._frame.append(byte)
            if byte == 0:
                frame = bytes(self._frame)
                self._frame.clear()
                self._pass_frame(frame, pieces)
        return pieces

    def _pass_frame(self, frame: bytes, pieces: list[tuple[float, bytes]]) -> None:
        for _ in range(1 + self._happens("duplicate")):
            pause = self.source.uniform(*_DELAY_S) if self._happens("delay") else 0.0
            arriving = self._hurt(frame)
            cut = self.source.randrange(len(frame)) if self._happens("split") else 0
            pieces.append((pause, arriving[:cut]))
            pieces.append((self.source.uniform(*_DELAY_S) if cut else 0.0, arriving[cut:]))

    def _hurt(self, frame: bytes) -> bytes:
        result = bytearray()
        for byte in frame:
            if self._happens("drop"):
                continue
            result.append(byte ^ 1 << self.source.randrange(8) if self._happens("flip") else byte)
        return bytes(result)

    def _happens(self, name: str) -> bool:
        happens = self.rate > 0 and self.source.random() < self.rate
        self.injected[name] += happens
        return happens


class BoardPort:
    """A serial port to a board; reading lets virtual time pass.

    Args:
        before_step: called before each slice of virtual time; returns the most seconds that the
            slice may last.

    Attributes:
        at_host: what has reached the host.
        on_sent, on_delivered: called with bytes that the board has sent, before the line can hurt
            them, and with those that have reached its receiver.
    """

    def __init__(
        self,
        board: VirtualBoard,
        *,
        seed: int = 0,
        before_step: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.board = board
        self.baudrate = DEFAULT_BAUD
        self.to_board = Damage(random.Random(f"to board {seed}"))
        self.to_host = Damage(random.Random(f"to host {seed}"))
        self.at_host = Ledger(cuts=True)
        self.on_sent: Callable[[bytes], None] = lambda data: None
        self.on_delivered: Callable[[bytes], None] = lambda data: None
        self._before_step = before_step
        self._outbound: list[tuple[float, bytes]] = []  # (virtual second, bytes), in order
        self._inbound: list[tuple[float, bytes]] = []
        self._sent_at = DEFAULT_BAUD  # rate of what is outbound
        self._board_rate = 0.0  # 0 before the board has one
        self._switched = board.console.on_enable
        board.console.on_enable = self._line_switched
        self._on_line = bytearray()  # on the way to the board's receiver
        self._arrived = bytearray()

    def clock(self) -> float:
        """The board's virtual seconds."""
        return self.board.now

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.board.now + seconds
        while self.board.now < end:
            self._step(end - self.board.now)

    @property
    def in_waiting(self) -> int:
        """Bytes that have arrived; what is on the way to the board blocks no look at them."""
        self._move()
        return len(self._arrived)

    def read(self, size: int = 1) -> bytes:
        """Bytes that have arrived, after the read time-out at most."""
        end = self.board.now + READ_TIMEOUT_S
        while not self.in_waiting and self.board.now < end:
            self._step(end - self.board.now)
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        self.at_host.take(data)
        return data

    def write(self, data: bytes) -> int:
        """Send; as with a real port this waits while the system's buffer is full."""
        if self._sent_at != self.baudrate:
            while self._waiting:  # as a real port does before it changes its rate
                self._step(1.0)
            self._sent_at = self.baudrate
        _queue(self._outbound, self.board.now, self.to_board.pass_on(data))
        self._move()
        while self._waiting > _BUFFER_BYTES:
            self._step(1.0)
        return len(data)

    @property
    def _waiting(self) -> int:
        """Bytes that are not yet on the line."""
        now = self.board.now
        return sum(len(data) for when, data in self._outbound if when <= now)

    def reset_input_buffer(self) -> None:
        """Drop what has arrived."""
        self._move()
        self._arrived.clear()
        self.at_host.restart()

    def close(self) -> None:
        """Nothing to close."""

    def look_at_board(self) -> None:
        """Tell what has reached the board's receiver by now."""
        delivered = len(self._on_line) - self.board.console.host_waiting
        data = bytes(self._on_line[:delivered])
        del self._on_line[:delivered]
        if data:
            self.on_delivered(data)

    def _step(self, seconds: float) -> None:
        """Let time pass: little while bytes move, else at most until one does."""
        most = min(seconds, self._before_step())
        self._move()
        for queue in (self._outbound, self._inbound):
            if queue and queue[0][0] > self.board.now:  # else it waits for room on the line
                most = min(most, queue[0][0] - self.board.now)
        if self.board.has_work:
            self.board.run(max(min(most, _BUSY_STEP_S), _SHORTEST_S))
        else:
            most = max(min(most, _IDLE_STEP_S), _SHORTEST_S)
            self.board.run(most, until=lambda: self.board.has_work)
        self._move()

    def _move(self) -> None:
        now, console = self.board.now, self.board.console
        while self._outbound and self._outbound[0][0] <= now:
            room = _ON_LINE_BYTES - console.host_waiting
            if room <= 0:
                break
            when, data = self._outbound.pop(0)
            if data[room:]:
                self._outbound.insert(0, (when, data[room:]))
            data = misread(data[:room], self._sent_at, self._board_rate or self._sent_at)
            self._on_line += data
            console.host_write(data)
        self.look_at_board()
        self._collect()
        while self._inbound and self._inbound[0][0] <= now:
            self._arrived += self._inbound.pop(0)[1]

    def _collect(self) -> None:
        """Take what the board has sent, at the rate that it has had until now."""
        sent = self.board.console.host_read()
        if sent:
            self.on_sent(sent)
            arriving = misread(sent, self._board_rate or self.baudrate, self.baudrate)
            _queue(self._inbound, self.board.now, self.to_host.pass_on(arriving))

    def _line_switched(self) -> None:
        self._collect()
        self._switched()
        if self.board.console.enabled:
            self._board_rate = SECOND / self.board.console.frame(0).bit_time


_BUFFER_BYTES = 4096
_ON_LINE_BYTES = 64  # at most: on a line they would be gone when the board changes its rate


def _queue(queue: list[tuple[float, bytes]], now: float, pieces: list[tuple[float, bytes]]) -> None:
    """Bytes never overtake: a pause holds up all that follow."""
    time = max(now, queue[-1][0]) if queue else now
    for pause, data in pieces:
        time += pause
        if data:
            queue.append((time, data))
