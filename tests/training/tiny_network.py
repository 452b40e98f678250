"""A network small enough to train in a test, used through "path/to/file.py:Class"."""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class Tiny(nn.Module):
    """Input [N, 1, 12, 12]."""

    input_shape = (1, 12, 12)

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 8)
        self.conv2 = Conv2d(8, 8, pool=2)
        self.drop = nn.Dropout(0.1)
        self.output = Linear(8 * 36, classes)

    def forward(self, data: Tensor) -> Tensor:
        return self.output(self.drop(self.conv2(self.conv1(data))))


class Plain(nn.Sequential):
    """Ordinary layers, as a teacher has them."""

    input_shape = (1, 12, 12)

    def __init__(self, classes: int) -> None:
        super().__init__(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(4),
            nn.Flatten(), nn.Linear(12 * 9, classes),
        )  # fmt: skip


class Wide(Tiny):
    """With an argument, and no dropout, whose random numbers belong to a process."""

    def __init__(self, classes: int, width: int = 8) -> None:
        super().__init__(classes)
        self.conv1 = Conv2d(1, width)
        self.conv2 = Conv2d(width, 8, pool=2)
        self.drop = nn.Identity()


class Other(Tiny):
    """The same with another channel count."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.conv2 = Conv2d(8, 9, pool=2)


class Branching(Tiny):
    """Its forward depends on the data, which cannot become a fixed network."""

    def forward(self, data: Tensor) -> Tensor:
        return super().forward(data if data.sum() > 0 else -data)


class NoClasses(nn.Module):
    """Takes no number of classes."""
