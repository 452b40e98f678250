"""Convolution of 8-bit integers for training: exact forward, backward in bfloat16.

Quantization-aware training convolves integers that are held in float32. Processors that multiply
bytes (AVX-512 VNNI, AMX) compute the same integers several times faster, and the gradients need no
more than bfloat16: integers of 8 bits are exact in it, so that only the arriving gradient is
rounded. The forward pass equals that of float32 bit by bit as long as sums stay below 2**24.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

_ZERO_POINT = 128  # bytes 0...255 stand for -128...127

_active: ContextVar[bool] = ContextVar("_active", default=False)


@contextmanager
def fast_integers(enabled: bool = True) -> Iterator[None]:
    """Within the block, layers in the QAT mode use :func:`conv2d` (while they train)."""
    token = _active.set(enabled)
    try:
        yield
    finally:
        _active.reset(token)


def is_active() -> bool:
    """Whether the caller is within :func:`fast_integers`."""
    return _active.get()


def conv2d(data: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """2-D convolution with stride 1.

    Args:
        data: float32 [N, C, H, W] of integers -128...127.
        weight: float32 [O, C, K, K] of integers -128...127.
        bias: float32 [O] of integers, or None.
        padding: zeros at each edge.

    Returns:
        float32 [N, O, H', W'], the accumulators.
    """
    result: Tensor = _Convolution.apply(data, weight, bias, padding)  # type: ignore[no-untyped-call]
    return result


class _Convolution(Function):
    @staticmethod
    def forward(
        ctx: Any, data: Tensor, weight: Tensor, bias: Tensor | None, padding: int
    ) -> Tensor:
        ctx.save_for_backward(data, weight)
        ctx.padding, ctx.biased = padding, bias is not None
        if data.device.type == "cpu" and has_byte_products():
            return _byte_products(data, weight, bias, padding)
        return F.conv2d(data, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        data, weight = ctx.saved_tensors
        wanted = [bool(need) for need in ctx.needs_input_grad[:2]]
        around = [ctx.padding] * 2
        data_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
            gradients[0].bfloat16(),
            data.bfloat16(),
            weight.bfloat16(),
            None,
            [1, 1],
            around,
            [1, 1],
            False,
            [0, 0],
            1,
            [*wanted, False],
        )
        bias_gradient = None
        if ctx.biased and ctx.needs_input_grad[2]:
            bias_gradient = gradients[0].sum(dim=(0, 2, 3))
        return (
            data_gradient.float() if wanted[0] else None,
            weight_gradient.float() if wanted[1] else None,
            bias_gradient,
            None,
        )


def _byte_products(data: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """The convolution on bytes with 32-bit sums."""
    one, none = [1, 1], torch.zeros(len(weight), dtype=torch.int32)
    around, scales = [padding] * 2, torch.ones(len(weight))
    # inverting the highest bit of a byte adds 128
    raised = data.to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO_POINT)
    packed = torch.ops.onednn.qconv_prepack(
        weight.to(torch.int8), scales, 1.0, _ZERO_POINT, one, around, one, 1, list(data.shape)
    )
    result: Tensor = torch.ops.onednn.qconv2d_pointwise(
        raised, 1.0, _ZERO_POINT, packed, scales, none, bias, one, around, one, 1,
        1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return result


@lru_cache(maxsize=1)
def has_byte_products() -> bool:
    """Whether this CPU and this PyTorch multiply bytes exactly, tried on the largest numbers.

    Processors without these instructions add pairs of products in 16 bits, which overflows.
    """
    extremes = torch.tensor([-128.0, 127.0])
    data = extremes[torch.arange(2 * 16 * 5 * 5) % 2].reshape(2, 16, 5, 5)
    weight = extremes[torch.arange(8 * 16 * 9) // 3 % 2].reshape(8, 16, 3, 3)
    weight[0], data[0] = 127.0, -128.0
    bias = torch.arange(8.0) * 128
    try:
        found = _byte_products(data, weight, bias, 1)
    except (RuntimeError, AttributeError, TypeError):
        return False
    return torch.equal(found, F.conv2d(data, weight, bias, padding=1))
