"""The network of the training benchmarks, in our layers and in plain PyTorch.

Nine 3x3 convolutions on 48x48 grey pictures and a linear layer: 292,423 parameters, 56 million
multiplications.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from max78k.training.layers import Conv2d, Linear

CHANNELS = (1, 32, 32, 48, 48, 64, 64, 96, 64, 112)
_POOLED = (2, 4, 6, 8)  # convolutions with pooling before them
_CLASSES = 7


def ours() -> nn.Sequential:
    """In our layers; batch norm in the float phase, folded into the weights in the other."""
    layers: list[nn.Module] = [
        Conv2d(inputs, outputs, pool=2 if number in _POOLED else None)
        for number, (inputs, outputs) in enumerate(pairwise(CHANNELS))
    ]
    return nn.Sequential(*layers, Linear(CHANNELS[-1] * 9, _CLASSES))


def plain(norm: bool = False) -> nn.Sequential:
    """In ordinary modules, with batch norm or without."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(CHANNELS)):
        if number in _POOLED:
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * 9, _CLASSES))
