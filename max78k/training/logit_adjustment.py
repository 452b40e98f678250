"""Moving the biases of the last layer towards answers as frequent as the labels.

A network that learnt from soft labels answers frequent and vague classes more often than people do:
the largest share counts alone, and where three classes are likely it is mostly the most frequent
one. Biases that are moved after training (arXiv:2007.07314) give some of that back; a part of the
way is better than all of it, which would make rare classes as frequent as they are whatever it
costs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.training.evaluate import real_scores, scores
from max78k.training.graph import trace
from max78k.training.layers import Mode, WeightLayer

_STEPS, _RATE = 400, 0.02


def integer_scores(model: nn.Module, pixels: Tensor) -> Tensor:
    """What the chip computes for uint8 ``pixels``, as real numbers [N, classes]."""
    return real_scores(model, scores(model, pixels, Mode.INTEGER), Mode.INTEGER).flatten(1)


def matching_offsets(reals: Tensor, labels: Tensor) -> Tensor:
    """What to add to scores [N, classes] for answers about as frequent as ``labels`` [N]."""
    classes = reals.shape[1]
    wanted = torch.bincount(labels, minlength=classes).float() + 1
    offsets = torch.zeros(classes)
    for _ in range(_STEPS):
        found = torch.bincount((reals + offsets).argmax(dim=1), minlength=classes).float() + 1
        offsets += _RATE * torch.log(wanted / found)
    return offsets


def add_to_biases(model: nn.Module, offsets: Tensor) -> None:
    """Add real numbers [classes] to the biases of the layer that gives the scores.

    Raises InputError ``E-ADJUST-LAYER`` for a network whose last layer has none.
    """
    last = trace(model)[-1].module
    if not isinstance(last, WeightLayer) or last.bias is None:
        raise InputError(
            "E-ADJUST-LAYER",
            "the last layer of this network has no biases.",
            "a network that ends in Linear(..., bias=True) can be adjusted.",
        )
    with torch.no_grad():
        last.bias.add_(offsets)
