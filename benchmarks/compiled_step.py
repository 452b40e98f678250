"""What torch.compile gains in the fastest phase: the float phase in bfloat16.

It needs a C++ compiler and takes a minute before the first step. Training does not use it: on the
CPU measured here a compiled step takes longer than a plain one.

    python benchmarks/compiled_step.py [--batch 64] [--rounds 8]
"""

from __future__ import annotations

import argparse

import torch
from qat_step import ways


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    torch.manual_seed(0)
    labels = torch.randint(0, 7, (options.batch,))
    way = ways(options.batch)["float phase, bfloat16"]
    compiled = type(way)(torch.compile(way.model), way.data, bf16=True)  # type: ignore[arg-type]
    compiled.step(labels)
    pairs = [(compiled.step(labels), way.step(labels)) for _ in range(options.rounds)]
    fast, plain = (min(seconds) for seconds in zip(*pairs, strict=True))
    print(f"compiled {1000 * fast:.1f} ms, plain {1000 * plain:.1f} ms: {fast / plain:.2f}")


if __name__ == "__main__":
    main()
