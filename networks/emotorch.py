"""Four emotions, after EmoTorch's own network: six convolutions and two linear layers.

As many weights as there, 319,776 bytes. The first linear layer is a 1x1 convolution, which can be
normalised, and the mean over the picture is taken after it, where the next layer can pool.
`references/emotorch` is the float original.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class EmoTorch(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 32)
        self.conv2 = Conv2d(32, 32)
        self.conv3 = Conv2d(32, 64, pool=2)
        self.conv4 = Conv2d(64, 64)
        self.conv5 = Conv2d(64, 128, pool=2)
        self.conv6 = Conv2d(128, 128)
        self.hidden = Conv2d(128, 256, 1, padding=0, pool=2)
        self.output = Linear(256, classes, pool=6, pool_kind="avg")
        self.drop1, self.drop2 = nn.Dropout(0.2), nn.Dropout(0.3)
        self.drop3, self.drop4 = nn.Dropout(0.4), nn.Dropout(0.4)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.drop1(self.conv2(self.conv1(picture)))
        data = self.drop2(self.conv4(self.conv3(data)))
        data = self.drop3(self.conv6(self.conv5(data)))
        scores: Tensor = self.output(self.drop4(self.hidden(data)))
        return scores
