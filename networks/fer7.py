"""Facial expressions from 48x48 grey pictures: nine convolutions and a linear layer.

88 million multiplications. From the fifth layer on weights have 4 bits, which cost no cycles and
buy twice the width: 728,000 weights in 396 kB. The 128 channels in the middle are read in two
passes, the 160 in three, so that a kernel takes as many columns of the kernel memory.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class Fer7(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 16)
        self.conv2 = Conv2d(16, 32)
        self.conv3 = Conv2d(32, 64, pool=2)
        self.conv4 = Conv2d(64, 64)
        self.conv5 = Conv2d(64, 128, pool=2, bits=4)
        self.conv6 = Conv2d(128, 128, bits=4)
        self.conv7 = Conv2d(128, 160, pool=2, bits=4)
        self.conv8 = Conv2d(160, 128, bits=4)
        self.conv9 = Conv2d(128, 64, pool=2, bits=4)
        self.output = Linear(64 * 3 * 3, classes, wide=True)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv2(self.conv1(picture))
        data = self.conv4(self.conv3(data))
        data = self.conv6(self.conv5(data))
        data = self.conv8(self.conv7(data))
        scores: Tensor = self.output(self.conv9(data))
        return scores
