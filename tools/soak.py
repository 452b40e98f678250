"""Many frames over a bad line to a board that restarts: nothing wrong may be taken for a result.

    python tools/soak.py --frames 100000

The virtual board runs a tiny network. On the line, in both directions, each byte may have a wrong
bit or be lost, each frame may come twice, in two halves or late, all with the given chance; the
board is reset at random moments, by its pin or by a loss of power. The run depends on the seed
alone. Exit status 1 if a result is wrong or missing, or if a count differs from what the bytes that
reached a receiver say (``link_ledger``).

What is held against each other, all of it to the last one:

* frames damaged towards the host, by name (CRC, COBS, length), and sound ones;
* frames damaged towards the board, and sound ones, separately for each stretch between two resets
  or changes of the rate: what the firmware had taken from its buffers by then. What was still in
  them is lost with the buffers, and is shown as such;
* replies that the host had no use for: they came twice or late;
* requests that the board knew already, unless the board refuses one for want of room (BUSY);
* restarts, by their cause.

What cannot be told apart at a receiver: a wrong bit from a lost byte; the repetition of a frame by
the line from one by the sender; the reset pin from a loss of power, which the chip reports alike. A
delay or a split frame harms nothing and has no count, unless an answer is late for it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from board_line import BoardPort
from link_ledger import COBS, CRC, CUT, LENGTH, SOUND, Chunk, Ledger
from numpy.typing import NDArray

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.flows.synthesis import compile_network
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.link_report import LinkReport
from max78k.host.messages import (
    BAUD_RATES,
    REPLY_FLAG,
    REPLY_PREFIX,
    STATISTICS_REPLY,
    STREAM,
    Status,
    Type,
)
from max78k.network import Layer, Network, Operation, Pool, reference
from max78k.simulator.board import VirtualBoard

BATCH = 1000
_RESET_WAIT_S = 0.02  # longest time from the answer that is waited for to the reset
TIMING = Timing(
    reply_s=0.05, hello_s=0.05, infer_s=0.2, connect_s=10.0, reboot_s=10.0, settle_s=0.01, tries=20
)


def network() -> Network:
    """Sixteen bytes in, four values out."""
    weight = np.random.default_rng(1).integers(-128, 128, (4, 1, 3, 3), dtype=np.int8)
    layer = Layer("conv", Operation.CONV2D, ("input",), weight, padding=1, output_shift=-3,
                  pool=Pool("max", (4, 4), (4, 4)))  # fmt: skip
    return Network("soak", (1, 4, 4), (layer,), ("conv",))


@dataclass
class BoardBooks:
    """What the firmware must have counted, and what it has."""

    expected: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    lost_in_buffers: int = 0  # chunks that the firmware had not read when its buffers were emptied
    refused_busy: int = 0
    differences: list[str] = field(default_factory=list)


class Watch:
    """Resets the board at the drawn moments, and keeps the books of its side of the line."""

    def __init__(self, board: VirtualBoard, source: random.Random, moments: list[int]) -> None:
        self.board = board
        self.source = source
        self.moments = moments
        self.resets = 0
        self.books = BoardBooks()
        self.port = port = BoardPort(board, before_step=self._before_step)
        port.on_delivered = self._delivered
        port.on_sent = self._sent
        self._at_board, self._sent_by_board = Ledger(), Ledger()
        self._chunks: list[Chunk] = []  # of the present stretch
        self._before: Counter[str] = Counter()  # the firmware's counts when the stretch began
        self._frames: set[int] = set()  # of the stream that this start of the board has taken
        self._last: tuple[int, int] | None = None  # sequence and CRC of the last other request
        self._reset_at: float | None = None
        self._seen_boot: int | None = None
        self._rate = 0
        self._switched = board.console.on_enable
        board.console.on_enable = self._line_switched

    def answered(self, count: int, boot_id: int) -> None:
        """The host has so many results, the last one of this start of the board."""
        if self.moments and count >= self.moments[0] and boot_id != self._seen_boot:
            self._reset_at = self.board.now + self.source.uniform(0, _RESET_WAIT_S)
            self._seen_boot = boot_id
            self.moments.pop(0)

    def _before_step(self) -> float:
        if self._reset_at is None:
            return 1.0
        if self.board.now < self._reset_at:
            return self._reset_at - self.board.now
        self._reset_at = None
        self.end_stretch()
        self.board.reset(power_on=self.source.random() < 0.5)
        self._before.clear()
        self._frames.clear()
        self._last = None
        self.resets += 1
        return 1.0

    def _line_switched(self) -> None:
        """A change of the rate empties the firmware's buffers."""
        self._switched()
        rate = self.board.console.frame(0).bit_time if self.board.console.enabled else 0
        if self._rate and rate and rate != self._rate and self._reset_at is None:
            self.end_stretch()
        self._rate = rate or self._rate

    def end_stretch(self) -> None:
        """Compare what has reached the board with what the firmware has counted."""
        self.port.look_at_board()
        now = self._firmware_counts()
        counted = Counter({name: now[name] - self._before[name] for name in now})
        read = counted["sound"] + counted["damaged"]
        expected: Counter[str] = Counter(sound=0, damaged=0, known=0)
        for chunk in self._chunks[:read]:
            expected["sound" if chunk.kind == SOUND else "damaged"] += 1
            expected["known"] += chunk.kind == SOUND and self._knows(chunk)
        self.books.lost_in_buffers += max(0, len(self._chunks) - read)
        self.books.expected.update(expected)
        self.books.counted.update(counted)
        for name in ("sound", "damaged"):
            if counted[name] != expected[name]:
                self.books.differences.append(
                    f"at {self.board.now:.3f} s the board has counted {counted[name]} {name} "
                    f"frames of {expected[name]}"
                )
        self._before = now
        self._chunks.clear()
        self._at_board.restart()

    def _firmware_counts(self) -> Counter[str]:
        """What the firmware has counted since it started."""
        frames, bad, _, repeats, *_ = STATISTICS_REPLY.unpack(
            self.board.memory(self.board.symbol("statistics"), STATISTICS_REPLY.size)
        )
        streamed = self.board.memory(self.board.symbol("repeats"), 4)
        return Counter(
            sound=frames, damaged=bad, known=repeats + int.from_bytes(streamed, "little")
        )

    def _knows(self, request: Chunk) -> bool:
        """Whether the board has had the request before."""
        if request.type == Type.STREAM:
            number, _ = STREAM.unpack_from(request.payload)
            known = number in self._frames
            self._frames.add(number)
            return known
        last, self._last = self._last, (request.sequence, request.crc)
        return last == self._last

    def _delivered(self, data: bytes) -> None:
        self._chunks += self._at_board.take(data)

    def _sent(self, data: bytes) -> None:
        for reply in self._sent_by_board.take(data):
            if reply.kind == SOUND and reply.type == Type.STREAM | REPLY_FLAG:
                _, _, status = REPLY_PREFIX.unpack_from(reply.payload)
                self.books.refused_busy += status == Status.BUSY


