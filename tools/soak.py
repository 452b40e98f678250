"""Many frames over a bad line to a board that restarts: nothing wrong may be taken for a result.

    python tools/soak.py --frames 100000

The virtual board runs a tiny network. On the line, in both directions, each byte may have a wrong
bit or be lost, each frame may come twice, in two halves or late, all with the given chance; the
board is reset at random moments, by its pin or by a loss of power. The run depends on the seed
alone. Exit status 1 if a result is wrong or missing, or if a damaged frame or a restart is not
counted in the link's report.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from board_line import BoardPort
from numpy.typing import NDArray

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.flows.synthesis import compile_network
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.link_report import LinkReport
from max78k.host.messages import BAUD_RATES, STATISTICS_REPLY
from max78k.network import Layer, Network, Operation, Pool, reference
from max78k.simulator.board import VirtualBoard

BATCH = 1000
# Damaged frames that nobody counts: those on the line or in a buffer when the board restarts or the
# rate changes, which empties the buffers of both sides.
LOST_AT_A_CHANGE = 8
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
class Soak:
    """What came of a run; ``resets`` of the board were made."""

    frames: int
    right: int
    wrong: int
    resets: int
    injected: dict[str, int]
    damaged_to_board: int
    damaged_to_host: int
    seen_by_board: int
    report: LinkReport
    seconds: float

    def complaints(self) -> list[str]:
        """What must not be."""
        host = self.report.received
        seen_by_host = host.bad_chunks + host.overlong_chunks
        restarts = sum(self.report.restarts.values())
        slack = LOST_AT_A_CHANGE * (self.resets + self.report.slowdowns)
        checks = (
            (self.wrong, "wrong results"),
            (self.frames - self.right - self.wrong, "results missing"),
            (restarts - self.resets, "restarts more than resets"),
        )
        found = [f"{count} {what}" for count, what in checks if count]
        if abs(seen_by_host - self.damaged_to_host) > slack:
            found.append(f"the host counts {seen_by_host} damaged frames of {self.damaged_to_host}")
        if abs(self.seen_by_board - self.damaged_to_board) > slack:
            found.append(
                f"the board counts {self.seen_by_board} damaged frames of {self.damaged_to_board}"
            )
        return found


class _Resets:
    """Resets the board at the times that were drawn, and adds up what its counters held."""

    def __init__(self, board: VirtualBoard, source: random.Random, moments: list[int]) -> None:
        self.board = board
        self.source = source
        self.moments = moments
        self.done = 0
        self.bad_frames = 0
        self.answered = 0
        self.port: BoardPort | None = None
        self._wait = 0

    def look(self) -> None:
        """Before each slice of time: a reset comes some slices after its frame is answered."""
        if not self.moments or self.answered < self.moments[0]:
            return
        if self._wait == 0:
            self._wait = self.source.randrange(1, 200)
        self._wait -= 1
        if self._wait == 0:
            self.moments.pop(0)
            self._reset()

    def _reset(self) -> None:
        assert self.port is not None
        self.read_counters()
        self.board.reset(power_on=self.source.random() < 0.5)
        self.port.to_host.sender_restarts()
        self.port.to_board.receiver_restarts()
        self.done += 1

    def read_counters(self) -> None:
        """Add what the firmware has counted since it started."""
        content = self.board.memory(self.board.symbol("statistics"), STATISTICS_REPLY.size)
        self.bad_frames += STATISTICS_REPLY.unpack(content)[1]


def _batches(seed: int, frames: int) -> Iterator[NDArray[np.int8]]:
    generator = np.random.default_rng(seed)
    for begin in range(0, frames, BATCH):
        shape = (min(BATCH, frames - begin), 1, 4, 4)
        yield generator.integers(-128, 128, shape, dtype=np.int8)


def soak(elf: Path, model: Network, *, frames: int, rate: float, resets: int, seed: int) -> Soak:
    """Stream ``frames`` inputs through the board and hold every result against the reference."""
    board = VirtualBoard(elf, seed=seed)
    source = random.Random(seed)
    moments = sorted(source.sample(range(frames), resets))
    troubles = _Resets(board, source, moments)
    port = troubles.port = BoardPort(board, seed=seed, before_step=troubles.look)
    right = wrong = 0
    with Device(port, timing=TIMING, clock=port.clock, sleep=port.sleep) as device:
        device.negotiate_baud(BAUD_RATES[-1])
        port.to_board.rate = port.to_host.rate = rate
        for inputs in _batches(seed, frames):
            expected = reference.outputs(model, inputs).reshape(len(inputs), -1)
            results = device.stream(inputs, keep_going=True)
            for result, wanted in zip(results, expected, strict=True):
                same = bool(np.array_equal(result.scores, wanted))
                right, wrong = right + same, wrong + (not same)
                troubles.answered = right + wrong
        port.to_board.rate = port.to_host.rate = 0.0
        device.hello()  # ends what is left of damaged frames
        report = device.link_report()
        troubles.read_counters()
    return Soak(
        frames=frames,
        right=right,
        wrong=wrong,
        resets=troubles.done,
        injected=dict(port.to_board.injected + port.to_host.injected),
        damaged_to_board=port.to_board.damaged,
        damaged_to_host=port.to_host.damaged,
        seen_by_board=troubles.bad_frames,
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
    print(f"frames damaged to the board {result.damaged_to_board}, it saw {result.seen_by_board}")
    print(f"frames damaged to the host {result.damaged_to_host}; the report says:")
    for name, count in result.report.faults.items():
        print(f"  {name}: {count}")
    for complaint in result.complaints():
        print(f"WRONG: {complaint}")
    return bool(result.complaints())


if __name__ == "__main__":
    sys.exit(main())
