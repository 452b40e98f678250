"""What all layers of the chip share: their modes, their exponents, and pooling."""

from __future__ import annotations

from enum import Enum

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.network import Pool
from max78k.training import fused
from max78k.training.chip_limits import pool_window
from max78k.training.functions import truncate
from max78k.training.quantize import INPUT_EXPONENT


class Mode(str, Enum):
    """How the layers compute.

    FLOAT: real numbers with batch norm. QAT: integers in float32, with gradients; a 32-bit output
    is scaled to real numbers. INTEGER: the chip's integers, exact; a 32-bit output is the bare
    accumulator.
    """

    FLOAT = "float"
    QAT = "qat"
    INTEGER = "integer"


class ChipLayer(nn.Module):
    """A layer of the chip; the base of all others.

    ``in_exponent`` and ``out_exponent`` are the powers of two that one step of the input and of
    the output stands for. ``average_rounds`` says what an average of integers does with its
    remainder: cut it off (the chip's default), or round half away from zero; one network has one
    of the two.
    """

    in_exponent: Tensor
    out_exponent: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mode = Mode.FLOAT
        self.average_rounds = False
        self.register_buffer("in_exponent", torch.tensor(INPUT_EXPONENT))
        self.register_buffer("out_exponent", torch.tensor(INPUT_EXPONENT))


class Pooling(ChipLayer):
    """Pooling alone: a pass-through layer.

    With more than 64 channels the chip pools in a pass-through layer only down to one pixel.

    Args:
        size: window, 1-16, one number or (rows, columns); one number for 1-D data.
        kind: "max" or "avg" (truncated toward zero).
        stride: 1-16, equal on both axes; None: the size.
        dimensions: 2 for [N, C, H, W], 1 for [N, C, L].

    Raises:
        RuleError: for a window or stride that the chip does not have.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        kind: str = "max",
        stride: int | None = None,
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.pool = pool_window(size, kind, stride, dimensions)

    def forward(self, data: Tensor) -> Tensor:
        """[N, C, H, W] or [N, C, L], pooled."""
        return apply_pool(data, self.pool, self.mode, self.average_rounds)


def is_plain(model: nn.Module) -> bool:
    """Whether ``model`` has no layer of the chip, so that it computes in real numbers alone."""
    return not any(isinstance(module, ChipLayer) for module in model.modules())


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Let all chip layers of ``model`` compute in ``mode``."""
    for module in model.modules():
        if isinstance(module, ChipLayer):
            module.mode = mode


def set_average_rounding(model: nn.Module, rounds: bool) -> None:
    """Let all averages of ``model`` round half away from zero, or truncate (the default)."""
    for module in model.modules():
        if isinstance(module, ChipLayer):
            module.average_rounds = rounds


def apply_pool(data: Tensor, pool: Pool | None, mode: Mode, rounds: bool = False) -> Tensor:
    """Pooling of [N, C, H, W] or [N, C, L]; averages of integers are integers."""
    if pool is None:
        return data
    flat = data.ndim == 3
    size = pool.size[:1] if flat else pool.size
    stride = pool.stride[:1] if flat else pool.stride
    if pool.kind == "max":
        return F.max_pool1d(data, size, stride) if flat else fused.largest_pool(data, pool)
    if mode is Mode.FLOAT:
        mean: Tensor = (F.avg_pool1d if flat else F.avg_pool2d)(data, size, stride)
        return mean
    # the sum of integers is exact, and so is the truncated quotient of one division
    spread = data.unsqueeze(-1) if flat else data
    total = F.avg_pool2d(spread, pool.size, pool.stride, divisor_override=1)
    count = pool.size[0] * pool.size[1]
    if rounds:  # half away from zero
        total = total + 0.5 * count * total.detach().sign()
    value = truncate(total / count)
    return value.squeeze(-1) if flat else value
