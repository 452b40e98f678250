"""The virtual board: instructions per second, start, memory, speed against real time.

The network is the shipped one for facial expressions. Run:
python benchmarks/board_speed.py [--inside]

``--inside`` measures processor time in one process, host and board together, which other programs
on the machine disturb less. Real time is the board's own: virtual seconds per second of processor
time, over the boot and FRAMES inferences with their inputs over the link, or over streamed frames.
"""

from __future__ import annotations

import resource
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from board_line import BoardPort

from max78k.chip import addresses
from max78k.flows.firmware import make_firmware
from max78k.flows.models import load_model
from max78k.host.energy import read_trace
from max78k.host.link import Device
from max78k.host.messages import BAUD_RATES, DEFAULT_BAUD
from max78k.host.ports import open_port
from max78k.host.session import SIM, connect
from max78k.host.virtual_board import VirtualBoard as SimulatorProcess
from max78k.network import Network
from max78k.simulator.board import VirtualBoard
from max78k.simulator.cpu import Cpu

FRAMES = 30
BUSY_SECONDS = 2.3  # the firmware does not sleep in its first two seconds


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


def inside(elf: Path, network: Network) -> None:
    """Processor time of one process."""
    board = VirtualBoard(elf)
    started = time.process_time()
    board.run(BUSY_SECONDS)
    taken = time.process_time() - started
    print(f"{BUSY_SECONDS} virtual seconds of start and busy idle {taken:7.3f} s")
    for baud in (DEFAULT_BAUD, 921600, BAUD_RATES[-1]):
        streamed(elf, network, baud)


def streamed(elf: Path, network: Network, baud: int) -> None:
    """Frames one after the other on a line that is never idle, each computed and answered."""
    port = BoardPort(VirtualBoard(elf, seed=1))
    inputs = _frames(network)
    with Device(port, clock=port.clock, sleep=port.sleep) as device:
        device.negotiate_baud(baud)
        port.sleep(BUSY_SECONDS)
        device.infer(inputs[0])
        virtual, taken = port.clock(), time.process_time()
        list(device.stream(inputs))
        virtual, taken = port.clock() - virtual, time.process_time() - taken
    print(
        f"streamed at {baud:7} baud: {taken / FRAMES * 1e3:6.1f} ms a frame, "
        f"{virtual / taken:6.2f} times real time"
    )


def _frames(network: Network) -> NDArray[np.int8]:
    shape = (FRAMES, *network.input_shape)
    return np.random.default_rng(1).integers(-128, 128, shape, dtype=np.int8)


def first_byte(elf: Path) -> float:
    """Wall seconds from the start of a process to the first byte on its console."""
    started = time.perf_counter()
    with SimulatorProcess(elf) as process, open_port(process.port) as port:
        while not port.read(1):
            pass
        return time.perf_counter() - started


def over_the_link(elf: Path, network: Network, baud: int) -> None:
    """What a host program sees, and the board's time against the host's."""
    frames = _frames(network)
    with tempfile.TemporaryDirectory() as scratch:
        trace = Path(scratch) / "current.csv"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with connect(SIM, elf=elf, highest_baud=baud, power=trace) as device:
            sends, runs = [], []
            for frame in frames:
                begin = time.perf_counter()
                device.send_input(frame)
                sent = time.perf_counter()
                device.infer()
                sends.append(sent - begin)
                runs.append(time.perf_counter() - sent)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        last = read_trace(trace).means[-1]
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    virtual = (last.start + last.milliseconds) / 1e3
    print(f"at {baud} baud:")
    print(f"  input of {frames[0].nbytes} bytes           {statistics.median(sends) * 1e3:7.1f} ms")
    print(f"  inference and answer          {statistics.median(runs) * 1e3:7.1f} ms")
    print(f"  times real time               {virtual / taken:7.2f}")
    print(f"  memory of the process         {after.ru_maxrss / 1024:7.0f} MiB")


def main() -> None:
    """Print the figures."""
    network = load_model("fer7").network
    print(f"instructions per second         {mips():7.0f} million")
    with tempfile.TemporaryDirectory() as scratch:
        elf = make_firmware(network, Path(scratch) / "firmware").build.elf
        if "--inside" in sys.argv[1:]:
            inside(elf, network)
        else:
            print(f"start to the first byte         {first_byte(elf):7.3f} s")
            for baud in (DEFAULT_BAUD, 921600):
                over_the_link(elf, network, baud)


if __name__ == "__main__":
    main()
