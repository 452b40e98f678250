"""Share of a training step that its batch takes: order, augmentation, mixing, on tensors.

python benchmarks/batches.py [--batch 128] [--rounds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from qat_step import ways

from max78k.datasets.dataset import Dataset, Split
from max78k.training.options import Augmentation, TrainOptions
from max78k.training.processes import Processes
from max78k.training.samples import Samples


def shortest(run: Callable[[], object], rounds: int) -> float:
    """Shortest wall seconds of ``run``."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    dice = np.random.default_rng(0)
    pixels = dice.integers(0, 256, (4000, 1, 48, 48)).astype(np.uint8)
    split = Split(pixels, dice.integers(0, 7, 4000))
    dataset = Dataset("noise", tuple("abcdefg"), split, split)
    labels = torch.randint(0, 7, (options.batch,))
    way = ways(options.batch)["float phase, bfloat16"]  # the fastest step
    step = shortest(lambda: way.step(labels), options.rounds)
    recipes = {
        "the default augmentation": TrainOptions(batch_size=options.batch),
        "with cutout, mixup and cutmix": TrainOptions(
            batch_size=options.batch, mixup=0.2, cutmix=1.0, augmentation=Augmentation(cutout=12)
        ),
    }
    alone = Processes(0, 1, torch.device("cpu"))
    for name, recipe in recipes.items():
        samples = Samples(dataset, recipe, alone)
        order = samples.order(0)
        seconds = shortest(lambda s=samples, o=order: s.batch(o, 0, 0), options.rounds)
        print(f"{name}: {1000 * seconds:.1f} ms a batch, {seconds / step:.1%} of a step")


if __name__ == "__main__":
    main()
