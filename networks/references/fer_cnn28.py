"""The network of fer_cnn48 for 28x28 pictures: 686,599 parameters.

`fer28` is the network for pictures of this size that the chip runs.
"""

from __future__ import annotations

from torch import nn


class FerCnn28(nn.Sequential):
    """Expression classifier; input [N, 1, 28, 28], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 28, 28)

    def __init__(self, classes: int = 7) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128 * 3 * 3, 512), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(512, classes),
        )  # fmt: skip
