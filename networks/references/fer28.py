"""Four convolutions and a linear layer for 28x28 pictures, in plain torch.nn.

70,572 weights and 7 biases. `fer28` is the same in layers of the chip.
"""

from __future__ import annotations

from torch import nn


class Fer28(nn.Sequential):
    """Expression classifier; input [N, 1, 28, 28], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 28, 28)

    def __init__(self, classes: int = 7) -> None:
        super().__init__(
            nn.Conv2d(1, 60, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(60, 60, 3, padding=2, bias=False), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(60, 56, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(56, 12, 3, padding=1, bias=False), nn.ReLU(),
            nn.Flatten(), nn.Linear(12 * 4 * 4, classes),
        )  # fmt: skip
