"""A residual network of real numbers for 48x48 faces, too large for the chip: a teacher."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, data: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(data)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(data))


class FerTeacher(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of the first block.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.body = nn.Sequential(
            _Block(width // 2, width),
            _Block(width, width),
            nn.MaxPool2d(2),
            _Block(width, 2 * width),
            _Block(2 * width, 2 * width),
            nn.MaxPool2d(2),
            _Block(2 * width, 4 * width),
            _Block(4 * width, 4 * width),
        )
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(4 * width, classes)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        features = self.body(self.stem(picture)).mean((2, 3))
        scores: Tensor = self.output(self.dropout(features))
        return scores
