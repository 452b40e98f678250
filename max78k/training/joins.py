"""Layers that combine operands element by element: sum, difference, bitwise or and exclusive or."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from max78k.chip.limits import ELTWISE_OPERANDS
from max78k.errors import InputError
from max78k.network import Eltwise
from max78k.training.base import ChipLayer, Mode
from max78k.training.functions import bitwise
from max78k.training.quantize import INPUT_EXPONENT

BITWISE = (Eltwise.OR, Eltwise.XOR)


class Join(ChipLayer):
    """Base of the element-wise layers; see :class:`Add`."""

    eltwise: Eltwise

    def forward(self, *operands: Tensor) -> Tensor:
        """Combine 2-16 tensors [N, C, ...] of one shape."""
        return combine(self.eltwise, operands, self.mode)


class Add(Join):
    """Element-wise sum of 2-16 operands of one shape, clipped to 8 bits once at the end."""

    eltwise = Eltwise.ADD


class Sub(Join):
    """The first operand minus the 1-15 others, clipped to 8 bits once at the end."""

    eltwise = Eltwise.SUB


class Or(Join):
    """Bitwise or of the 8-bit integers of 2-16 operands.

    A bit pattern is no number: the step of its operands is fixed to 1/128, so that real values are
    clipped to -1...127/128. The gradient is handed on to every operand as it is.
    """

    eltwise = Eltwise.OR


class Xor(Join):
    """Bitwise exclusive or of the 8-bit integers of 2-16 operands; see :class:`Or`."""

    eltwise = Eltwise.XOR


def combine(function: Eltwise, operands: Sequence[Tensor], mode: Mode) -> Tensor:
    """The element-wise operation; integers are clipped to 8 bits, real sums are not.

    Raises:
        InputError: E-RULE-OPERANDS for fewer than 2 or more than 16 operands.
    """
    if not 2 <= len(operands) <= ELTWISE_OPERANDS:
        raise InputError(
            "E-RULE-OPERANDS",
            f"{function.value} of {len(operands)} operands.",
            f"2-{ELTWISE_OPERANDS} tensors of one shape.",
        )
    if function in BITWISE:
        if mode is not Mode.FLOAT:
            return bitwise(operands, function is Eltwise.OR)
        step = 2.0**INPUT_EXPONENT
        return bitwise([operand / step for operand in operands], function is Eltwise.OR) * step
    total = operands[0]
    for operand in operands[1:]:
        total = total + operand if function is Eltwise.ADD else total - operand
    return total if mode is Mode.FLOAT else F.hardtanh(total, -128.0, 127.0)
