"""Happy, neutral, sad or surprised: two convolutions and two linear layers.

`references/emotion4`, the float original, flattens 24x24x32 values; here a pool leaves 6x6x32.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear, Pooling


class Emotion4(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 16)
        self.conv2 = Conv2d(16, 32)
        self.pool = Pooling(8)
        self.hidden = Linear(32 * 6 * 6, 32, activation="relu", wide=False)
        self.output = Linear(32, classes)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.pool(self.conv2(self.conv1(picture)))
        scores: Tensor = self.output(self.hidden(data))
        return scores
