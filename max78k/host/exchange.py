"""One request and its reply over an open port: sequence numbers, retries, time limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from max78k.errors import LinkError
from max78k.host import messages
from max78k.host.diagnosis import echo, wrong_version
from max78k.host.framing import Decoder, Frame, Statistics, pack
from max78k.host.messages import Type
from max78k.host.ports import Port
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


class Exchange:
    """Sends a request until it is answered.

    ``clock`` gives seconds, ``entropy`` random bytes; both are replaced where a run must repeat.

    Attributes:
        retries: requests that were sent again.
        answered: requests that :meth:`ask` has the reply to.
        late_replies: sound frames that answer nothing that is waited for.
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
        self._port = port
        self._decoder = Decoder()
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
            self.retries += attempt > 0
            # A zero ahead ends whatever noise or half a frame the board may hold.
            self._write(b"\0" + frame)
            reply = self._wait(kind, limit)
            if reply is not None:
                return reply
        return None

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
            try:
                self._port.baudrate = rate
                self._port.reset_input_buffer()
            except (OSError, ValueError) as error:
                raise _port_error(error) from error
            self._decoder.restart()
        self.forget()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _transfer_s(self, sent_bytes: int) -> float:
        """Twice the time that the request and the longest reply take, ten bits to a byte."""
        return 2 * 10 * (sent_bytes + messages.MAX_FRAME) / self.baud

    def _wait(self, kind: Type, limit_s: float) -> Reply | None:
        """The reply to the current request; frames that answer anything else are dropped."""
        expected = (kind | messages.REPLY_FLAG, self._sequence)
        end = self.clock() + limit_s
        while self.clock() < end:
            frames = self._decoder.feed(self._read())
            for position, frame in enumerate(frames):
                if frame.version != messages.PROTOCOL_VERSION:
                    raise wrong_version(frame.version)
                if (frame.type, frame.sequence) == (kind, self._sequence):
                    raise echo()
                if (frame.type, frame.sequence) == expected:
                    self.answered += 1
                    self.late_replies += len(frames) - position - 1
                    return reply_of(kind, frame.payload)
                self.late_replies += 1
        return None

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:  # pySerial's errors are OSErrors
            raise _port_error(error) from error

    def _waiting(self) -> int:
        try:
            return self._port.in_waiting
        except OSError as error:
            raise _port_error(error) from error

    def _read(self) -> bytes:
        try:
            return self._port.read(max(1, self._port.in_waiting))
        except OSError as error:
            raise _port_error(error) from error


def _port_error(error: Exception) -> LinkError:
    return LinkError(
        "E-LINK-PORT",
        f"the port failed while open: {error}.",
        "check the cable and whether the board is still there: `max78k ports`",
    )
