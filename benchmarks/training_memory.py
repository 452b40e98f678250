"""Memory of a training step against plain PyTorch, each in a process of its own.

The largest resident size of three steps, less that before the first one, with the network of
fer_network.py.

    python benchmarks/training_memory.py [--batch 256]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch
from qat_step import ways

_MOST = 1.3
_NAMES = (
    "plain", "plain, channels last", "QAT, float32, channels last", "QAT, bytes, bfloat16 backward",
)  # fmt: skip


def megabytes(name: str, batch: int) -> float:
    """Growth of this process's peak in three steps of one way."""
    torch.manual_seed(0)
    way = ways(batch)[name]
    labels = torch.randint(0, 7, (batch,))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        way.step(labels)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--way", choices=_NAMES, help="measure this one, in this process")
    options = parser.parse_args()
    if options.way:
        print(megabytes(options.way, options.batch))
        return
    found = {}
    for name in _NAMES:
        command = [sys.executable, __file__, "--batch", str(options.batch), "--way", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = float(done.stdout)
        ratio = found[name] / found["plain"]
        word = "ok" if ratio <= _MOST else "MORE"
        print(f"{name:32}{found[name]:8.0f} MB{ratio:8.2f} of plain (at most {_MOST}: {word})")


if __name__ == "__main__":
    main()
