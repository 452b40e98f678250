"""Speed of a quantization-aware training step against the same network in plain PyTorch.

The network is fer7. "plain" is nn.Conv2d + ReLU + max pooling in float32 with PyTorch's default
memory layout, "plain, channels last" the same in the layout that our training uses. All steps are
forward and backward of one batch, without augmentation and optimizer; the three are run in turn, so
that a change of the machine's load meets all of them. The ratios are medians over the rounds.

    python benchmarks/qat_step.py [--batch 128] [--rounds 12]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.training.calibrate import calibrate
from max78k.training.evaluate import model_input
from max78k.training.graph import trace
from max78k.training.layers import Conv2d, Linear, Mode, set_mode
from max78k.training.registry import build

_WARM_UP_ROUNDS = 2


def plain_twin(model: nn.Module) -> nn.Sequential:
    """The same layers as ordinary PyTorch modules, without batch norm."""
    modules: list[nn.Module] = []
    for step in trace(model):
        layer = step.module
        if isinstance(layer, Conv2d):
            if layer.pool:
                modules.append(nn.MaxPool2d(layer.pool.size[0], layer.pool.stride[0]))
            out_channels, in_channels, size, _ = layer.weight.shape
            modules.append(nn.Conv2d(in_channels, out_channels, size, padding=layer.padding))
            modules.append(nn.ReLU())
        elif isinstance(layer, Linear):
            modules += [nn.Flatten(), nn.Linear(layer.weight.shape[1], layer.weight.shape[0])]
    return nn.Sequential(*modules)


def step(model: nn.Module, data: Tensor, labels: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    started = time.perf_counter()
    loss = F.cross_entropy(model(data), labels)
    model.zero_grad()
    loss.backward()
    return time.perf_counter() - started


def contenders(batch: int) -> dict[str, Callable[[], float]]:
    """The three steps to be timed, by name."""
    pixels = torch.randint(0, 256, (batch, 1, 48, 48)).float() - 128
    labels = torch.randint(0, 7, (batch,))
    model = build("fer7", 7).to(memory_format=torch.channels_last)
    calibrate(model, [pixels])
    set_mode(model, Mode.QAT)
    model.train()
    plain = plain_twin(model)
    last = plain_twin(model).to(memory_format=torch.channels_last)
    integers = model_input(pixels, Mode.QAT)
    real = pixels / 128
    real_last = real.contiguous(memory_format=torch.channels_last)
    return {
        "QAT": lambda: step(model, integers, labels),
        "plain": lambda: step(plain, real, labels),
        "plain, channels last": lambda: step(last, real_last, labels),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    steps = contenders(options.batch)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(_WARM_UP_ROUNDS + options.rounds):
        for name, run in steps.items():
            seconds = run()
            if turn >= _WARM_UP_ROUNDS:
                times[name].append(seconds)
    print(f"fer7, batch {options.batch}, {torch.get_num_threads()} threads, forward + backward")
    for name, values in times.items():
        print(f"{name:22}{options.batch / statistics.median(values):8.0f} images/s")
    for name in ("plain", "plain, channels last"):
        ratios = [qat / other for qat, other in zip(times["QAT"], times[name], strict=True)]
        print(f"time of QAT / {name}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
