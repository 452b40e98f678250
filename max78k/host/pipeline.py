"""Frames in a pipeline: the next inputs travel while the accelerator works.

The host sends the parts of up to ``window`` frames without waiting, and the board answers each
frame once, with its result. What is lost on the way is noticed by one of four signs: the board
names a hole, a later frame overtakes, no answer comes in time, or the boot id changes. Results are
matched by frame number, and a number is never used for two inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from max78k.host import messages
from max78k.host.diagnosis import RebootError, bad_reply, echo, refused, wrong_version
from max78k.host.exchange import Exchange
from max78k.host.framing import Frame
from max78k.host.messages import REPLY_FLAG, Status, Type
from max78k.host.replies import DeviceInfo, InferReply, Reply, parse, reply_of, stream_reply

SHORTEST_LIMIT_S = 0.05
TURNAROUNDS = 4  # an answer that takes so many times the usual time is taken for lost
TRIES = 25  # of one frame, without progress
SILENT_TRIES = 6  # time-outs in a row without a single good frame from the board


class Silence(Exception):
    """The board says nothing, or nothing that leads on; the caller finds out why."""


@dataclass
class PipelineCounts:
    """What a pipeline has met, by name."""

    parts: int = 0  # sent, repeats included
    timeouts: int = 0  # frames without an answer in time
    overtaken: int = 0  # frames whose successor was answered first
    holes: int = 0  # parts that the board missed, by its own word
    busy: int = 0  # parts that the board had no room for
    repeated_replies: int = 0  # results that were there already


@dataclass
class _Sent:
    """A frame without a result."""

    number: int
    content: bytes
    position: int = 0  # of the next byte to send
    reached: int = 0  # bytes that the board is known to have had
    first_sequence: int = 0  # of the parts sent since the last return to an earlier byte
    last_order: int = 0  # when its last part was sent, in numbers of parts
    begun: float | None = None
    sent_at: float = 0.0
    deadline: float = float("inf")
    tries: int = 0
    waits: bool = False  # for room in the board

    @property
    def to_send(self) -> bool:
        return self.position < len(self.content) and not self.waits


@dataclass(frozen=True)
class Arrival:
    """A result and the times, on the link's clock, of its first byte's start and of its arrival."""

    reply: InferReply
    end_tick: int
    begun: float
    arrived: float
    boot_id: int


@dataclass
class Pipeline:
    """Sends frames and collects their results; ``boot_id`` is the board's present start."""

    exchange: Exchange
    info: DeviceInfo
    boot_id: int
    counts: PipelineCounts = field(default_factory=PipelineCounts)
    _frames: dict[int, _Sent] = field(default_factory=dict)
    _done: dict[int, Arrival] = field(default_factory=dict)
    answered: int = 0  # frames with a result
    answered_at_stall: int = -1  # when everything was sent again last
    _restarts: int = 0  # of the board, since the last result
    _turnaround: float | None = None
    _silent: int = 0

    def __post_init__(self) -> None:
        # The board remembers its last results: a number of an earlier session must not come back.
        self._next = self._first = int.from_bytes(self.exchange.entropy(3), "little") << 7

    @property
    def has_room(self) -> bool:
        """Whether another frame may be begun."""
        return self._next - self._first < self.info.stream_window

    @property
    def is_empty(self) -> bool:
        """Whether every frame has been answered and taken."""
        return self._next == self._first

    def put(self, content: bytes) -> None:
        """Begin a frame; only where :attr:`has_room`."""
        self._frames[self._next] = _Sent(self._next, content)
        self._next += 1

    def take(self) -> Iterator[Arrival]:
        """Results that are due, in the order of their frames."""
        while self._first in self._done:
            yield self._done.pop(self._first)
            self._first += 1

    def step(self) -> None:
        """Send a part if there is one to send, read what has come, look for what is missing.

        Raises Silence, RebootError, or LinkError for replies that contradict the protocol.
        """
        frame = next((frame for frame in self._frames.values() if frame.to_send), None)
        if frame is not None:
            self._send_part(frame)
        now = self.exchange.clock()  # what has come by now is in time
        answers = self.exchange.receive(wait=frame is None)
        for position, answer in enumerate(answers):
            try:
                self._receive(answer)
            except RebootError:
                self.exchange.late_replies += len(answers) - position
                raise
        self._look_at_deadlines(now)

    def note_restart(self) -> int:
        """How often the board has restarted since the last result, this time included."""
        self._restarts += 1
        return self._restarts

    def send_again(self) -> None:
        """Begin every frame without a result anew: the board or the line has changed."""
        for frame in self._frames.values():
            frame.position, frame.reached, frame.waits, frame.tries = 0, 0, False, 0
            frame.deadline = float("inf")
            self._mark(frame)
        self._silent = 0
        self.answered_at_stall = self.answered

    def _send_part(self, frame: _Sent) -> None:
        room = min(self.info.max_payload, messages.MAX_PAYLOAD) - messages.STREAM.size
        part = frame.content[frame.position : frame.position + room]
        now = self.exchange.clock()
        if frame.begun is None:
            frame.begun = now
        head = messages.STREAM.pack(frame.number, frame.position)
        self.exchange.send(Type.STREAM, head + part)
        self.counts.parts += 1
        frame.position += len(part)
        frame.last_order = self.counts.parts
        if frame.position == len(frame.content):
            frame.sent_at = self.exchange.clock()
            frame.deadline = frame.sent_at + self._limit_s(frame)

    def _limit_s(self, frame: _Sent) -> float:
        """How long an answer may take: what it took before, else the limit for an inference."""
        waiting = len(self._frames) * (len(frame.content) + messages.MAX_FRAME)
        transfer = 2 * 10 * waiting / self.exchange.baud
        limit = self.exchange.timing.infer_s
        if self._turnaround is not None:
            limit = min(limit, max(TURNAROUNDS * self._turnaround, SHORTEST_LIMIT_S))
        return self.exchange.patient(limit + transfer)

    def _receive(self, frame: Frame) -> None:
        if frame.version != messages.PROTOCOL_VERSION:
            raise wrong_version(frame.version)
        if frame.type == Type.STREAM:
            raise echo()
        self._silent = 0
        if frame.type != Type.STREAM | REPLY_FLAG:
            self.exchange.note_stray(frame)  # to an earlier request
            return
        reply = reply_of(Type.STREAM, frame.payload)
        if reply.boot_id != self.boot_id:
            raise RebootError(self.boot_id, reply.boot_id, reply.reset_cause, Type.STREAM.name)
        number, received = parse(messages.STREAM_STATE, Type.STREAM, reply.body)
        sent = self._frames.get(number)
        if sent is None:
            self.counts.repeated_replies += 1
        elif reply.status == Status.OK:
            self._complete(sent, reply)
        elif reply.status == Status.HOLE:
            self._go_back(sent, received, frame.sequence)
        elif reply.status == Status.BUSY:
            self.counts.busy += 1
            sent.position, sent.waits = 0, True
            sent.deadline = self.exchange.clock() + self._limit_s(sent)
            self._mark(sent)
        else:
            raise refused(Type.STREAM, reply.status)

    def _complete(self, sent: _Sent, reply: Reply) -> None:
        now = self.exchange.clock()
        contents, end_tick = stream_reply(reply, self.info)
        begun = now if sent.begun is None else sent.begun
        self.answered += 1
        self._restarts = 0
        self._done[sent.number] = Arrival(contents, end_tick, begun, now, reply.boot_id)
        del self._frames[sent.number]
        if sent.position == len(sent.content) and not sent.tries:
            taken = now - sent.sent_at
            before = self._turnaround
            self._turnaround = taken if before is None else max(taken, 0.9 * before + 0.1 * taken)
        for other in self._frames.values():
            other.waits = False
            whole = other.position == len(other.content)
            if whole and other.last_order < sent.last_order and other.number < sent.number:
                self.counts.overtaken += 1
                self.exchange.erred = True
                self._ask_again(other)

    def _go_back(self, sent: _Sent, received: int, sequence: int) -> None:
        if received >= len(sent.content):
            raise bad_reply(Type.STREAM, f"a hole at byte {received} of {len(sent.content)}")
        if (sequence - sent.first_sequence) & 0xFFFF >= 0x8000 or received >= sent.position:
            self.exchange.late_replies += 1  # to a part that was sent before the last return
            return
        self.counts.holes += 1
        self.exchange.erred = True
        sent.tries = 0 if received > sent.reached else sent.tries + 1
        sent.reached = max(sent.reached, received)
        if sent.tries >= TRIES:
            raise Silence
        sent.position = received
        sent.deadline = float("inf")
        self._mark(sent)

    def _mark(self, sent: _Sent) -> None:
        sent.first_sequence = (self.exchange.sequence + 1) & 0xFFFF

    def _ask_again(self, sent: _Sent) -> None:
        """Send the last part once more: it brings the result, or the place of a hole."""
        room = min(self.info.max_payload, messages.MAX_PAYLOAD) - messages.STREAM.size
        sent.position = (len(sent.content) - 1) // room * room
        sent.deadline = float("inf")
        sent.tries += 1
        self._mark(sent)

    def _look_at_deadlines(self, now: float) -> None:
        for sent in self._frames.values():
            if now < sent.deadline:
                continue
            self.counts.timeouts += 1
            self.exchange.erred = True
            self._silent += 1
            sent.waits = False
            if self._silent >= SILENT_TRIES or sent.tries >= TRIES:
                raise Silence
            self._ask_again(sent)
