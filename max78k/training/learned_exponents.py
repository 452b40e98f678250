"""Steps of weights and outputs that are trained with the weights (TQT, arXiv:1903.08066).

Every exponent has a real master that the loss moves; the chip's exponent is the nearest integer.
What a rounded value loses or what is clipped tells in which direction. Layers whose outputs are
combined or joined share one master; the input's exponent, and those of bit patterns, stay.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from max78k.network.network import INPUT
from max78k.training.calibrate import exponent_groups
from max78k.training.graph import trace
from max78k.training.quantize import exponent_range
from max78k.training.weight_layer import Learned, WeightLayer

_RATE = 0.01  # octaves in a step at most, by Adam
_BETAS = (0.9, 0.999)
_FREE = 1.0  # octaves that an exponent may move from where calibration put it
_WEIGHTS = "/weights"  # behind a layer's name


class ExponentLearner:
    """Trains the exponents of a calibrated model.

    Call :meth:`apply` before every forward pass in training and :meth:`step` after the backward
    pass; :meth:`freeze` ends it. The integers that the layers hold are up to date at any time.

    Args:
        model: a calibrated model; its mode is QAT.

    Raises:
        InputError: those of :func:`max78k.training.graph.trace`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._steps = trace(model)
        self._groups = exponent_groups(self._steps)
        start: dict[str, Tensor] = {}
        for step in self._steps:
            group = self._groups[step.name]
            if group != INPUT and not _is_wide(step.module):
                start[group] = step.module.out_exponent
            if isinstance(step.module, WeightLayer):
                start[step.name + _WEIGHTS] = step.module.weight_exponent
        self._start = {name: float(value) for name, value in start.items()}
        self._masters = {name: _leaf(value) for name, value in self._start.items()}
        self._input = torch.tensor(float(self._steps[0].module.in_exponent))
        self._optimizer = torch.optim.Adam(list(self._masters.values()), _RATE, _BETAS)

    def apply(self) -> None:
        """Let the layers compute with the masters, and take gradients to them."""
        for step in self._steps:
            if isinstance(step.module, WeightLayer):
                wide = step.module.wide
                step.module.learned = Learned(
                    self._of(step.inputs[0]),
                    self._masters[step.name + _WEIGHTS],
                    None if wide else self._of(step.name),
                )

    def step(self) -> None:
        """Move the masters against their gradients; the layers' exponents follow."""
        for master in self._masters.values():
            if master.grad is not None and torch.distributed.is_initialized():
                torch.distributed.all_reduce(master.grad)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._clip()
        self._write()

    def freeze(self) -> None:
        """Stop; the layers keep their exponents and compute fast again."""
        for step in self._steps:
            if isinstance(step.module, WeightLayer):
                step.module.learned = None

    def stored(self) -> dict[str, Any]:
        """State for a checkpoint."""
        masters = {name: value.detach().clone() for name, value in self._masters.items()}
        return {
            "start": dict(self._start),
            "masters": masters,
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Continue from :meth:`stored`."""
        self._start = dict(stored["start"])
        with torch.no_grad():
            for name, value in stored["masters"].items():
                self._masters[name].copy_(value)
        self._optimizer.load_state_dict(stored["optimizer"])
        self._write()

    def _of(self, name: str) -> Tensor:
        return self._masters.get(self._groups[name], self._input)

    def _clip(self) -> None:
        """Near where calibration put them, and within what the shift register holds."""
        with torch.no_grad():
            for name, master in self._masters.items():
                master.clamp_(self._start[name] - _FREE, self._start[name] + _FREE)
            for step in self._steps:
                if isinstance(step.module, WeightLayer) and not step.module.wide:
                    low, high = exponent_range(_whole(self._of(step.inputs[0])),
                                               _whole(self._of(step.name)))  # fmt: skip
                    self._masters[step.name + _WEIGHTS].clamp_(low, high)

    def _write(self) -> None:
        for step in self._steps:
            module = step.module
            module.in_exponent.fill_(_whole(self._of(step.inputs[0])))
            if not _is_wide(module):
                module.out_exponent.fill_(_whole(self._of(step.name)))
            if isinstance(module, WeightLayer):
                module.weight_exponent.fill_(_whole(self._masters[step.name + _WEIGHTS]))


def _leaf(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


def _whole(master: Tensor) -> int:
    return int(torch.floor(master.detach() + 0.5))


def _is_wide(module: nn.Module) -> bool:
    return isinstance(module, WeightLayer) and module.wide
