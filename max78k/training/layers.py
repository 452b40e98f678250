"""Layers that train in PyTorch and compute on the MAX78000.

Each layer is what the accelerator does in one of its hardware layers: pool, convolve, normalise
(folded into the weights on the chip), activate. A layer computes in one of three modes; see
:class:`Mode`. All but the mode is in the state dict: bits and exponents are buffers.
"""

from __future__ import annotations

from enum import Enum
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.network import Activation, Operation, Pool
from max78k.training import integer_conv
from max78k.training.chip_limits import pool_window, require_layer
from max78k.training.functions import integer_range, round_and_clip, round_parameter, truncate
from max78k.training.quantize import INPUT_EXPONENT, bias_exponent, output_shift

FLOAT32_EXACT = 1 << 24  # sums of integers below this are exact in float32, in any order
_NORM_MOMENTUM = 0.05


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
    the output stands for.
    """

    in_exponent: Tensor
    out_exponent: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mode = Mode.FLOAT
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
        return apply_pool(data, self.pool, self.mode)


class Add(ChipLayer):
    """Element-wise sum of 2-16 operands of one shape, clipped to 8 bits."""

    def forward(self, *operands: Tensor) -> Tensor:
        """The sum."""
        total = operands[0]
        for operand in operands[1:]:
            total = total + operand
        return total if self.mode is Mode.FLOAT else F.hardtanh(total, -128.0, 127.0)


class WeightLayer(ChipLayer):
    """What convolutions and linear layers share."""

    operation: Operation
    weight_bits: Tensor
    weight_exponent: Tensor

    def __init__(
        self,
        weight_shape: tuple[int, ...],
        *,
        bias: bool,
        norm: nn.Module | None,
        activation: str | None,
        bits: int,
        wide: bool,
        pool: Pool | None = None,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.activation = _activation(activation)
        require_layer(
            self.operation,
            weight_shape,
            bias=bias or norm is not None,
            activation=self.activation,
            bits=bits,
            wide=wide,
            padding=padding,
        )
        self.wide = wide
        self.pool = pool
        self.padding = padding
        self.weight = nn.Parameter(torch.empty(weight_shape))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        # batch norm brings its own offset
        self.bias = nn.Parameter(torch.zeros(weight_shape[0])) if bias and norm is None else None
        self.norm = norm
        self.register_buffer("weight_bits", torch.tensor(bits))
        self.register_buffer("weight_exponent", torch.tensor(0))

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Real weight and bias with the running statistics of batch norm folded in."""
        if self.norm is None:
            return self.weight, self.bias
        norm = cast(nn.BatchNorm2d, self.norm)
        assert norm.running_var is not None and norm.running_mean is not None
        factor = norm.weight * (norm.running_var + norm.eps).rsqrt()
        spread = factor.reshape(-1, *(1,) * (self.weight.ndim - 1))
        return self.weight * spread, norm.bias - norm.running_mean * factor

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as the chip holds them: integers in float32."""
        weight, bias = self.folded()
        exponent = int(self.weight_exponent)
        quantized = round_parameter(weight, exponent, int(self.weight_bits))
        if bias is None:
            return quantized, None
        return quantized, round_parameter(bias, bias_exponent(exponent, int(self.in_exponent)), 8)

    @property
    def output_shift(self) -> int:
        """The shift of the integer network's layer; 0 for a 32-bit output."""
        if self.wide:
            return 0
        exponents = (self.weight_exponent, self.in_exponent, self.out_exponent)
        return output_shift(int(self.weight_bits), *(int(e) for e in exponents))

    def forward(self, data: Tensor) -> Tensor:
        """Output of the layer in its mode."""
        data = self._arrange(data)
        if self.mode is Mode.FLOAT:
            value = self._multiply(data, self.weight, self.bias)
            if self.norm is not None:
                value = self.norm(value)
            return _activate(value, self.activation)
        weight, bias = self.integers()
        if bias is not None:
            bias = bias * BIAS_UNIT
        if self.mode is Mode.INTEGER and _bound(weight, bias) >= FLOAT32_EXACT:
            data, weight = data.double(), weight.double()
            bias = None if bias is None else bias.double()
        return self._finish(self._multiply(data, weight, bias))

    def _finish(self, accumulator: Tensor) -> Tensor:
        if self.wide:
            if self.mode is Mode.INTEGER:
                return accumulator
            return accumulator * 2.0 ** int(self.weight_exponent + self.in_exponent)
        exponent = self.output_shift + 1 - int(self.weight_bits)
        low = 0 if self.activation is Activation.RELU else -128
        value = round_and_clip(accumulator, exponent, low, 127)
        if self.activation is Activation.ABS:
            value = value.abs().clamp(max=127)
        return value.float() if self.mode is Mode.INTEGER else value

    def _arrange(self, data: Tensor) -> Tensor:
        """Data as the operation reads them."""
        return apply_pool(data, self.pool, self.mode)

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError


