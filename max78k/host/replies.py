"""What the board's replies contain, checked: the host trusts no length and no index of a board."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from max78k.host import messages
from max78k.host.diagnosis import bad_reply, printable, refused, wrong_version
from max78k.host.messages import Status, Type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NO_CLASS = 0xFFFF  # the firmware picks no class (the output is no list of scores)
_LEAST_PAYLOAD = 64  # smaller frames would carry next to nothing but their overhead
TICK_MASK = 0xFFFF_FFFF  # device counters have 32 bits and wrap


@dataclass(frozen=True)
class Reply:
    """A reply without its prefix."""

    boot_id: int
    reset_cause: int
    status: int
    body: bytes


@dataclass(frozen=True)
class DeviceInfo:
    """What the board says of itself in HELLO. ``network_id`` is the CRC-32 of the image."""

    protocol: int
    firmware: str
    network_name: str
    network_id: int
    core_clock_hz: int
    timer_hz: int
    input_bytes: int
    output_values: int
    max_payload: int
    boot_id: int
    reset_cause: int
    stream_window: int = 0  # frames that may be under way at a time; 0: one request at a time


@dataclass(frozen=True)
class Inference:
    """One result. Microseconds are from the board's timer; ``link_s`` is the host's wall time.

    ``scores``: int32, as unloaded; ``class_index`` is None where the firmware picks no class.
    ``link_s`` covers input, request and output transfer, less the board's own four phases; in a
    stream it counts from the result before. ``end_tick`` is the board's timer at the end of the
    run, in a stream only. ``window_us`` is what making the input from CSI packets took.
    """

    scores: NDArray[np.int32]
    class_index: int | None
    load_us: float
    inference_us: float
    unload_us: float
    post_us: float
    link_s: float
    boot_id: int
    end_tick: int | None = None
    window_us: float = 0.0


@dataclass(frozen=True)
class SelfTest:
    """Result of the known-answer test; ``address``, ``expected``, ``read``: the first mismatch."""

    mismatches: int
    words: int
    address: int
    expected: int
    read: int

    @property
    def passed(self) -> bool:
        """All words equal, and at least one was compared."""
        return self.mismatches == 0 and self.words > 0


def ticks_to_us(ticks: int, timer_hz: int) -> float:
    """Microseconds in a 32-bit tick count; a difference of two counts may have wrapped once."""
    return (ticks & TICK_MASK) * 1e6 / timer_hz


def parse(layout: struct.Struct, kind: Type, body: bytes) -> tuple[Any, ...]:
    """The fields at the start of ``body``; raises LinkError ``E-LINK-REPLY`` if it is too short."""
    if len(body) < layout.size:
        raise bad_reply(kind, f"{len(body)} bytes where {layout.size} are due")
    return layout.unpack_from(body)


def reply_of(kind: Type, payload: bytes) -> Reply:
    """Split a reply's payload into its prefix and the rest."""
    boot_id, cause, status = parse(messages.REPLY_PREFIX, kind, payload)
    return Reply(boot_id, cause, status, payload[messages.REPLY_PREFIX.size :])


