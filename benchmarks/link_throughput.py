"""The link's throughput on the virtual board, in the board's own time, against what bounds it.

Run: python benchmarks/link_throughput.py

Three networks: one whose input takes the line longer than the accelerator, one that computes
longer than its input travels, and the shipped fer7. The share is that of the lower of the two
rates: every byte of whole frames on the line, and load + run + unload on the accelerator.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from board_line import BoardPort

from max78k.codegen.build import build
from max78k.codegen.project import write_project
from max78k.flows.models import load_model
from max78k.flows.synthesis import compile_network
from max78k.host.link import Device
from max78k.host.link_report import throughput
from max78k.host.messages import BAUD_RATES
from max78k.network import Activation, Layer, Network, Operation, Pool, reference
from max78k.simulator.board import VirtualBoard

FRAMES, SINGLES = 10, 3


def network(name: str, first: int, side: int, channels: int, layers: int) -> Network:
    """A chain of convolutions over a small picture, then one pixel per class."""
    generator = np.random.default_rng(1)
    chain: list[Layer] = []
    for number in range(layers):
        inputs = first if number == 0 else channels
        weight = generator.integers(-128, 128, (channels, inputs, 3, 3), dtype=np.int8)
        before = chain[-1].name if chain else "input"
        chain.append(
            Layer(f"conv{number}", Operation.CONV2D, (before,), weight, padding=1,
                  activation=Activation.RELU, output_shift=-4)
        )  # fmt: skip
    last = generator.integers(-128, 128, (4, channels, 1, 1), dtype=np.int8)
    chain.append(
        Layer("last", Operation.CONV2D, (chain[-1].name,), last, output_shift=-4,
              pool=Pool("avg", (side, side), (side, side)))
    )  # fmt: skip
    return Network(name, (first, side, side), tuple(chain), ("last",))


def measure(model: Network, rates: Sequence[int], folder: Path) -> None:
    """Build a network's firmware and stream frames to it at each rate."""
    compiled = compile_network(model)
    elf = build(write_project(compiled.image, folder)).elf
    for rate in rates:
        stream(compiled.network, elf, rate)


def stream(model: Network, elf: Path, rate: int) -> None:
    """Stream frames at a rate and print what the board's timer says."""
    port = BoardPort(VirtualBoard(elf, seed=1))
    generator = np.random.default_rng(2)
    shape = (FRAMES, *model.input_shape)
    inputs = generator.integers(-128, 128, shape, dtype=np.int8)
    with Device(port, clock=port.clock, sleep=port.sleep) as device:
        device.negotiate_baud(rate)
        results = list(device.stream(inputs))
        rates = throughput(results[1:], device.info, device.baud)
        begin = port.clock()
        for data in inputs[:SINGLES]:
            device.infer(data)
        one_by_one = SINGLES / (port.clock() - begin)
        faults = device.link_report().faults
    expected = reference.outputs(model, inputs).reshape(FRAMES, -1)
    wrong = sum(int((r.scores != e).any()) for r, e in zip(results, expected, strict=True))
    assert rates is not None
    print(
        f"{model.name:<10} {rate:>8} {rates.frames_per_s:>10.1f} {rates.line_per_s:>10.1f}"
        f" {rates.inference_per_s:>10.1f} {100 * rates.share:>8.1f} {one_by_one:>10.1f}"
        f" {wrong:>6} {faults or 'none'}",
        flush=True,
    )


def main() -> None:
    """The small networks at the lowest, a usual, and the highest rate, fer7 at all of them."""
    print("network        baud   frames/s       line  inference  share %     single  wrong faults")
    few = (BAUD_RATES[0], 921600, BAUD_RATES[-1])
    models = (
        (network("wide", 3, 16, 4, 1), few),
        (network("deep", 1, 8, 64, 9), few),
        (load_model("fer7").network, BAUD_RATES),
    )
    with tempfile.TemporaryDirectory() as scratch:
        for model, rates in models:
            measure(model, rates, Path(scratch) / model.name)


if __name__ == "__main__":
    main()
