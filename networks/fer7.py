"""Facial expressions from 48x48 grey pictures: eight convolutions and a linear layer.

43.8 million multiplications, 414,432 weight bytes at 8 bits. Layers that read 64 or fewer channels
take one kernel column for each output on every processor, those that read 128 take two; together
they fit the 768 columns of the kernel memory.
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
        self.conv1 = Conv2d(1, 32)
        self.conv2 = Conv2d(32, 48, pool=2)
        self.conv3 = Conv2d(48, 64)
        self.conv4 = Conv2d(64, 64, pool=2)
        self.conv5 = Conv2d(64, 64)
        self.conv6 = Conv2d(64, 128, pool=2)
        self.conv7 = Conv2d(128, 128)
        self.conv8 = Conv2d(128, 64, pool=2)
        self.output = Linear(64 * 3 * 3, classes, wide=True)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv2(self.conv1(picture))
        data = self.conv4(self.conv3(data))
        data = self.conv6(self.conv5(data))
        data = self.conv8(self.conv7(data))
        scores: Tensor = self.output(data)
        return scores
