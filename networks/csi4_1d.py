"""Four emotions from Wi-Fi CSI: the amplitude of 52 subcarriers over 600 packets.

One-dimensional convolutions, a max pool of two before each but the first; the mean over windows of
what is left goes to a linear layer. 103,680 weight bytes.
"""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv1d, Linear


class Csi4OneD(nn.Module):
    """Classifier of windows [N, 52, 600]; output [N, classes].

    Args:
        classes: number of outputs.
    """

    input_shape = (52, 600)

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = Conv1d(52, 64, 5, padding=2)
        self.conv2 = Conv1d(64, 64, 5, padding=2, pool=2)
        self.conv3 = Conv1d(64, 64, 5, padding=2, pool=2)
        self.conv4 = Conv1d(64, 64, 5, padding=2, pool=2)
        self.conv5 = Conv1d(64, 64, 5, padding=2, pool=2)
        self.conv6 = Conv1d(64, 64, 1, padding=0, pool=9, pool_kind="avg")
        self.output = Linear(64 * 4, classes, wide=True)

    def forward(self, window: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv3(self.conv2(self.conv1(window)))
        scores: Tensor = self.output(self.conv6(self.conv5(self.conv4(data))))
        return scores
