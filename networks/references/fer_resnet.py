"""ResNet-18 and ResNet-50 (He et al., 2015) with batch norm before the last layer.

Too large for the chip: references, or teachers. The stride of a bottleneck is at its 3x3
convolution, as in torchvision's networks, whose parameters these have.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_DEPTHS = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}  # blocks of each stage, bottlenecks
_WIDTHS = (64, 128, 256, 512)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias, and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return [conv, nn.BatchNorm2d(outputs)]


class _Block(nn.Module):
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 to four times the width, beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            first, last = _conv(inputs, width, 1), _conv(width, outputs, 1)
            middle = [*_conv(width, width, 3, stride), nn.ReLU()]
        else:
            first, middle = _conv(inputs, width, 3, stride), []
            last = _conv(width, outputs, 3)
        self.branch = nn.Sequential(*first, nn.ReLU(), *middle, *last)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Sequential(*([] if same else _conv(inputs, outputs, 1, stride)))

    def forward(self, data: Tensor) -> Tensor:
        """The next data."""
        return F.relu(self.branch(data) + self.shortcut(data))


class FerResNet(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
        depth: 18 or 50.
        side: rows and columns to which the picture is enlarged.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7, depth: int = 18, side: int = 224) -> None:
        super().__init__()
        if depth not in _DEPTHS:
            raise ValueError(f"depth {depth}, not 18 or 50")
        blocks, bottleneck = _DEPTHS[depth]
        self.side = side
        layers: list[nn.Module] = [*_conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, (width, count) in enumerate(zip(_WIDTHS, blocks, strict=True)):
            for number in range(count):
                stride = 2 if stage and not number else 1
                layers.append(_Block(channels, width, stride, bottleneck))
                channels = 4 * width if bottleneck else width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.BatchNorm1d(channels), nn.Linear(channels, classes))

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        size = (self.side, self.side)
        large = F.interpolate(picture, size=size, mode="bilinear", align_corners=False)
        scores: Tensor = self.head(self.features(large.expand(-1, 3, -1, -1)))
        return scores
