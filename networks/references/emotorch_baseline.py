"""The baseline of EmoTorch (EmoPy's network, made again in PyTorch): four convolutions of 4x4.

6,964 parameters. `emotorch_baseline` is what the chip runs instead.
"""

from __future__ import annotations

from torch import nn


class EmoTorchBaseline(nn.Sequential):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes], none of them negative.

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__(
            nn.Conv2d(1, 10, 4), nn.ReLU(), nn.Conv2d(10, 10, 4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(10, 10, 4), nn.ReLU(), nn.Conv2d(10, 10, 4), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(10 * 7 * 7, classes), nn.ReLU(),
        )  # fmt: skip
