"""Four convolutions, two of them 5x5, and five linear layers: 6,318,471 parameters.

3,840 of them are the means and variances of batch norm, which Keras counts as parameters too.
`fer_deep` is what the chip runs instead.
"""

from __future__ import annotations

from torch import nn

_CONVOLUTIONS = ((1, 64, 3, 0.2), (64, 128, 5, 0.25), (128, 256, 3, 0.25), (256, 512, 5, 0.25))
_HIDDEN = ((512 * 3 * 3, 512, 0.2), (512, 256, 0.25), (256, 128, 0.25), (128, 64, 0.25))


class FerDeep(nn.Sequential):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes], before the softmax.

    Args:
        classes: number of outputs.
    """

    input_shape = (1, 48, 48)

    def __init__(self, classes: int = 7) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs, size, drop in _CONVOLUTIONS:
            layers += [
                nn.Conv2d(inputs, outputs, size, padding=size // 2),
                nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(drop),
            ]  # fmt: skip
        layers.append(nn.Flatten())
        for inputs, outputs, drop in _HIDDEN:
            layers += [
                nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(drop)
            ]  # fmt: skip
        super().__init__(*layers, nn.Linear(64, classes))
