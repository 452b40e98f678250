"""A board on the serial link: who it is, input, inference, self test, baud rate, restart.

The host asks, the board answers, one request at a time. A request that is not answered in time is
sent again with the same sequence number, and the board does not carry it out twice. A board that
restarts is noticed by its boot id, which every reply carries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from max78k.errors import InputError, LinkError
from max78k.host import messages
from max78k.host.diagnosis import RebootError, bad_reply, no_answer, refused, unanswered
from max78k.host.exchange import Exchange, Timing
from max78k.host.framing import Statistics
from max78k.host.messages import BAUD_RATES, DEFAULT_BAUD, Status, Type
from max78k.host.ports import Port
from max78k.host.replies import (
    DeviceInfo,
    Inference,
    Reply,
    SelfTest,
    device_info,
    infer_reply,
    output_reply,
    parse,
    self_test_reply,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Device:
    """A board on an open port.

    ::

        with Device(open_port("auto")) as device:
            result = device.infer(input_bytes)

    Entering connects (and raises LinkError with one of the codes of
    :mod:`max78k.host.diagnosis`), leaving returns to the default baud rate and closes the port.
    ``clock`` and ``sleep`` are replaced in tests.
    """

    def __init__(
        self,
        port: Port,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._exchange = Exchange(port, timing or Timing(), clock)
        self._sleep = sleep
        self._boot_id: int | None = None
        self._info: DeviceInfo | None = None
        self._packet_bytes = 1  # of a CSI packet

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
        """Move to the highest rate up to ``highest`` at which HELLO works; returns the rate.

        A rate that fails is left again: the board returns to the default rate by itself when
        nothing valid arrives at the new one.
        """
        for rate in sorted(BAUD_RATES, reverse=True):
            if self.baud < rate <= highest and self._move_to(rate):
                break
        return self.baud

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
            raise self._diagnose(kind)
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

    def _diagnose(self, kind: Type) -> LinkError:
        """Why a request got no answer; a restart is looked for, since it explains the most."""
        evidence = self._exchange.evidence()
        baud, before = self.baud, self._boot_id
        rates = [baud] if baud == DEFAULT_BAUD else [baud, DEFAULT_BAUD]
        found, later = self._search(rates, self._exchange.timing.reboot_s)
        if found is None:
            return no_answer(evidence + later, kind.name, baud)
        if before is not None and found.boot_id != before:
            return RebootError(before, found.boot_id, found.reset_cause, kind.name)
        return no_answer(evidence, kind.name, baud) if evidence else unanswered(kind.name)

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
        if self._exchange.ask(Type.HELLO, tries=2) is not None:
            return True
        limit = self._exchange.timing.reboot_s
        found, evidence = self._search([before, DEFAULT_BAUD], limit)
        if found is None:
            raise no_answer(evidence, f"the return from {rate} baud", before)
        return False


def int8_bytes(data: Any, info: DeviceInfo) -> bytes:
    """The input as bytes; an array of another type is refused, for its bytes would mislead."""
    wanted = f"{info.network_name} takes {info.input_bytes} int8 values"
    is_bytes = isinstance(data, (bytes, bytearray, memoryview))
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise InputError("E-LINK-INPUT", f"the input is of type {kind}; {wanted}.") from None
    if not is_bytes and view.format != "b":
        raise InputError(
            "E-LINK-INPUT",
            f"the input's type code is {view.format!r}; {wanted}.",
            "convert it to int8: 8-bit pixels from 0 to 255 less 128",
        )
    if view.nbytes != info.input_bytes:
        raise InputError(
            "E-LINK-INPUT",
            f"the input has {view.nbytes} bytes; {wanted}.",
            "resize the input, or flash the network that it was made for",
        )
    return view.tobytes()