@dataclass
class Soak:
    """What came of a run; ``at_host`` is what has reached the host, by kind."""

    frames: int
    right: int
    wrong: int
    resets: int
    injected: dict[str, int]
    at_host: Counter[str]
    board: BoardBooks
    report: LinkReport
    seconds: float

    def complaints(self) -> list[str]:
        """What must not be."""
        report, books = self.report, self.board
        host = replace(report.received)
        host.add(report.searching)
        unused = self.at_host[SOUND] - self.right - self.wrong - report.answered
        checks = (
            ("wrong results", self.wrong, 0),
            ("results", self.right + self.wrong, self.frames),
            ("restarts by power or pin", report.restarts.get("power on", 0), self.resets),
            ("restarts", sum(report.restarts.values()), self.resets),
            ("sound frames at the host", host.frames, self.at_host[SOUND]),
            ("damaged frames at the host: CRC", host.bad_crc, self.at_host[CRC]),
            ("damaged frames at the host: COBS", host.bad_stuffing, self.at_host[COBS]),
            ("damaged frames at the host: length", host.bad_length + host.overlong_chunks,
             self.at_host[LENGTH]),
            ("chunks cut off at the host", host.cut_chunks, self.at_host[CUT]),
            ("replies that came twice or late", report.late_replies
             + report.pipeline.repeated_replies + report.pipeline.busy + report.pipeline.holes,
             unused),
        )  # fmt: skip
        found = [f"{what}: {count}, not {right}" for what, count, right in checks if count != right]
        known, expected = books.counted["known"], books.expected["known"]
        if abs(known - expected) > books.refused_busy:
            found.append(f"requests that the board knew already: {known}, not {expected}")
        return found + books.differences


