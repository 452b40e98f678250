"""The virtual board alone: instructions per second, time to the first answer, time per frame.

The network is small and random, so that the accelerator model hardly counts. Run:
python benchmarks/board_speed.py [--inside]

``--inside`` measures processor time in one process without link, which other programs on the
machine disturb less.
"""

from __future__ import annotations

import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from max78k.chip import addresses
from max78k.flows.firmware import make_firmware
from max78k.host.messages import BAUD_RATES
from max78k.host.session import SIM, connect
from max78k.network import Activation, Layer, Network, Operation, Pool
from max78k.simulator.board import VirtualBoard
from max78k.simulator.cpu import Cpu

FRAME_BYTES = 48 * 48
FRAMES = 10


def small_network() -> Network:
    """48x48 grey picture, pooled hard, to seven scores."""
    generator = np.random.default_rng(0)

    def integers(*shape: int) -> np.ndarray:
        return generator.integers(-128, 128, shape, dtype=np.int8)

    pool = Pool("max", (4, 4), (4, 4))
    conv = Layer(
        "conv", Operation.CONV2D, ("input",), integers(4, 1, 3, 3), integers(4),
        output_shift=-2, activation=Activation.RELU, pool=pool, padding=1,
    )  # fmt: skip
    output = Layer("output", Operation.LINEAR, ("conv",), integers(7, 4 * 144), integers(7))
    return Network("small", (1, 48, 48), (conv, output), ("output",), tuple("abcdefg"))


def mips() -> float:
    """Million instructions per second in a loop of ten additions."""
    cpu = Cpu()
    cpu.map_memory(addresses.FLASH_BASE, 0x1000, writable=False)
    cpu.write_memory(addresses.FLASH_BASE, struct.pack("<11H", *[0x3001] * 10, 0xE7F4))
    cpu.set("PC", addresses.FLASH_BASE)
    cpu.run(1000)
    started = time.process_time()
    for _ in range(200):
        cpu.run(100_000)
    return 20 / (time.process_time() - started)


def inside(elf: Path) -> None:
    """Processor time of the board's own process, without a link."""
    board = VirtualBoard(elf)
    started = time.process_time()
    board.run(2.3)  # the firmware does not sleep in its first two seconds
    print(f"2.3 virtual seconds of start and busy idle {time.process_time() - started:7.3f} s")
    board.console.host_write(bytes(1 + n % 255 for n in range(FRAME_BYTES)))
    started = time.process_time()
    while board.has_work or not board.asleep:
        board.step()
    print(f"a frame received by interrupt   {(time.process_time() - started) * 1000:7.1f} ms")


def over_the_link(elf: Path, network: Network) -> None:
    """Wall time as a host program sees it."""
    frame = np.random.default_rng(1).integers(-128, 128, network.input_shape, dtype=np.int8)
    started = time.perf_counter()
    with connect(SIM, elf=elf, highest_baud=BAUD_RATES[-1]) as device:
        print(f"start to the first answer       {time.perf_counter() - started:7.3f} s")
        sends, runs = [], []
        for _ in range(FRAMES):
            begin = time.perf_counter()
            device.send_input(frame)
            sent = time.perf_counter()
            device.infer()
            sends.append(sent - begin)
            runs.append(time.perf_counter() - sent)
    print(f"input of {FRAME_BYTES} bytes             {statistics.median(sends) * 1000:7.1f} ms")
    print(f"inference and answer            {statistics.median(runs) * 1000:7.1f} ms")


def main() -> None:
    """Print the figures."""
    network = small_network()
    print(f"instructions per second         {mips():7.0f} million")
    with tempfile.TemporaryDirectory() as scratch:
        elf = make_firmware(network, Path(scratch) / "firmware").build.elf
        if "--inside" in sys.argv[1:]:
            inside(elf)
        else:
            over_the_link(elf, network)


if __name__ == "__main__":
    main()
