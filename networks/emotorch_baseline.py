"""Four emotions, after the baseline of EmoTorch: four small convolutions of 3x3, where it has 4x4.

5,994 weight bytes. `references/emotorch_baseline` is the float original.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear, Pooling


class EmoTorchBaseline(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 10, padding=0)
        self.conv2 = Conv2d(10, 10, padding=0)
        self.conv3 = Conv2d(10, 10, padding=0, pool=2)
        self.conv4 = Conv2d(10, 10, padding=0)
        self.pool = Pooling(2)
        self.output = Linear(10 * 9 * 9, classes)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv2(self.conv1(picture))
        data = self.conv4(self.conv3(data))
        scores: Tensor = self.output(self.pool(data))
        return scores
