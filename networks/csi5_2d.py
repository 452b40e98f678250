"""Gestures from Wi-Fi CSI as images: frequencies (rows) around every fourth packet (columns).

Ordinary layers of ``torch.nn``: it is trained in real numbers, and ``max78k quantize`` makes it a
network of the chip. What the answer is, the mean over the window decides: it does not matter when
a movement was made.
"""

from __future__ import annotations

from torch import Tensor, nn


class Csi5TwoD(nn.Module):
    """Classifier of images [N, 52, 4, 150]; output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of all convolutions.
    """

    input_shape = (52, 4, 150)

    def __init__(self, classes: int = 5, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 52
        # The chip has one stride for both axes: of four rows two and then one are left, which have
        # seen the others.
        for kernel, pools in ((3, True), (3, True), (3, True), (3, False), (1, False)):
            layers += [
                nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool2d((1, 2), 2)] if pools else []
            channels = width
        self.features = nn.Sequential(*layers, nn.AvgPool2d((1, 9)))  # of 18 columns two
        self.drop = nn.Dropout(0.3)
        self.output = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.output(self.drop(self.features(image).mean(dim=(2, 3))))
        return scores
