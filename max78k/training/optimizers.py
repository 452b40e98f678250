"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from max78k.training.options import TrainOptions

Groups = list[dict[str, Any]]


def _sgd(groups: Groups, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0)


def _adam(groups: Groups, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, betas=(momentum, 0.999))


def _adamw(groups: Groups, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(momentum, 0.999))


def _rmsprop(groups: Groups, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(groups, momentum=momentum)


_MAKERS: dict[str, Callable[[Groups, float], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
}


def new_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.Optimizer:
    """The chosen optimizer over all parameters; only those with more than one axis decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return _MAKERS[options.optimizer](groups, options.momentum)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let all parameters learn at ``rate``."""
    for group in optimizer.param_groups:
        group["lr"] = rate
