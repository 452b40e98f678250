"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Average:
    """A copy of a model whose weights and statistics follow it slowly.

    The average is of the real weights; what is quantized is the average itself. In the first steps
    the decay is smaller, (1 + n) / (10 + n), so that the beginning is forgotten.

    Args:
        model: what is followed.
        decay: share that stays in a step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of one step; what is no real number is copied."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        own, other = self.model.state_dict(), model.state_dict()
        real = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[n] for n in real], [other[n] for n in real], 1 - decay)
        for name in own.keys() - set(real):
            own[name].copy_(other[name])

    def stored(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {"model": self.model.state_dict(), "steps": self._steps}

    def restore(self, stored: dict[str, Any]) -> None:
        """Continue from :meth:`stored`."""
        self.model.load_state_dict(stored["model"])
        self._steps = int(stored["steps"])
