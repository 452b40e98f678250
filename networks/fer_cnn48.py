"""Seven expressions from 48x48 grey pictures: three convolutions as in a common float network.

After three convolutions of 32, 64 and 128 channels that network flattens 6x6x128 values into 512;
here a fourth convolution and a pool leave 3x3x64 for 256. `references/fer_cnn48` is the original.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear, Pooling


class FerCnn48(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 32)
        self.conv2 = Conv2d(32, 64, pool=2)
        self.conv3 = Conv2d(64, 128, pool=2)
        self.conv4 = Conv2d(128, 64, pool=2)
        self.pool = Pooling(2)
        self.hidden = Linear(64 * 3 * 3, 256, activation="relu", wide=False)
        self.output = Linear(256, classes)
        self.drop = nn.Dropout(0.5)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv2(self.conv1(picture))
        data = self.pool(self.conv4(self.conv3(data)))
        scores: Tensor = self.output(self.drop(self.hidden(data)))
        return scores