class Conv2d(WeightLayer):
    """Pooling, 2-D convolution, batch norm, activation.

    Args:
        in_channels: 1-1024.
        out_channels: 1-1024; 1-512 with a bias or batch norm.
        kernel_size: 1 or 3.
        padding: 0-2.
        pool: window of the pooling before the convolution, 1-16; None: no pooling.
        pool_kind: "max" or "avg".
        pool_stride: 1-16, equal on both axes; None: the window.
        batch_norm: normalise; the chip's weights and bias have it folded in.
        bias: a bias where there is no batch norm.
        activation: "relu", "abs" or None.
        bits: weight width, 1, 2, 4 or 8.
        wide: 32-bit output, the bare accumulator; takes no activation.
    """

    operation = Operation.CONV2D

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        padding: int = 1,
        pool: int | tuple[int, int] | None = None,
        pool_kind: str = "max",
        pool_stride: int | None = None,
        batch_norm: bool = True,
        bias: bool = True,
        activation: str | None = "relu",
        bits: int = 8,
        wide: bool = False,
    ) -> None:
        window = None if pool is None else pool_window(pool, pool_kind, pool_stride)
        super().__init__(
            (out_channels, in_channels, kernel_size, kernel_size),
            bias=bias,
            norm=nn.BatchNorm2d(out_channels, momentum=_NORM_MOMENTUM) if batch_norm else None,
            activation=activation,
            bits=bits,
            wide=wide,
            pool=window,
            padding=padding,
        )

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.mode is Mode.QAT and integer_conv.is_active():
            return integer_conv.conv2d(data, weight, bias, self.padding)
        return F.conv2d(data, weight, bias, padding=self.padding)


class Conv1d(WeightLayer):
    """Pooling, 1-D convolution, batch norm, activation; arguments as for :class:`Conv2d`.

    ``kernel_size`` is 1-9 and ``padding`` 0-2.
    """

    operation = Operation.CONV1D

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        padding: int = 1,
        pool: int | None = None,
        pool_kind: str = "max",
        pool_stride: int | None = None,
        batch_norm: bool = True,
        bias: bool = True,
        activation: str | None = "relu",
        bits: int = 8,
        wide: bool = False,
    ) -> None:
        window = None if pool is None else pool_window(pool, pool_kind, pool_stride, 1)
        super().__init__(
            (out_channels, in_channels, kernel_size),
            bias=bias,
            norm=nn.BatchNorm1d(out_channels, momentum=_NORM_MOMENTUM) if batch_norm else None,
            activation=activation,
            bits=bits,
            wide=wide,
            pool=window,
            padding=padding,
        )

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv1d(data, weight, bias, padding=self.padding)


class Linear(WeightLayer):
    """Fully connected layer; flattens data of up to 256 pixels, channel first.

    Args:
        in_features: 1-16384, channels * rows * columns of the input.
        out_features: 1-1024; 1-512 with a bias.
        bias: add a bias.
        activation: "relu", "abs" or None.
        bits: weight width, 1, 2, 4 or 8.
        wide: 32-bit output, as the last layer of a classifier has.
    """

    operation = Operation.LINEAR

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: str | None = None,
        bits: int = 8,
        wide: bool = True,
    ) -> None:
        super().__init__(
            (out_features, in_features),
            bias=bias,
            norm=None,
            activation=activation,
            bits=bits,
            wide=wide,
        )
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def _arrange(self, data: Tensor) -> Tensor:
        return data.flatten(1)

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(data, weight, bias)


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Let all chip layers of ``model`` compute in ``mode``."""
    for module in model.modules():
        if isinstance(module, ChipLayer):
            module.mode = mode


def apply_pool(data: Tensor, pool: Pool | None, mode: Mode) -> Tensor:
    """Pooling of [N, C, H, W] or [N, C, L]; averages of integers are truncated toward zero."""
    if pool is None:
        return data
    flat = data.ndim == 3
    size = pool.size[:1] if flat else pool.size
    stride = pool.stride[:1] if flat else pool.stride
    if pool.kind == "max":
        largest: Tensor = (F.max_pool1d if flat else F.max_pool2d)(data, size, stride)
        return largest
    if mode is Mode.FLOAT:
        mean: Tensor = (F.avg_pool1d if flat else F.avg_pool2d)(data, size, stride)
        return mean
    # the sum of integers is exact, and so is the truncated quotient of one division
    spread = data.unsqueeze(-1) if flat else data
    total = F.avg_pool2d(spread, pool.size, pool.stride, divisor_override=1)
    value = truncate(total / (pool.size[0] * pool.size[1]))
    return value.squeeze(-1) if flat else value


def _activation(name: str | None) -> Activation:
    try:
        return Activation(name or "none")
    except ValueError:
        raise InputError(
            "E-RULE-ACTIVATION", f"activation {name!r}.", "relu, abs or None."
        ) from None


def _activate(value: Tensor, activation: Activation) -> Tensor:
    if activation is Activation.RELU:
        return F.relu(value)
    return value.abs() if activation is Activation.ABS else value


def _bound(weight: Tensor, bias: Tensor | None) -> float:
    """Largest magnitude that any partial sum of an output can have."""
    bound = weight.detach().abs().flatten(1).double().sum(1) * -integer_range(8)[0]
    if bias is not None:
        bound = bound + bias.detach().abs().double()
    return float(bound.max())
