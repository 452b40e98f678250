"""A board on the serial link: who it is, input, inference, self test, baud rate, restart.

The host asks, the board answers, one request at a time, or for many inputs in a pipeline
(:meth:`Device.stream`). A request that is not answered in time is
sent again with the same sequence number, and the board does not carry it out twice. A board that
restarts is noticed by its boot id, which every reply carries.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from max78k.errors import LinkError
from max78k.host import messages
from max78k.host.diagnosis import RebootError, bad_reply, no_answer, refused, unanswered
from max78k.host.exchange import Exchange, Timing
from max78k.host.framing import Statistics
from max78k.host.input_bytes import int8_bytes
from max78k.host.link_report import LinkReport
from max78k.host.messages import BAUD_RATES, DEFAULT_BAUD, Status, Type
from max78k.host.pipeline import Arrival, Pipeline, PipelineCounts, Silence
from max78k.host.ports import Port
from max78k.host.replies import (
    DeviceCounts,
    DeviceInfo,
    Inference,
    Reply,
    SelfTest,
    device_info,
    infer_reply,
    output_reply,
    parse,
    self_test_reply,
    statistics_reply,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# A rate at which so many of so many frames are damaged or missing is given up.
WATCHED_FRAMES, MOST_DAMAGED = 64, 8
_TRIAL_BYTES = 512


class Device:
    """A board on an open port.

    ::

        with Device(open_port("auto")) as device:
            result = device.infer(input_bytes)

    Entering connects (and raises LinkError with one of the codes of
    :mod:`max78k.host.diagnosis`), leaving returns to the default baud rate and closes the port.
    ``clock``, ``sleep`` and ``entropy`` (random bytes) are replaced where a run must repeat.
    """

    def __init__(
        self,
        port: Port,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._exchange = Exchange(port, timing or Timing(), clock, entropy)
        self._sleep = sleep
        self._boot_id: int | None = None
        self._info: DeviceInfo | None = None
        self._packet_bytes = 1  # of a CSI packet
        self._pipeline_counts = PipelineCounts()
        self._restarts: dict[str, int] = {}
        self._slowdowns = 0
        self._watched = (0, 0)  # good frames and damage when the line was judged last

    def __enter__(self) -> Device:
        try:
            self.connect()
        except BaseException:
            self._exchange.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def info(self) -> DeviceInfo:
        """The board's last HELLO; connects if need be."""
        return self._info or self.connect()

    @property
    def baud(self) -> int:
        """Current rate in bits per second."""
        return self._exchange.baud

    @property
    def statistics(self) -> Statistics:
        """Counts of good frames and of damage since the port was opened."""
        return self._exchange.statistics

    def clock(self) -> float:
        """Seconds from an arbitrary start, on the clock that the link measures with."""
        return self._exchange.clock()

    @property
    def retries(self) -> int:
        """Requests that were sent again."""
        return self._exchange.retries

    def connect(self) -> DeviceInfo:
        """Find the board, at the port's rate first, then at those it may have been left at."""
        rates = [self.baud, *(rate for rate in BAUD_RATES if rate != self.baud)]
        found, evidence = self._search(rates, self._exchange.timing.connect_s)
        if found is None:
            raise no_answer(evidence, "HELLO", rates[0])
        return found

    def hello(self) -> DeviceInfo:
        """Ask the board who it is."""
        return self._take_info(self._request(Type.HELLO))

    def negotiate_baud(self, highest: int = BAUD_RATES[-1]) -> int:
        """Climb to the highest rate up to ``highest`` that the line holds; returns the rate.

        Each rate must carry a test pattern both ways without a single error. After one that does
        not, the last good one is taken; the board leaves a bad rate by itself when nothing valid
        arrives.
        """
        good = self.baud
        for rate in sorted(BAUD_RATES):
            if self.baud < rate <= highest:
                if not self._move_to(rate):
                    break
                good = rate
        if self.baud < good:
            self._move_to(good)
        return self.baud

    def link_report(self, *, ask_board: bool = True) -> LinkReport:
        """What the link has met from the opening of the port to this moment.

        Asks the board for its own counts.
        """
        board: DeviceCounts | None = None
        reply = self._exchange.ask(Type.STATISTICS) if ask_board else None
        if reply is not None and reply.status == Status.OK:
            board = statistics_reply(reply)
        return LinkReport(
            baud=self.baud,
            received=replace(self.statistics),
            pipeline=replace(self._pipeline_counts),
            retries=self.retries,
            answered=self._exchange.answered,
            late_replies=self._exchange.late_replies,
            restarts=dict(self._restarts),
            slowdowns=self._slowdowns,
            board=board,
        )

    def stream(self, inputs: Iterable[Any], *, keep_going: bool = False) -> Iterator[Inference]:
        """Results of many inputs, in order; the next input travels while the accelerator works.

        ``inputs``: as for :meth:`infer`. Firmware that cannot do so is asked one by one. With
        ``keep_going`` a restart of the board is counted (:meth:`link_report`) and the inputs
        without a result are sent again; else it raises RebootError.
        """
        if not self.info.stream_window:
            yield from map(self.infer, inputs)
            return
        assert self._boot_id is not None  # info has been asked for
        pipeline = Pipeline(self._exchange, self.info, self._boot_id, self._pipeline_counts)
        contents = (int8_bytes(data, self.info) for data in inputs)
        before = self.clock()
        more = True
        while True:
            while more and pipeline.has_room:
                content = next(contents, None)
                more = content is not None
                if content is not None:
                    pipeline.put(content)
            if pipeline.is_empty:
                return
            self._step(pipeline, keep_going)
            for arrival in pipeline.take():
                yield _streamed(arrival, before)
                before = arrival.arrived

    def send_input(self, data: Any) -> None:
        """Send the whole input tensor, int8 and channel-planar, in parts that fit a frame.

        ``data``: bytes, or an int8 array in any shape. Raises InputError ``E-LINK-INPUT`` if its
        size or type is not the network's.
        """
        content = int8_bytes(data, self.info)
        room = min(self.info.max_payload, messages.MAX_PAYLOAD) - messages.INPUT.size
        offset = standstills = 0
        while offset < len(content):
            part = content[offset : offset + room]
            reply = self._request(Type.INPUT, messages.INPUT.pack(offset) + part)
            (received,) = parse(messages.INPUT_REPLY, Type.INPUT, reply.body)
            sent = offset + len(part)
            if received > sent:
                raise bad_reply(Type.INPUT, f"{received} bytes received, {sent} sent")
            standstills += received <= offset
            if standstills >= self._exchange.timing.tries:
                raise bad_reply(Type.INPUT, f"the board stays at byte {received} of the input")
            offset = received

    def infer(self, data: Any = None) -> Inference:
        """Run the network on ``data`` (see :meth:`send_input`), or on the input already there."""
        start = self.clock()
        if data is not None:
            self.send_input(data)
        sent = self.clock()
        reply = self._request(Type.INFER, limit_s=self._exchange.timing.infer_s)
        done = self.clock()
        first = infer_reply(reply, self.info)
        scores = self._scores(first.values, first.count)
        on_board_us = first.load_us + first.inference_us + first.unload_us + first.post_us
        # A virtual board's time is not the host's: never take away more than passed here.
        on_board_s = min(on_board_us / 1e6, done - sent)
        return Inference(
            scores=scores,
            class_index=first.class_index,
            load_us=first.load_us,
            inference_us=first.inference_us,
            unload_us=first.unload_us,
            post_us=first.post_us,
            link_s=self.clock() - start - on_board_s,
            boot_id=reply.boot_id,
        )

    def collect_csi(self, values: int, subcarriers: Sequence[int], gain: int) -> None:
        """Let the board make its inputs from packets of Wi-Fi channel state information.

        Args:
            values: int8 values of a packet, twice its subcarriers.
            subcarriers: number of the subcarrier for each channel of the input, at most 63.
            gain: of the last step, 1 ... 32767, in 1 / 256; see :mod:`max78k.csi.amplitude`.
        """
        content = messages.CSI_SETUP.pack(values, len(subcarriers), gain) + bytes(subcarriers)
        self._request(Type.CSI_SETUP, content)
        self._packet_bytes = values

    def send_csi(self, packets: Any) -> None:
        """Send packets, int8 [N, values], after :meth:`collect_csi`."""
        content = memoryview(packets).cast("B")
        room = min(self.info.max_payload, messages.MAX_PAYLOAD)
        part = room - room % self._packet_bytes
        for offset in range(0, len(content), part):
            sent = bytes(content[offset : offset + part])
            reply = self._request(Type.CSI_PACKETS, sent)
            (taken,) = parse(messages.CSI_PACKETS_REPLY, Type.CSI_PACKETS, reply.body)
            if taken != len(sent) // self._packet_bytes:
                raise bad_reply(Type.CSI_PACKETS, f"{taken} packets taken of {len(sent)} bytes")

    def make_csi_window(self) -> float:
        """Let the board make its input from the last packets; returns microseconds it took.

        :meth:`infer` without data then runs the network on it.
        """
        reply = self._request(Type.CSI_WINDOW)
        (ticks,) = parse(messages.CSI_WINDOW_REPLY, Type.CSI_WINDOW, reply.body)
        return float(ticks) * 1e6 / self.info.timer_hz

    def self_test(self) -> SelfTest:
        """Run the built-in known-answer test; a mismatch is a result, not an error."""
        limit = self._exchange.timing.self_test_s
        accept = (Status.OK, Status.MISMATCH)
        return self_test_reply(self._request(Type.SELF_TEST, limit_s=limit, accept=accept))

    def reset(self) -> DeviceInfo:
        """Restart the board and wait for it; it comes back at the default baud rate."""
        self._request(Type.RESET)
        before = self._boot_id
        limit = self._exchange.timing.reboot_s
        found, evidence = self._search([DEFAULT_BAUD], limit, unlike=before)
        if found is None:
            raise no_answer(evidence, "restart", self.baud)
        return found

    def close(self) -> None:
        """Return to the default baud rate if the board still listens, and close the port."""
        try:
            if self._boot_id is not None and self.baud != DEFAULT_BAUD:
                self._exchange.ask(Type.SET_BAUD, messages.SET_BAUD.pack(DEFAULT_BAUD), tries=1)
        except LinkError:
            pass  # the session is over; the next one tries all rates
        finally:
            self._exchange.close()

    def _request(
        self,
        kind: Type,
        payload: bytes = b"",
        *,
        limit_s: float = 0.0,
        accept: tuple[Status, ...] = (Status.OK,),
    ) -> Reply:
        """The reply to a request; raises LinkError if there is none, or one of wrong status."""
        self._exchange.forget()
        reply = self._exchange.ask(kind, payload, limit_s=limit_s)
        if reply is None:
            raise self._diagnose(kind)[0]
        self._check_boot(reply, kind)
        if reply.status not in accept:
            raise refused(kind, reply.status)
        return reply

    def _search(
        self, rates: list[int], limit_s: float, unlike: int | None = None
    ) -> tuple[DeviceInfo | None, bytes]:
        """Say HELLO at each rate in turn until the board answers or time is up.

        ``unlike``: a boot id that must be gone. Also returns the foreign bytes seen at the first
        rate, the one at which they mean something.
        """
        hello_s = self._exchange.timing.hello_s
        end = self.clock() + limit_s
        evidence = b""
        anew = True
        while True:
            for rate in rates:
                self._exchange.set_rate(rate)
                reply = self._exchange.ask(Type.HELLO, limit_s=hello_s, tries=1, anew=anew)
                anew = False
                if reply is not None and reply.boot_id != unlike:
                    return self._take_info(reply), evidence
                if rate == rates[0]:
                    evidence += self._exchange.evidence()
            if self.clock() >= end:
                self._exchange.set_rate(rates[0])
                return None, evidence

    def _step(self, pipeline: Pipeline, keep_going: bool) -> None:
        """One step; what a pipeline cannot mend itself is mended here or raised."""
        answered, rate, network = pipeline.answered, self.baud, self.info.network_id
        try:
            pipeline.step()
        except Silence:
            error, alive = self._diagnose(Type.STREAM)
            if alive and pipeline.answered > pipeline.answered_at_stall:
                pipeline.send_again()
                return
        except RebootError as reboot:
            error = reboot
        else:
            if pipeline.answered > answered:
                self._judge_line(pipeline)
            return
        if not (keep_going and isinstance(error, RebootError)):
            raise error
        cause = "unknown" if error.cause is None else error.cause.name.lower().replace("_", " ")
        self._restarts[cause] = self._restarts.get(cause, 0) + 1
        if self.connect().network_id != network:
            raise error
        self.negotiate_baud(rate)
        assert self._boot_id is not None
        pipeline.boot_id = self._boot_id
        pipeline.send_again()

    def _judge_line(self, pipeline: Pipeline) -> None:
        """Go down by one rate if the present one damages too much."""
        counts = self._pipeline_counts
        good = self.statistics.frames
        damage = self.statistics.bad_chunks + counts.timeouts + counts.holes
        if good - self._watched[0] < WATCHED_FRAMES:
            return
        bad = damage - self._watched[1] > MOST_DAMAGED
        self._watched = (good, damage)
        lower = [rate for rate in BAUD_RATES if rate < self.baud]
        if bad and lower:
            self._slowdowns += 1
            self._move_to(lower[-1])
            pipeline.send_again()

    def _diagnose(self, kind: Type) -> tuple[LinkError, bool]:
        """Why a request got no answer, and whether the same start of the board still lives.

        A restart is looked for, since it explains the most.
        """
        evidence = self._exchange.evidence()
        baud, before = self.baud, self._boot_id
        rates = [baud] if baud == DEFAULT_BAUD else [baud, DEFAULT_BAUD]
        found, later = self._search(rates, self._exchange.timing.reboot_s)
        if found is None:
            return no_answer(evidence + later, kind.name, baud), False
        if before is not None and found.boot_id != before:
            return RebootError(before, found.boot_id, found.reset_cause, kind.name), False
        return (no_answer(evidence, kind.name, baud) if evidence else unanswered(kind.name)), True

    def _line_holds(self, rate: int) -> bool:
        """Whether test patterns come back whole; old firmware only says that they arrived."""
        size = min(_TRIAL_BYTES, self.info.max_payload - messages.REPLY_PREFIX.size)
        damage = self.statistics.bad_chunks + self.statistics.overlong_chunks
        for pattern in _trial_patterns(rate, size):
            reply = self._exchange.ask(Type.ECHO, pattern, tries=1)
            if reply is None or (reply.status == Status.OK and reply.body != pattern):
                return False
        return damage == self.statistics.bad_chunks + self.statistics.overlong_chunks

    def _check_boot(self, reply: Reply, kind: Type) -> None:
        before, self._boot_id = self._boot_id, reply.boot_id
        if before is not None and before != reply.boot_id:
            raise RebootError(before, reply.boot_id, reply.reset_cause, kind.name)

    def _take_info(self, reply: Reply) -> DeviceInfo:
        self._info = device_info(reply)
        self._boot_id = reply.boot_id
        return self._info

    def _scores(self, first: bytes, have: int) -> NDArray[np.int32]:
        """All output values: those in the INFER reply, the rest by OUTPUT requests."""
        import numpy as np

        overhead = messages.REPLY_PREFIX.size + messages.OUTPUT_REPLY.size
        room = (min(self.info.max_payload, messages.MAX_PAYLOAD) - overhead) // 4
        parts = [first]
        while have < self.info.output_values:
            wanted = min(self.info.output_values - have, room)
            reply = self._request(Type.OUTPUT, messages.OUTPUT.pack(have, wanted))
            parts.append(output_reply(reply, have, wanted))
            have += len(parts[-1]) // 4
        return np.frombuffer(b"".join(parts), "<i4").astype(np.int32)

    def _move_to(self, rate: int) -> bool:
        """Change both sides to ``rate``; on failure both are back at the old or default one."""
        before = self.baud
        reply = self._exchange.ask(Type.SET_BAUD, messages.SET_BAUD.pack(rate))
        if reply is not None:
            self._check_boot(reply, Type.SET_BAUD)
            if reply.status != Status.OK:
                return False
        # Without a reply the board may have changed all the same: look at the new rate as well.
        self._sleep(self._exchange.timing.settle_s)
        self._exchange.set_rate(rate)
        lower = rate < before  # any lower rate is better than the one that is given up
        if self._exchange.ask(Type.HELLO) is not None if lower else self._line_holds(rate):
            return True
        # Asked at the bad rate it may still understand; else it goes back by itself, after errors.
        self._exchange.ask(Type.SET_BAUD, messages.SET_BAUD.pack(before), tries=2)
        limit = self._exchange.timing.reboot_s
        found, evidence = self._search([before, DEFAULT_BAUD], limit)
        if found is None:
            raise no_answer(evidence, f"the return from {rate} baud", before)
        return False


def _streamed(arrival: Arrival, before: float) -> Inference:
    """A frame's result; ``before``: when the result ahead of it arrived."""
    import numpy as np

    result = arrival.reply
    on_board_s = (result.load_us + result.inference_us + result.unload_us + result.post_us) / 1e6
    return Inference(
        scores=np.frombuffer(result.values, "<i4").astype(np.int32),
        class_index=result.class_index,
        load_us=result.load_us,
        inference_us=result.inference_us,
        unload_us=result.unload_us,
        post_us=result.post_us,
        link_s=max(0.0, arrival.arrived - max(before, arrival.begun) - on_board_s),
        boot_id=arrival.boot_id,
        end_tick=arrival.end_tick,
    )


def _trial_patterns(rate: int, size: int) -> Iterator[bytes]:
    """What stresses a line: long runs of one level, the fastest changes, and everything else."""
    yield bytes(size)
    yield b"\xff" * size
    yield b"\x55" * size
    yield random.Random(rate).randbytes(size)
