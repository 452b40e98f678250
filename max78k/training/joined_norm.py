"""Batch norm over the joined batch of several processes.

Means and variances are those of all samples of a step, so that training does not depend on the
number of processes. PyTorch's own SyncBatchNorm does not run on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function


def join_norms(model: nn.Module) -> None:
    """Let the batch norms of ``model`` use the joined batch; their state stays as it is."""
    for module in model.modules():
        for plain, joined in _KINDS.items():
            if type(module) is plain:
                module.__class__ = joined


class _Total(Function):
    """Sum over the processes; so is the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _normalize(norm: nn.BatchNorm1d | nn.BatchNorm2d, data: Tensor) -> Tensor:
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None and norm.momentum is not None
    values = data.float()
    axes = [axis for axis in range(data.ndim) if axis != 1]
    spread = (-1, *(1,) * (data.ndim - 2))
    count = values.numel() // values.shape[1] * dist.get_world_size()
    mean = _Total.apply(values.sum(axes)) / count  # type: ignore[no-untyped-call]
    centred = values - mean.reshape(spread)
    variance = _Total.apply(centred.square().sum(axes)) / count  # type: ignore[no-untyped-call]
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * (count / max(count - 1, 1)), norm.momentum)
    result: Tensor = centred * (variance + norm.eps).rsqrt().reshape(spread)
    if norm.affine:
        result = result * norm.weight.reshape(spread) + norm.bias.reshape(spread)
    return result.to(data.dtype)


class _Joined1d(nn.BatchNorm1d):
    def forward(self, input: Tensor) -> Tensor:
        return _normalize(self, input) if self.training else super().forward(input)


class _Joined2d(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return _normalize(self, input) if self.training else super().forward(input)


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: _Joined1d,
    nn.BatchNorm2d: _Joined2d,
}
