"""Gestures from Wi-Fi CSI: the amplitude of 52 subcarriers over 600 packets.

One-dimensional convolutions, a max pool of two before each but the first; the mean over the window
of what is left goes to a linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv1d, Linear


class Csi5OneD(nn.Module):
    """Classifier of windows [N, 52, 600]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of the first three convolutions; the next two have half as many more.
    """

    input_shape = (52, 600)

    def __init__(self, classes: int = 5, width: int = 64) -> None:
        super().__init__()
        last = width * 3 // 2
        self.conv1 = Conv1d(52, width, 5, padding=2)
        self.conv2 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv3 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv4 = Conv1d(width, last, 5, padding=2, pool=2)
        self.conv5 = Conv1d(last, last, 3, padding=1, pool=2)
        self.conv6 = Conv1d(last, width, 1, padding=0, pool=12, pool_kind="avg")
        self.drop = nn.Dropout(0.3)
        self.output = Linear(width * 3, classes, wide=True)

    def forward(self, window: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv3(self.conv2(self.conv1(window)))
        data = self.conv6(self.conv5(self.conv4(data)))
        scores: Tensor = self.output(self.drop(data))
        return scores
