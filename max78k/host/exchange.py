"""One request and its reply over an open port: sequence numbers, retries, time limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from max78k.host import messages
from max78k.host.diagnosis import echo, wrong_version
from max78k.host.framing import Decoder, Frame, Statistics, pack
from max78k.host.messages import Type
from max78k.host.ports import Port, open_port_errors
from max78k.host.replies import Reply, reply_of


@dataclass(frozen=True)
class Timing:
    """Time limits in seconds; transfer time at the current baud rate is added to each of them."""

    reply_s: float = 0.3  # requests that the board answers at once
    hello_s: float = 0.3  # one HELLO while searching for the board
    infer_s: float = 2.0  # load, inference, unload, post-processing
    self_test_s: float = 5.0
    connect_s: float = 4.0  # finding the board; the firmware waits 2 s for a debugger at start
    reboot_s: float = 4.0  # waiting for a board that may be restarting
    settle_s: float = 0.02  # for the board to change its baud rate after the acknowledgement
    tries: int = 4  # of each request
    # Least limit while the line has lost nothing yet, for boards whose second may last many of ours
    intact_s: float = 0.0


class Exchange:
    """Sends a request until it is answered.

    ``clock`` gives seconds, ``entropy`` random bytes; both are replaced where a run must repeat.

    Attributes:
        retries: requests that were sent again.
        answered: requests and probes that were answered.
        late_replies: sound frames that answer nothing that is waited for.
        erred: whether something has been lost for certain, or has not come in time.
        elsewhere: what was seen at rates at which nobody answered a search.
    """

    def __init__(
        self,
        port: Port,
        timing: Timing,
        clock: Callable[[], float] = time.perf_counter,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.timing = timing
        self.clock = clock
        self.entropy = entropy
        self.retries = 0
        self.answered = 0
        self.late_replies = 0
        self.erred = False
        self.elsewhere = Statistics()
        self._port = port
        self._decoder = Decoder()
        self._decoder.restart()  # the port may be opened amid a frame
        self._probes: dict[int, int] = {}  # those without a reply yet: rate by sequence number
        self._searched: dict[int, Statistics] | None = None  # what a search has met, by rate
        # A random start keeps the first request from matching the board's memory of its last
        # reply to the session before this one.
        self._sequence = int.from_bytes(entropy(2), "little")

    @property
    def baud(self) -> int:
        """Current rate of the host's side in bits per second."""
        return self._port.baudrate

    @property
    def sequence(self) -> int:
        """Number of the last request."""
        return self._sequence

    @property
    def statistics(self) -> Statistics:
        """Counts of good frames and of damage since the port was opened."""
        return self._decoder.statistics

    def evidence(self) -> bytes:
        """The last bytes since :meth:`forget` that belong to no frame."""
        return self._decoder.foreign + self._decoder.unfinished()

    def forget(self) -> None:
        """Drop the evidence of earlier requests."""
        self._decoder.forget()

    def ask(
        self,
        kind: Type,
        payload: bytes = b"",
        *,
        limit_s: float = 0.0,
        tries: int = 0,
        anew: bool = True,
    ) -> Reply | None:
        """Send a request up to ``tries`` times with one sequence number; None: no answer.

        ``limit_s`` (default: ``timing.reply_s``) is the board's share of the time for a try.
        ``anew`` False repeats the number of the request before, so that its late reply counts.
        Raises LinkError ``E-LINK-VERSION`` for a sound frame of another protocol version,
        ``E-LINK-ECHO`` for the request itself, ``E-LINK-PORT`` if the port fails,
        ``E-LINK-REPLY`` if the reply has no prefix.
        """
        self._sequence = (self._sequence + anew) & 0xFFFF
        frame = pack(Frame(kind, self._sequence, payload))
        limit = (limit_s or self.timing.reply_s) + self._transfer_s(len(frame))
        for attempt in range(tries or self.timing.tries):
            self.retries += attempt > 0 or not anew
            self._write(frame)
            found = self._wait(kind, {self._sequence}, self.patient(limit))
            if found is not None:
                return reply_of(kind, found[0].payload)
            self.erred = True
        return None

    def patient(self, limit_s: float) -> float:
        """The limit, or a longer one as long as the line has lost nothing."""
        damaged = self.erred or self.statistics.damaged
        return limit_s if damaged else max(limit_s, self.timing.intact_s)

    @contextmanager
    def search(self) -> Iterator[None]:
        """Look for a board with :meth:`probe` at one rate after the other.

        Damage is that of the line at the rate that is left behind; at the other ones nobody was
        there to be understood (:attr:`elsewhere`).
        """
        session = self._decoder.statistics
        self._searched = {}
        self._hear(self.baud)
        try:
            yield
        finally:
            for rate, seen in self._searched.items():
                (session if rate == self.baud else self.elsewhere).add(seen)
            self._searched = None
            self._decoder.statistics = session

    def _hear(self, rate: int) -> None:
        if self._searched is not None:
            self._decoder.statistics = self._searched.setdefault(rate, Statistics())

    def probe(self, limit_s: float, numbers: set[int]) -> Reply | None:
        """Say HELLO once to whoever may be there; None: no answer in time.

        ``numbers`` holds those of the search: a late reply to an earlier probe is as good, and its
        rate is then taken again, for there the board has understood. Replies to the others are no
        faults when they come.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._probes[self._sequence] = self.baud
        numbers.add(self._sequence)
        frame = pack(Frame(Type.HELLO, self._sequence))
        self._write(frame)
        found = self._wait(Type.HELLO, numbers, limit_s + self._transfer_s(len(frame)))
        if found is None:
            return None
        reply, rate = found
        if rate != self.baud:
            self.set_rate(rate)
        return reply_of(Type.HELLO, reply.payload)

    def send(self, kind: Type, payload: bytes) -> None:
        """Send a request without waiting; its sequence number is :attr:`sequence` afterwards."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._write(pack(Frame(kind, self._sequence, payload)))

    def receive(self, *, wait: bool) -> list[Frame]:
        """Frames that have come; with ``wait``, after one read time-out of the port at most."""
        if not wait and not self._waiting():
            return []
        return self._decoder.feed(self._read())

    def set_rate(self, rate: int) -> None:
        """Change the host's side; bytes received at another rate mean nothing and are dropped."""
        if self.baud != rate:
            with open_port_errors():
                self._port.baudrate = rate
                self._port.reset_input_buffer()
            self._decoder.restart()
        self._hear(rate)
        self.forget()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _transfer_s(self, sent_bytes: int) -> float:
        """Twice the time that the request and the longest reply take, ten bits to a byte."""
        return 2 * 10 * (sent_bytes + messages.MAX_FRAME) / self.baud

    def _wait(
        self, kind: Type, numbers: Container[int], limit_s: float
    ) -> tuple[Frame, int] | None:
        """The reply to a request of one of the numbers, and the rate at which that was sent.

        Other frames are counted and dropped.

        What has arrived when the limit is over is in time, however late it is looked at: on a
        machine under load a program may stand still for longer than the limit.
        """
        end = self.clock() + limit_s
        while True:
            over = self.clock() >= end
            found: Frame | None = None
            for frame in self._decoder.feed(self._read()):
                if found is not None:
                    self.note_stray(frame)
                elif frame.version != messages.PROTOCOL_VERSION:
                    raise wrong_version(frame.version)
                elif (frame.type, frame.sequence) == (kind, self._sequence):
                    raise echo()
                elif frame.type == kind | messages.REPLY_FLAG and frame.sequence in numbers:
                    found = frame
                    self.answered += 1
                    rate = self._probes.pop(frame.sequence, self.baud)
                else:
                    self.note_stray(frame)
            if found is not None:
                return found, rate
            if over:
                return None

    def note_stray(self, frame: Frame) -> None:
        """A sound frame that is not waited for: the reply to a probe, or one too many."""
        is_hello = frame.type == Type.HELLO | messages.REPLY_FLAG
        if is_hello and self._probes.pop(frame.sequence, None) is not None:
            self.answered += 1
        else:
            self.late_replies += 1

    def _write(self, data: bytes) -> None:
        with open_port_errors():
            self._port.write(data)

    def _waiting(self) -> int:
        with open_port_errors():
            return self._port.in_waiting

    def _read(self) -> bytes:
        with open_port_errors():
            return self._port.read(max(1, self._port.in_waiting))
