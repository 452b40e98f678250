"""Walking or not, from Wi-Fi CSI: the amplitude of 52 subcarriers over 400 packets.

One-dimensional convolutions, a max pool of two before most; the mean over the window of what is
left goes to a linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv1d, Linear


class Csi2OneD(nn.Module):
    """Classifier of windows [N, 52, 400]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of all convolutions.
    """

    input_shape = (52, 400)

    def __init__(self, classes: int = 2, width: int = 48) -> None:
        super().__init__()
        self.conv1 = Conv1d(52, width, 5, padding=2, pool=2, pool_kind="avg")
        self.conv2 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv3 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv4 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv5 = Conv1d(width, width, 1, padding=0, pool=12, pool_kind="avg")
        self.drop = nn.Dropout(0.3)
        self.output = Linear(width * 2, classes, wide=True)

    def forward(self, window: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv4(self.conv3(self.conv2(self.conv1(window))))
        scores: Tensor = self.output(self.drop(self.conv5(data)))
        return scores
