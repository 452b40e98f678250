"""Wi-Fi CSI as images: how fast each of 52 subcarriers changes (rows) over time (columns).

Five convolutions with a pool of two before most, and a linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class Csi4TwoD(nn.Module):
    """Classifier of images [N, 52, 32, 32]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of the convolutions.
    """

    input_shape = (52, 32, 32)

    def __init__(self, classes: int = 4, width: int = 48) -> None:
        super().__init__()
        self.conv1 = Conv2d(52, width, 1, padding=0)
        self.conv2 = Conv2d(width, width, pool=2)
        self.conv3 = Conv2d(width, width, pool=2)
        self.conv4 = Conv2d(width, width, pool=2)
        self.conv5 = Conv2d(width, width, 1, padding=0, pool=2, pool_kind="avg")
        self.drop = nn.Dropout(0.3)
        self.output = Linear(width * 4, classes, wide=True)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv4(self.conv3(self.conv2(self.conv1(image))))
        scores: Tensor = self.output(self.drop(self.conv5(data)))
        return scores
