"""Facial expressions from 48x48 grey pictures: a family of networks to search in.

Four stages, each at half the size of the one before; `networks/ferscale.yaml` is the range of its
arguments that `max78k search` walks through.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from max78k.training.layers import Conv2d, Linear

_SIDE = 3  # of the last map


class FerScale(nn.Module):
    """Expression classifier; input [N, 1, 48, 48], output [N, classes].

    Args:
        classes: number of outputs.
        width: channels of the first stage, a multiple of 4.
        growth: channels of a stage over those of the one before, in percent.
        depth: convolutions in each of the stages 2 to 4.
        last: channels of the last convolution, 4 to 112.
        bits: weight width of the convolutions but the first and the last.
    """

    input_shape = (1, 48, 48)

    def __init__(
        self,
        classes: int = 7,
        width: int = 16,
        growth: int = 150,
        depth: int = 2,
        last: int = 64,
        bits: int = 8,
    ) -> None:
        super().__init__()
        channels = [1, width]
        pooled = []
        for stage in range(1, 4):
            pooled.append(len(channels) - 1)
            size = round(width * (growth / 100) ** stage / 4) * 4
            channels += [size] * depth
        pooled.append(len(channels) - 1)
        channels.append(last)
        edges = (0, len(channels) - 2)
        self.layers = nn.Sequential(
            *(
                Conv2d(
                    inputs,
                    outputs,
                    pool=2 if number in pooled else None,
                    bits=8 if number in edges else bits,
                )
                for number, (inputs, outputs) in enumerate(pairwise(channels))
            )
        )
        self.output = Linear(last * _SIDE * _SIDE, classes, wide=True)

    def forward(self, picture: Tensor) -> Tensor:
        """Scores of the classes."""
        scores: Tensor = self.output(self.layers(picture))
        return scores
