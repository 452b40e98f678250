"""Seven expressions from 28x28 grey pictures: four convolutions and a linear layer.

The network of 70,572 weight and 7 bias bytes that was first reported for faces on this chip, layer
for layer. `references/fer28` is the same in plain torch.nn.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear


class Fer28(nn.Module):
    """Expression classifier; input [N, 1, 28, 28], output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 28, 28)

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv1 = Conv2d(1, 60, batch_norm=False, bias=False)
        self.conv2 = Conv2d(60, 60, pool=2, padding=2, batch_norm=False, bias=False)
        self.conv3 = Conv2d(60, 56, pool=2, batch_norm=False, bias=False)
        self.conv4 = Conv2d(56, 12, pool=2, pool_kind="avg", batch_norm=False, bias=False)
        self.output = Linear(12 * 4 * 4, classes)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv2(self.conv1(picture))
        scores: Tensor = self.output(self.conv4(self.conv3(data)))
        return scores