def device_info(reply: Reply) -> DeviceInfo:
    """HELLO's contents; nothing later divides by zero or trusts a length of it."""
    if reply.status != Status.OK:
        raise refused(Type.HELLO, reply.status)
    fields = parse(messages.HELLO_REPLY, Type.HELLO, reply.body)
    protocol, major, minor, window, payload, values, network, *rest = fields
    core, timer, inputs, outputs, name = rest
    if protocol != messages.PROTOCOL_VERSION:
        raise wrong_version(protocol)
    if not timer or not inputs or payload < _LEAST_PAYLOAD or outputs != 4 * values:
        raise bad_reply(
            Type.HELLO,
            f"timer {timer} Hz, {inputs} input bytes, {values} values in {outputs} output bytes,"
            f" payloads up to {payload} bytes",
        )
    return DeviceInfo(
        protocol=protocol,
        firmware=f"{major}.{minor}",
        network_name=printable(name.split(b"\0")[0]),
        network_id=network,
        core_clock_hz=core,
        timer_hz=timer,
        input_bytes=inputs,
        output_values=values,
        max_payload=payload,
        stream_window=min(window, (messages.STREAM_RESULTS + 1) // 2),
        boot_id=reply.boot_id,
        reset_cause=reply.reset_cause,
    )


@dataclass(frozen=True)
class InferReply:
    """INFER's contents: phases in microseconds, and the first output values as bytes."""

    load_us: float
    inference_us: float
    unload_us: float
    post_us: float
    class_index: int | None
    count: int
    values: bytes


def infer_reply(reply: Reply, info: DeviceInfo) -> InferReply:
    """INFER's contents, held against what HELLO stated."""
    fields = parse(messages.INFER_REPLY, Type.INFER, reply.body)
    return _result(Type.INFER, fields, reply.body[messages.INFER_REPLY.size :], info)


def stream_reply(reply: Reply, info: DeviceInfo) -> tuple[InferReply, int]:
    """A frame's result and the board's timer at the end of its run."""
    fields = parse(messages.STREAM_REPLY, Type.STREAM, reply.body)
    values = reply.body[messages.STREAM_REPLY.size :]
    result = _result(Type.STREAM, fields[2:], values, info)
    if result.count != info.output_values:
        raise bad_reply(Type.STREAM, f"{result.count} values, HELLO stated {info.output_values}")
    return result, fields[1]


def _result(kind: Type, fields: tuple[Any, ...], values: bytes, info: DeviceInfo) -> InferReply:
    *ticks, index, count = fields
    if index != NO_CLASS and index >= info.output_values:
        raise bad_reply(kind, f"class {index} of {info.output_values} output values")
    if count > info.output_values:
        raise bad_reply(kind, f"{count} values, HELLO stated {info.output_values}")
    load, inference, unload, post = (ticks_to_us(value, info.timer_hz) for value in ticks)
    return InferReply(
        load_us=load,
        inference_us=inference,
        unload_us=unload,
        post_us=post,
        class_index=None if index == NO_CLASS else index,
        count=count,
        values=_values(kind, values, count),
    )


def output_reply(reply: Reply, first: int, wanted: int) -> bytes:
    """OUTPUT's values from number ``first`` on: at least one, at most ``wanted``."""
    start, count = parse(messages.OUTPUT_REPLY, Type.OUTPUT, reply.body)
    if start != first or not 0 < count <= wanted:
        raise bad_reply(
            Type.OUTPUT, f"{count} values from {start}, asked for {wanted} from {first}"
        )
    return _values(Type.OUTPUT, reply.body[messages.OUTPUT_REPLY.size :], count)


def self_test_reply(reply: Reply) -> SelfTest:
    """SELF_TEST's contents; the status and the count of mismatches must agree."""
    result = SelfTest(*parse(messages.SELF_TEST_REPLY, Type.SELF_TEST, reply.body))
    if result.passed != (reply.status == Status.OK):
        raise bad_reply(
            Type.SELF_TEST,
            f"status {reply.status}, {result.mismatches} mismatches in {result.words} words",
        )
    return result


@dataclass(frozen=True)
class DeviceCounts:
    """What the board has seen on the line since its start, modulo 2^32.

    ``weights_ticks``: of its timer, that loading the weights took; 0 from firmware that does not
    say it.
    """

    frames: int
    bad_frames: int
    line_errors: int
    repeats: int
    holes: int
    runs: int
    weights_ticks: int


def statistics_reply(reply: Reply) -> DeviceCounts:
    """STATISTICS's contents."""
    body = reply.body + bytes(4)  # older firmware leaves the last count out
    return DeviceCounts(*parse(messages.STATISTICS_REPLY, Type.STATISTICS, body))


def _values(kind: Type, data: bytes, count: int) -> bytes:
    if len(data) != 4 * count:
        raise bad_reply(kind, f"{count} values stated, {len(data)} bytes sent")
    return data
