"""Speed of training steps against the same network in plain PyTorch, in one run.

Forward and backward of one batch, without augmentation and optimizer, of the network in
fer_network.py. All ways are run in turn, so that a change of the machine's load meets all of them;
times are the shortest CPU seconds over the rounds, those of all threads together, which other
processes disturb least.

    python benchmarks/qat_step.py [--batch 64 256] [--rounds 12]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fer_network import ours, plain
from torch import Tensor, nn

from max78k.training.calibrate import calibrate
from max78k.training.integer_conv import fast_integers, has_byte_products
from max78k.training.layers import Mode, set_mode

_WARM_UP_ROUNDS = 2
_LAST = torch.channels_last
# way, what it is compared with, largest ratio of the times that is asked for
_ASKED = (
    ("QAT, float32", "plain", 1.05),
    ("QAT, float32, channels last", "plain", 0.9),
    ("QAT, bytes, bfloat16 backward", "plain", 0.9),
    ("QAT, bytes, bfloat16 backward", "QAT, float32, channels last", 1.0),
    ("float phase, bfloat16", "float phase, float32", 1 / 1.7),
    ("float phase, bfloat16", "plain, batch norm, bfloat16", 0.95),
)


@dataclass(frozen=True)
class Way:
    """A way to train: a model, its data, and what is switched on."""

    model: nn.Module
    data: Tensor
    bf16: bool = False
    fast: bool = False

    def step(self, labels: Tensor) -> float:
        """CPU seconds of one forward and backward pass."""
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16), fast_integers(self.fast):
            outputs = self.model(self.data)
        loss = F.cross_entropy(outputs.float(), labels)
        self.model.zero_grad()
        loss.backward()
        return time.process_time() - started


def ways(batch: int) -> dict[str, Way]:
    """All of them, for one batch size."""
    integers = torch.randint(-128, 128, (batch, 1, 48, 48)).float()
    real = integers / 128

    def in_mode(mode: Mode, last: bool) -> nn.Module:
        model = ours()
        calibrate(model, [integers[:64]])
        set_mode(model, mode)
        return model.to(memory_format=_LAST if last else torch.contiguous_format).train()

    integers_last, real_last = (x.contiguous(memory_format=_LAST) for x in (integers, real))
    return {
        "plain": Way(plain(), real),
        "plain, channels last": Way(plain().to(memory_format=_LAST), real_last),
        "plain, batch norm, bfloat16": Way(
            plain(norm=True).to(memory_format=_LAST), real_last, bf16=True
        ),
        "QAT, float32": Way(in_mode(Mode.QAT, False), integers),
        "QAT, float32, channels last": Way(in_mode(Mode.QAT, True), integers_last),
        "QAT, bytes, bfloat16 backward": Way(in_mode(Mode.QAT, True), integers_last, fast=True),
        "float phase, float32": Way(in_mode(Mode.FLOAT, True), real_last),
        "float phase, bfloat16": Way(in_mode(Mode.FLOAT, True), real_last, bf16=True),
    }


def measure(batch: int, rounds: int) -> dict[str, float]:
    """Shortest CPU seconds of a step, by way."""
    labels = torch.randint(0, 7, (batch,))
    steps: dict[str, Callable[[Tensor], float]] = {n: w.step for n, w in ways(batch).items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(_WARM_UP_ROUNDS + rounds):
        for name, step in steps.items():
            seconds = step(labels)
            if turn >= _WARM_UP_ROUNDS:
                times[name].append(seconds)
    return {name: min(values) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    print(
        f"forward + backward, {torch.get_num_threads()} threads, "
        f"products of bytes: {'yes' if has_byte_products() else 'no'}"
    )
    for batch in options.batch:
        times = measure(batch, options.rounds)
        print(f"\nbatch {batch}")
        for name, seconds in times.items():
            print(f"{name:32}{1000 * seconds:8.1f} ms{batch / seconds:8.0f} images/CPU s")
        for name, other, most in _ASKED:
            ratio = times[name] / times[other]
            word = "ok" if ratio <= most else "MORE"
            print(f"time of {name} / {other}: {ratio:.2f} (at most {most:.2f}: {word})")


if __name__ == "__main__":
    main()
