"""One network for windows of three lengths, so that lengths can be compared."""

from __future__ import annotations

from torch import Tensor, nn

from max78k.training.layers import Conv1d, Linear

LAST = 9  # places whose mean is one feature: 144 values of the input


class Values300(nn.Module):
    """Classifier of windows [N, 52, 300]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of the convolutions.
    """

    input_shape = (52, 300)

    def __init__(self, classes: int = 2, width: int = 32) -> None:
        super().__init__()
        channels, values = self.input_shape
        self.conv1 = Conv1d(channels, width, 5, padding=2, pool=2, pool_kind="avg")
        self.conv2 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv3 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv4 = Conv1d(width, width, 5, padding=2, pool=2)
        self.conv5 = Conv1d(width, width, 1, padding=0, pool=LAST, pool_kind="avg")
        self.drop = nn.Dropout(0.3)
        self.output = Linear(width * (values // 16 // LAST), classes, wide=True)

    def forward(self, window: Tensor) -> Tensor:
        """Scores of the classes."""
        data = self.conv4(self.conv3(self.conv2(self.conv1(window))))
        scores: Tensor = self.output(self.drop(self.conv5(data)))
        return scores


class Values150(Values300):
    """The same of windows [N, 52, 150]."""

    input_shape = (52, 150)


class Values600(Values300):
    """The same of windows [N, 52, 600]."""

    input_shape = (52, 600)
