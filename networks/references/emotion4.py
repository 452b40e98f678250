"""Two convolutions and two linear layers with leaky ReLU: 595,076 parameters.

589,856 of them read the 24x24x32 values of the second convolution. `emotion4` is what the chip runs
instead.
"""

from __future__ import annotations

from torch import Tensor, nn


class Emotion4(nn.Module):
    """Expression classifier; input [N, 1, 48, 48] or [N, 3, 48, 48], output [N, classes].

    The first convolution reads three colours; a grey picture is given to it as all of them.

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.LeakyReLU(0.1),
            nn.Conv2d(16, 32, 3, padding=1), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 24 * 24, 32), nn.LeakyReLU(0.1), nn.Linear(32, classes),
        )  # fmt: skip
        for layer in self.layers:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, a=0.1, mode="fan_out")

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.layers(picture.expand(-1, 3, -1, -1))
        return scores
