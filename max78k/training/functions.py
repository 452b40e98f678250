"""The arithmetic of the chip as PyTorch functions with straight-through gradients.

Data, weights and accumulators are integers held in floating point. Rounding is half up,
``floor(x + 1/2)``; ``torch.round`` (half to even) differs from the chip on ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class _RoundAndClip(Function):
    """Accumulator to 8 bits, in place; the output itself is the mask of the gradient.

    The gradient is zero where the output is at a bound, as that of hardtanh. Nothing is stored
    but the output, which the next convolution keeps anyway.
    """

    @staticmethod
    def forward(ctx: Any, accumulator: Tensor, scale: float, low: float, high: float) -> Tensor:
        ctx.mark_dirty(accumulator)
        output = accumulator.mul_(scale).add_(0.5).floor_().clamp_(low, high)
        ctx.save_for_backward(output)
        ctx.scale, ctx.low, ctx.high = scale, low, high
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (output,) = ctx.saved_tensors
        gradient = torch.ops.aten.hardtanh_backward(gradients[0], output, ctx.low, ctx.high)
        return gradient.mul_(ctx.scale), None, None, None


class _RoundParameter(Function):
    """Real values to integers ``floor(value / step + 1/2)``, clipped."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, step: float, low: int, high: int) -> Tensor:
        scaled = value / step
        rounded = scaled.add_(0.5).floor_()
        ctx.save_for_backward((rounded >= low) & (rounded <= high))
        ctx.step = step
        return rounded.clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside / ctx.step, None, None, None


class _Truncate(Function):
    """Toward zero, as the chip divides when it averages."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.trunc()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Bitwise(Function):
    """Bits of the operands as 8-bit integers; the gradient goes on to each as it is."""

    @staticmethod
    def forward(ctx: Any, is_or: bool, *operands: Tensor) -> Tensor:
        ctx.count = len(operands)
        function = torch.bitwise_or if is_or else torch.bitwise_xor
        whole = [(x + 0.5).floor().clamp(-128, 127).to(torch.int32) for x in operands]
        result = whole[0]
        for other in whole[1:]:
            result = function(result, other)
        return result.to(operands[0].dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *gradients * ctx.count)


class _PowerOfTwo(Function):
    """``2**round(exponent)`` with the gradient of ``2**exponent``."""

    @staticmethod
    def forward(ctx: Any, exponent: Tensor) -> Tensor:
        ctx.value = 2.0 ** math.floor(float(exponent) + 0.5)
        return torch.full_like(exponent, ctx.value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient: Tensor = gradients[0] * (ctx.value * math.log(2))
        return gradient


class _RoundHalfUp(Function):
    """``floor(value + 1/2)`` with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return (value + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_and_clip(accumulator: Tensor, exponent: int, low: int, high: int) -> Tensor:
    """``clip(floor(accumulator * 2**exponent + 1/2), low, high)``; overwrites the accumulator.

    Exact in float32 for accumulators below 2**24 and exponents from -22 up: where the sum with
    1/2 needs more than 24 bits the result is either clipped or no rounding crosses an integer.
    """
    result: Tensor = _RoundAndClip.apply(accumulator, 2.0**exponent, float(low), float(high))  # type: ignore[no-untyped-call]
    return result


def round_parameter(value: Tensor, exponent: int, bits: int) -> Tensor:
    """``value / 2**exponent`` as an integer of ``bits`` bits, two's complement."""
    low, high = integer_range(bits)
    result: Tensor = _RoundParameter.apply(value, 2.0**exponent, low, high)  # type: ignore[no-untyped-call]
    return result


def truncate(value: Tensor) -> Tensor:
    """Toward zero, with the gradient of the identity."""
    result: Tensor = _Truncate.apply(value)  # type: ignore[no-untyped-call]
    return result


def bitwise(operands: Sequence[Tensor], is_or: bool) -> Tensor:
    """Bitwise or, else exclusive or, of values rounded and clipped to 8 bits."""
    result: Tensor = _Bitwise.apply(is_or, *operands)  # type: ignore[no-untyped-call]
    return result


def power_of_two(exponent: Tensor) -> Tensor:
    """The exact power of two whose exponent is nearest, with a gradient to ``exponent``."""
    result: Tensor = _PowerOfTwo.apply(exponent)  # type: ignore[no-untyped-call]
    return result


def round_half_up(value: Tensor) -> Tensor:
    """Nearest integers, halves upward, with the gradient of the identity."""
    result: Tensor = _RoundHalfUp.apply(value)  # type: ignore[no-untyped-call]
    return result


def integer_range(bits: int) -> tuple[int, int]:
    """Smallest and largest integer of ``bits`` bits; 1 bit is {-1, 0}."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
