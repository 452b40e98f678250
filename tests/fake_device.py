"""A board in Python that speaks the link protocol, for tests, and a port that damages the traffic.

The framing here is its own (the ``cobs`` package and zlib), so that an error in the host's framing
shows. Run as a program it serves one board on a pseudo-terminal, as the virtual board does.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cobs import cobs

from max78k.host import messages
from max78k.host.messages import ResetCause, Status, Type

Chunks = list[tuple[float, bytes]]  # (delay in seconds, bytes)


class FakeClock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def encode(kind: int, sequence: int, payload: bytes, version: int = 1) -> bytes:
    body = struct.pack("<BBHH", version, kind, sequence, len(payload)) + payload
    return cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def network(data: bytes, count: int) -> list[int]:
    """The network of the fake board: output n is -1000 * input byte n (int8), repeated."""
    values = struct.unpack(f"{len(data)}b", data)
    return [-1000 * values[n % len(values)] for n in range(count)]


@dataclass
class FakeBoard:
    input_bytes: int = 100
    output_values: int = 10
    timer_hz: int = 50_000_000
    max_payload: int = messages.MAX_PAYLOAD
    name: bytes = b"fake"
    network_id: int = 0xCAFEF00D
    version: int = 1
    baud: int = 115200
    has_class: bool = True
    boot_id: int = 0x11111111
    cause: int = ResetCause.POWER_ON
    ticks: tuple[int, int, int, int] = (1000, 75800, 500, 250)  # 20, 1516, 10, 5 us
    self_test: tuple[int, int, int, int, int] = (0, 40, 0, 0, 0)
    infer_s: float = 0.0
    refuse: dict[int, int] = field(default_factory=dict)  # request type -> status
    good_rates: tuple[int, ...] = messages.BAUD_RATES  # rates at which the line works
    stream_window: int = 0
    reboot_at_infer: int = 0  # number of the inference, from 1, that a brown-out ends
    log: list[int] = field(default_factory=list)  # types of the requests carried out
    _buffer: bytes = b""
    _memory: tuple[bytes, bytes] | None = None  # last request and its reply
    _input: bytearray = field(default_factory=bytearray)
    _output: list[int] = field(default_factory=list)
    _packet_values: int = 0  # of CSI
    _packets: bytes = b""
    _filling: dict[int, bytearray] = field(default_factory=dict)  # frames of a stream by number
    _results: dict[int, bytes] = field(default_factory=dict)

    def receive(self, data: bytes) -> list[bytes]:
        """Replies to all requests that ``data`` completes."""
        *chunks, self._buffer = (self._buffer + data).split(b"\0")
        return [reply for chunk in chunks if chunk for reply in self._answer(chunk)]

    def reboot(self, cause: int = ResetCause.POWER_ON) -> None:
        self.boot_id = (self.boot_id + 0x11111111) & 0xFFFFFFFF
        self.cause = cause
        self.baud = messages.DEFAULT_BAUD
        self._buffer, self._memory, self._input = b"", None, bytearray()
        self._filling, self._results = {}, {}

    def _answer(self, chunk: bytes) -> list[bytes]:
        try:
            data = cobs.decode(chunk)
        except cobs.DecodeError:
            return []
        if len(data) < 10 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            return []
        if self._memory and self._memory[0] == chunk:
            return [self._memory[1]]
        version, kind, sequence, _ = struct.unpack_from("<BBHH", data)
        if kind == Type.STREAM and version == self.version:
            return self._stream(sequence, data[6:-4])
        self.log.append(kind)
        if kind == Type.INFER and self.log.count(Type.INFER) == self.reboot_at_infer:
            self.reboot()
            return []
        status, body = self._carry_out(version, kind, data[6:-4])
        payload = struct.pack("<IHH", self.boot_id, self.cause, status) + body
        reply = encode(kind | 0x80, sequence, payload, self.version)
        self._memory = (chunk, reply)
        return [reply]

    def _stream(self, sequence: int, payload: bytes) -> list[bytes]:
        """Reply to a part, if it has one; runs are as quick as thought."""
        number, offset = struct.unpack_from("<II", payload)
        part = payload[8:]

        def reply(status: int, body: bytes) -> list[bytes]:
            head = struct.pack("<IHH", self.boot_id, self.cause, status)
            return [encode(Type.STREAM | 0x80, sequence, head + body, self.version)]

        if number in self._results:
            return reply(Status.OK, self._results[number])
        if number not in self._filling and len(self._filling) >= self.stream_window - 1:
            return reply(Status.BUSY, struct.pack("<II", number, 0))
        content = self._filling.get(number, bytearray())
        if offset > len(content):
            return reply(Status.HOLE, struct.pack("<II", number, len(content)))
        self._filling[number] = content
        content[offset : offset + len(part)] = part
        if len(content) < self.input_bytes:
            return []
        self.log.append(Type.STREAM)
        if self.log.count(Type.STREAM) == self.reboot_at_infer:
            self.reboot()
            return []
        scores = network(bytes(self._filling.pop(number)), self.output_values)
        index = scores.index(max(scores)) if self.has_class else 0xFFFF
        end = 0xFFFF_FF00 + 1000 * self.log.count(Type.STREAM) & 0xFFFF_FFFF
        body = struct.pack("<IIIIIIHH", number, end, *self.ticks, index, len(scores))
        self._results[number] = body + struct.pack(f"<{len(scores)}i", *scores)
        for old in sorted(self._results)[:-4]:
            del self._results[old]
        return reply(Status.OK, self._results[number])

    def _carry_out(self, version: int, kind: int, payload: bytes) -> tuple[int, bytes]:
        if version != self.version:
            return Status.BAD_VERSION, b""
        if kind in self.refuse:
            return self.refuse[kind], b""
        actions: dict[int, Callable[[bytes], tuple[int, bytes]]] = {
            Type.HELLO: self._hello, Type.SET_BAUD: self._set_baud, Type.INPUT: self._take_input,
            Type.INFER: self._infer, Type.OUTPUT: self._send_output,
            Type.SELF_TEST: self._self_test, Type.RESET: lambda _: (Status.OK, b""),
            Type.CSI_SETUP: self._collect_csi, Type.CSI_PACKETS: self._take_packets,
            Type.ECHO: lambda payload: (Status.OK, payload),
            Type.STATISTICS: lambda _: (Status.OK, struct.pack("<7I", 1, 2, 3, 4, 5, 6, 50_000)),
        }  # fmt: skip
        if kind not in actions:
            return Status.UNKNOWN_TYPE, b""
        return actions[kind](payload)

    def _hello(self, payload: bytes) -> tuple[int, bytes]:
        return Status.OK, struct.pack(
            "<BBBBHHIIIII64s", self.version, 1, 0, self.stream_window, self.max_payload,
            self.output_values,
            self.network_id, 100_000_000, self.timer_hz, self.input_bytes, 4 * self.output_values,
            self.name,
        )  # fmt: skip

    def _set_baud(self, payload: bytes) -> tuple[int, bytes]:
        (rate,) = struct.unpack("<I", payload)
        return (Status.OK if rate in messages.BAUD_RATES else Status.BAD_RANGE), b""

    def _take_input(self, payload: bytes) -> tuple[int, bytes]:
        (offset,) = struct.unpack_from("<I", payload)
        part = payload[4:]
        if offset == 0:
            self._input = bytearray()
        if offset > len(self._input) or offset + len(part) > self.input_bytes:
            return Status.BAD_RANGE, b""
        self._input[offset : offset + len(part)] = part
        return Status.OK, struct.pack("<I", len(self._input))

    def _collect_csi(self, payload: bytes) -> tuple[int, bytes]:
        (self._packet_values,) = struct.unpack_from("<H", payload)
        return Status.OK, b""

    def _take_packets(self, payload: bytes) -> tuple[int, bytes]:
        self._packets += payload
        return Status.OK, struct.pack("<I", len(payload) // self._packet_values)

    def _infer(self, payload: bytes) -> tuple[int, bytes]:
        if len(self._input) != self.input_bytes:
            return Status.NO_INPUT, b""
        self._output = network(bytes(self._input), self.output_values)
        index = self._output.index(max(self._output)) if self.has_class else 0xFFFF
        first = self._output[: (self.max_payload - 28) // 4]
        body = struct.pack("<IIIIHH", *self.ticks, index, len(first))
        return Status.OK, body + struct.pack(f"<{len(first)}i", *first)

    def _send_output(self, payload: bytes) -> tuple[int, bytes]:
        first, count = struct.unpack("<HH", payload)
        if first + count > len(self._output) or count > (self.max_payload - 12) // 4:
            return Status.BAD_RANGE, b""
        part = self._output[first : first + count]
        return Status.OK, struct.pack("<HH", first, count) + struct.pack(f"<{count}i", *part)

    def _self_test(self, payload: bytes) -> tuple[int, bytes]:
        status = Status.MISMATCH if self.self_test[0] else Status.OK
        return status, struct.pack("<IIIII", *self.self_test)


def intact(number: int, data: bytes) -> Chunks:
    """A line without faults: each fault function maps (message number, bytes) to chunks."""
    return [(0.0, data)]


class FakePort:
    """An in-memory serial port to a FakeBoard; reading waits on the fake clock."""

    def __init__(
        self,
        board: FakeBoard | None,
        clock: FakeClock,
        to_host: Callable[[int, bytes], Chunks] = intact,
        to_board: Callable[[int, bytes], Chunks] = intact,
    ) -> None:
        self.board = board
        self.clock = clock
        self.to_host = to_host
        self.to_board = to_board
        self.baudrate = messages.DEFAULT_BAUD
        self.closed = False
        self.replies = 0
        self.writes = 0
        self._queue: list[tuple[float, bytes]] = []

    def push(self, data: bytes, delay: float = 0.0) -> None:
        """Let ``data`` arrive at the host."""
        self._queue.append((self.clock.now + delay, data))
        self._queue.sort(key=lambda entry: entry[0])

    @property
    def in_waiting(self) -> int:
        return sum(len(data) for when, data in self._queue if when <= self.clock.now)

    def write(self, data: bytes) -> int:
        self.writes += 1
        for _, chunk in self.to_board(self.writes, data):
            self._deliver(chunk)
        return len(data)

    def _deliver(self, data: bytes) -> None:
        board = self.board
        if board is None:
            return
        if self.baudrate != board.baud or self.baudrate not in board.good_rates:
            data = bytes(byte ^ 0x55 for byte in data)
        for reply in board.receive(data):
            self.replies += 1
            kind = cobs.decode(reply[:-1])[1] & 0x7F
            delay = board.infer_s if kind == Type.INFER else 0.0
            for extra, chunk in self.to_host(self.replies, reply):
                self.push(chunk, delay + extra)
            if kind == Type.SET_BAUD and kind not in board.refuse:
                self._change_baud(data)
            if kind == Type.RESET:
                board.reboot(ResetCause.SOFTWARE)

    def _change_baud(self, request: bytes) -> None:
        body = cobs.decode(request.strip(b"\0"))
        (rate,) = struct.unpack("<I", body[6:-4])
        if rate in messages.BAUD_RATES:
            self.board.baud = rate

    def read(self, size: int = 1) -> bytes:
        while self._queue and self._queue[0][0] <= self.clock.now:
            when, data = self._queue.pop(0)
            if len(data) > size:
                self._queue.insert(0, (when, data[size:]))
            return data[:size]
        self.clock.now += 0.02
        return b""

    def reset_input_buffer(self) -> None:
        self._queue = [entry for entry in self._queue if entry[0] > self.clock.now]

    def close(self) -> None:
        self.closed = True


def serve(board: FakeBoard, master: int, stop_after: int = 0) -> None:
    """Answer requests on a pseudo-terminal's master until it is closed."""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            return
        for reply in board.receive(data):
            os.write(master, reply)
        if stop_after and len(board.log) >= stop_after:
            print("fake board: stopped on purpose", file=sys.stderr, flush=True)
            os._exit(3)


@contextmanager
def on_terminal(board: FakeBoard) -> Iterator[str]:
    """The board on a pseudo-terminal of its own; gives its path."""
    import tty

    master, slave = os.openpty()
    tty.setraw(slave)
    thread = threading.Thread(target=serve, args=(board, master), daemon=True)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.close(slave)
        thread.join(10)  # it must not read the next board's requests by the same number
        os.close(master)


def main() -> None:
    import tty

    mode = sys.argv[1]
    if mode == "die":
        print("fake board: no such instruction", file=sys.stderr)
        sys.exit(1)
    master, slave = os.openpty()
    tty.setraw(slave)
    if mode == "mute":
        os.read(master, 1)
    print("starting", flush=True)
    print("read of a word nobody wrote", file=sys.stderr, flush=True)
    print(f"pty {os.ttyname(slave)}", flush=True)
    serve(FakeBoard(), master, stop_after=3 if mode == "stop" else 0)


if __name__ == "__main__":
    main()
