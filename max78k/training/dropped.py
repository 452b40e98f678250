"""Batch norm behind dropout: statistics of what evaluation computes, which drops nothing.

Dropout makes the variance behind it larger, and a maximum of dropped values is larger than that of
the values (a layer of the chip pools before it computes, so that dropout stands before the pool).
Running statistics of such data do not fit a network in evaluation: arXiv:1801.05134 calls it
variance shift. So the statistics are measured without dropout after every epoch of real numbers,
and in quantized training, where layers compute with them and they follow the data, dropout that
they would see is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def dropouts_before_norms(model: nn.Module, sample: Tensor) -> list[nn.Module]:
    """Dropout layers after which ``model`` still normalises, for real inputs like ``sample``."""
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, _: called.append(module))
        for module in model.modules()
        if isinstance(module, (*_DROPOUTS, _BatchNorm))
    ]
    try:
        with _evaluating(model), torch.no_grad():
            model(sample)
    finally:
        for hook in hooks:
            hook.remove()
    norms = [number for number, module in enumerate(called) if isinstance(module, _BatchNorm)]
    before = called[: max(norms, default=0)]
    return list(dict.fromkeys(one for one in before if isinstance(one, _DROPOUTS) and one.p > 0))


def measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set all running statistics of ``model`` to the means over ``batches``, without dropout."""
    norms = [one for one in model.modules() if isinstance(one, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    with _evaluating(model), torch.no_grad():
        for norm in norms:
            norm.train()
        for number, batch in enumerate(batches, 1):
            for norm in norms:
                norm.momentum = 1 / number
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """All modules in evaluation; afterwards each is as it was."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was