def _batches(seed: int, frames: int) -> Iterator[NDArray[np.int8]]:
    generator = np.random.default_rng(seed)
    for begin in range(0, frames, BATCH):
        shape = (min(BATCH, frames - begin), 1, 4, 4)
        yield generator.integers(-128, 128, shape, dtype=np.int8)


def soak(elf: Path, model: Network, *, frames: int, rate: float, resets: int, seed: int) -> Soak:
    """Stream ``frames`` inputs through the board and hold every result against the reference."""
    board = VirtualBoard(elf, seed=seed)
    source = random.Random(seed)
    watch = Watch(board, source, sorted(source.sample(range(frames), resets)))
    port = watch.port
    port.to_board.source.seed(f"to board {seed}")
    port.to_host.source.seed(f"to host {seed}")
    right = wrong = 0
    with Device(
        port, timing=TIMING, clock=port.clock, sleep=port.sleep, entropy=source.randbytes
    ) as device:
        device.negotiate_baud(BAUD_RATES[-1])
        port.to_board.rate = port.to_host.rate = rate
        for inputs in _batches(seed, frames):
            expected = reference.outputs(model, inputs).reshape(len(inputs), -1)
            results = device.stream(inputs, keep_going=True)
            for result, wanted in zip(results, expected, strict=True):
                same = bool(np.array_equal(result.scores, wanted))
                right, wrong = right + same, wrong + (not same)
                watch.answered(right + wrong, result.boot_id)
            print(f"{right} of {frames} right, {wrong} wrong", file=sys.stderr, flush=True)
        port.to_board.rate = port.to_host.rate = 0.0
        device.hello()  # ends what is left of damaged frames
        report = device.link_report()
        at_host = port.at_host.counts.copy()  # leaving asks the board for the default rate
        watch.end_stretch()
    return Soak(
        frames=frames,
        right=right,
        wrong=wrong,
        resets=watch.resets,
        injected=dict(port.to_board.injected + port.to_host.injected),
        at_host=at_host,
        board=watch.books,
        report=report,
        seconds=board.now,
    )


def firmware(folder: Path) -> tuple[Path, Network]:
    """The built firmware, and the network as it was compiled."""
    compiled = compile_network(network())
    return build(write_project(compiled.image, folder)).elf, compiled.network


def main() -> int:
    """Run and print; 1 if anything is to be complained of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=1e-3, help="chance of each fault")
    parser.add_argument("--resets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        elf, model = firmware(Path(scratch) / "soak")
        result = soak(
            elf, model, frames=options.frames, rate=options.rate, resets=options.resets,
            seed=options.seed,
        )  # fmt: skip
    print(f"{result.right} of {result.frames} results right, {result.wrong} wrong,")
    print(f"{result.resets} resets, {result.seconds:.1f} virtual seconds")
    print(f"injected: {dict(sorted(result.injected.items()))}")
    print(f"at the host: {dict(sorted(result.at_host.items()))}")
    print(f"at the board: {dict(sorted(result.board.expected.items()))}, the firmware counts")
    print(f"  {dict(sorted(result.board.counted.items()))}; lost with its buffers at a reset or")
    print(f"  a change of the rate: {result.board.lost_in_buffers}")
    print("the report says:")
    for name, count in result.report.faults.items():
        print(f"  {name}: {count}")
    complaints = result.complaints()
    for complaint in complaints:
        print(f"WRONG: {complaint}")
    print("every count is right" if not complaints else f"{len(complaints)} counts are wrong")
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
