"""Seven expressions from 48x48 grey pictures, after a float network of 6.3 million parameters.

Its convolutions of 5x5 are two of 3x3 each, its 128 to 512 channels 64 and 96, and of its four
hidden linear layers the last is left. `references/fer_deep` is the original.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class FerDeep(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 64)
        self.conv2 = Conv2d(64, 64, pool=2)
        self.conv3 = Conv2d(64, 64)
        self.conv4 = Conv2d(64, 96, pool=2)
        self.conv5 = Conv2d(96, 96, pool=2)
        self.conv6 = Conv2d(96, 96, pool=2)
        self.hidden = Linear(96 * 3 * 3, 64, activation="relu", wide=False)
        self.output = Linear(64, classes)
        self.drop1, self.drop2 = nn.Dropout(0.2), nn.Dropout(0.25)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.drop1(self.conv1(picture))
        data = self.drop2(self.conv3(self.conv2(data)))
        data = self.drop2(self.conv4(data))
        data = self.conv6(self.drop2(self.conv5(data)))
        scores: Tensor = self.output(self.drop2(self.hidden(data)))
        return scores
