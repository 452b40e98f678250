"""Gestures from Wi-Fi CSI: the amplitude of 52 subcarriers over 600 packets.

Ordinary layers of ``torch.nn``: it is trained in real numbers, and ``max78k quantize`` makes it a
network of the chip. What the answer is, the mean over the window decides: it does not matter when
a movement was made.
"""

from __future__ import annotations

from torch import Tensor, nn


class Csi5OneD(nn.Module):
    """Classifier of windows [N, 52, 600]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of all convolutions.
    """

    input_shape = (52, 600)

    def __init__(self, classes: int = 5, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.AvgPool1d(4)]
        channels = 52
        for kernel, pools in ((5, True), (5, True), (5, True), (5, False), (1, False)):
            layers += [
                nn.Conv1d(channels, width, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool1d(2)] if pools else []
            channels = width
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.output = nn.Linear(width, classes)

    def forward(self, window: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.output(self.drop(self.features(window).mean(dim=2)))
        return scores
