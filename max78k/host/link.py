"""A board on the serial link: who it is, input, inference, self test, baud rate, restart.

The host asks, the board answers, one request at a time, or for many inputs in a pipeline
(:meth:`Device.stream`). A request that is not answered in time is
sent again with the same sequence number, and the board does not carry it out twice. A board that
restarts is noticed by its boot id, which every reply carries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from max78k.errors import InputError, LinkError
from max78k.host import messages
from max78k.host.diagnosis import RebootError, bad_reply, no_answer, refused
from max78k.host.exchange import Exchange, Timing
from max78k.host.framing import Statistics
from max78k.host.input_bytes import int8_bytes, packet_bytes
from max78k.host.line import Line
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
    infer_reply,
    output_reply,
    parse,
    self_test_reply,
    statistics_reply,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MOST_RESTARTS = 5  # of a board in a row without a result between them


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
        self._line = Line(self._exchange, sleep)
        self._packet_values = 0  # of a CSI packet; 0 until the board collects them
        self._pipeline_counts = PipelineCounts()
        self._restarts: dict[str, int] = {}

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
        return self._line.info or self.connect()

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
        found, evidence = self._line.find(rates, self._exchange.timing.connect_s)
        if found is None:
            raise no_answer(evidence, "HELLO", rates[0])
        return found

    def hello(self) -> DeviceInfo:
        """Ask the board who it is."""
        return self._line.take_info(self._request(Type.HELLO))

    def negotiate_baud(self, highest: int = BAUD_RATES[-1]) -> int:
        """Climb to the highest rate up to ``highest`` that the line holds; returns the rate.

        Each rate must carry a test pattern both ways without a single error. After one that does
        not, the last good one is taken; the board leaves a bad rate by itself when nothing valid
        arrives. A rate that errs too much in use is given up, and tried again later.
        """
        assert self.info is not None  # connects
        self._line.trust()
        return self._line.climb(highest)

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
            searching=replace(self._exchange.elsewhere),
            slowdowns=self._line.slowdowns,
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
        boot_id = self._line.boot_id
        assert boot_id is not None  # info has been asked for
        pipeline = Pipeline(self._exchange, self.info, boot_id, self._pipeline_counts)
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

        Raises InputError ``E-LINK-INPUT`` for packets that do not fit into a frame.
        """
        room = min(self.info.max_payload, messages.MAX_PAYLOAD)
        if values > room:
            raise InputError(
                "E-LINK-INPUT",
                f"packets of {values} bytes do not fit into the board's frames of {room}.",
                "receive fewer subcarriers, or let the host make the windows",
            )
        content = messages.CSI_SETUP.pack(values, len(subcarriers), gain) + bytes(subcarriers)
        self._request(Type.CSI_SETUP, content)
        self._packet_values = values

    def send_csi(self, packets: Any) -> None:
        """Send packets, int8 [N, values], after :meth:`collect_csi`; N may be 0.

        Raises InputError ``E-LINK-INPUT`` for another type or size.
        """
        values = self._packet_values
        content = packet_bytes(packets, values)
        room = min(self.info.max_payload, messages.MAX_PAYLOAD)
        part = room - room % values
        for offset in range(0, len(content), part):
            sent = content[offset : offset + part]
            reply = self._request(Type.CSI_PACKETS, sent)
            (taken,) = parse(messages.CSI_PACKETS_REPLY, Type.CSI_PACKETS, reply.body)
            if taken != len(sent) // values:
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
        before, rate = self._line.boot_id, self.baud
        limit = self._exchange.timing.reboot_s
        for _ in range(self._exchange.timing.tries):
            # A board that has restarted must not be asked once more: each try is a look of its own.
            reply = self._exchange.ask(Type.RESET, tries=1)
            if reply is not None and reply.status != Status.OK:
                raise refused(Type.RESET, reply.status)
            rates = (
                [DEFAULT_BAUD]
                if reply is not None or rate == DEFAULT_BAUD
                else [DEFAULT_BAUD, rate]
            )
            found, evidence = self._line.find(rates, limit, unlike=before)
            if found is not None:
                return found
            self._exchange.set_rate(rate)
        raise no_answer(evidence, "restart", self.baud)

    def close(self) -> None:
        """Return to the default baud rate if the board still listens, and close the port."""
        try:
            if self._line.boot_id is not None and self.baud != DEFAULT_BAUD:
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
        self._tend()
        self._exchange.forget()
        reply = self._exchange.ask(kind, payload, limit_s=limit_s)
        evidence = self._exchange.evidence()
        if reply is None:
            reply = self._line.ask_at_default(kind, payload, limit_s)
        if reply is None:
            raise self._line.diagnose(kind, evidence)[0]
        self._line.check_boot(reply, kind)
        if reply.status not in accept:
            raise refused(kind, reply.status)
        return reply

    def _tend(self) -> bool:
        counts = self._pipeline_counts
        return self._line.tend(self.retries + counts.timeouts + counts.holes)

    def _step(self, pipeline: Pipeline, keep_going: bool) -> None:
        """One step; what a pipeline cannot mend itself is mended here or raised."""
        answered, rate = pipeline.answered, self.baud
        try:
            pipeline.step()
            if pipeline.answered > answered and self._tend():
                pipeline.send_again()
            return
        except Silence:
            error, alive = self._line.diagnose(Type.STREAM, self._exchange.evidence())
            if alive and pipeline.answered > pipeline.answered_at_stall:
                pipeline.send_again()
                return
        except RebootError as reboot:
            error = reboot
        if not keep_going:
            raise error
        self._go_on(pipeline, error, rate)

    def _go_on(self, pipeline: Pipeline, error: LinkError, rate: int) -> None:
        """Take the board back after a restart, at the rate it had, and send again."""
        network = self.info.network_id
        while isinstance(error, RebootError):
            cause = "unknown" if error.cause is None else error.cause.name.lower().replace("_", " ")
            self._restarts[cause] = self._restarts.get(cause, 0) + 1
            if pipeline.note_restart() > MOST_RESTARTS:
                break
            try:
                if self.connect().network_id != network:
                    break
                self._line.climb(rate)
            except RebootError as again:
                error = again
                continue
            boot_id = self._line.boot_id
            assert boot_id is not None
            pipeline.boot_id = boot_id
            pipeline.send_again()
            return
        raise error

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
