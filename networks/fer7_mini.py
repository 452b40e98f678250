"""Facial expressions from 48x48 grey pictures in less than 100 kB and one millisecond.

Squares of two by two pixels are the four channels of the first layer, so that no layer computes at
48x48. 12.3 million multiplications; the layers between the first and the last have 4-bit weights.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class Fer7Mini(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = Conv2d(4, 32, fold=2)
        self.conv2 = Conv2d(32, 64, pool=2, bits=4)
        self.conv3 = Conv2d(64, 64, bits=4)
        self.conv4 = Conv2d(64, 80, pool=2, bits=4)
        self.conv5 = Conv2d(80, 64, bits=4)
        self.conv6 = Conv2d(64, 64, pool=2, bits=4)
        self.output = Linear(64 * 3 * 3, classes, wide=True)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv3(self.conv2(self.conv1(picture)))
        data = self.conv6(self.conv5(self.conv4(data)))
        scores: Tensor = self.output(data)
        return scores
