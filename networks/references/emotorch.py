"""EmoTorch's own network: six convolutions with batch norm, a global mean, two linear layers.

321,892 parameters. `emotorch` is what the chip runs.
"""

from __future__ import annotations

from torch import nn


def _stage(inputs: int, outputs: int, drop: float) -> list[nn.Module]:
    """Two convolutions, a pool and dropout."""
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return [*layers, nn.MaxPool2d(2), nn.Dropout(drop)]


class EmoTorch(nn.Sequential):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__(
            *_stage(1, 32, 0.2), *_stage(32, 64, 0.3), *_stage(64, 128, 0.4),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(128, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(256, classes),
        )  # fmt: skip
