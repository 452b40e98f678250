"""Layers that train in PyTorch and compute on the MAX78000.

Each layer is what the accelerator does in one of its hardware layers: pool, combine, convolve,
normalise (folded into the weights on the chip), activate. A layer computes in one of three modes;
see :class:`max78k.training.base.Mode`. All but the mode is in the state dict: bits and exponents
are buffers. What no data could make the chip run raises RuleError when the layer is built.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.errors import InputError
from max78k.network import Operation
from max78k.training import integer_conv
from max78k.training.base import ChipLayer, Mode, Pooling, set_average_rounding, set_mode
from max78k.training.chip_limits import pool_window
from max78k.training.joins import Add, Join, Or, Sub, Xor
from max78k.training.weight_layer import BatchNorm, WeightLayer, update_norms

__all__ = [
    "Add", "BatchNorm", "ChipLayer", "Conv1d", "Conv2d", "ConvTranspose2d", "Join", "Linear",
    "Mode", "Or", "Pooling", "Sub", "WeightLayer", "Xor", "set_average_rounding", "set_mode",
    "update_norms",
]  # fmt: skip


class _Convolution(WeightLayer):
    """Arguments that all convolutions have."""

    dimensions: ClassVar[int] = 2
    norm_class: ClassVar[type[nn.Module]] = nn.BatchNorm2d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        padding: int = 1,
        dilation: int = 1,
        pool: int | tuple[int, int] | None = None,
        pool_kind: str = "max",
        pool_stride: int | None = None,
        combine: str | None = None,
        batch_norm: bool | BatchNorm = True,
        bias: bool = True,
        activation: str | None = "relu",
        bits: int = 8,
        wide: bool = False,
    ) -> None:
        window = None
        if pool is not None:
            window = pool_window(pool, pool_kind, pool_stride, self.dimensions)
        norm = None
        if batch_norm:
            chosen = BatchNorm() if batch_norm is True else batch_norm
            norm = self.norm_class(out_channels, chosen.eps, chosen.momentum, chosen.affine)
        channels = [out_channels, in_channels]
        if self.out_axis:
            channels.reverse()
        super().__init__(
            (*channels, *(kernel_size,) * self.dimensions),
            bias=bias,
            norm=norm,
            activation=activation,
            bits=bits,
            wide=wide,
            pool=window,
            padding=padding,
            dilation=dilation,
            combine=combine,
        )


class Conv2d(_Convolution):
    """Pooling, element-wise combination, 2-D convolution, batch norm, activation.

    Input [N, in_channels, H, W]; with ``combine`` several of them.

    Args:
        in_channels: 1-1024.
        out_channels: 1-1024; 1-512 with a bias or batch norm.
        kernel_size: 1 or 3.
        padding: 0-2, less than the kernel.
        dilation: 1; the chip dilates 1-D convolutions alone.
        pool: window of the pooling before the convolution, 1-16, one number or (rows, columns);
            None: no pooling.
        pool_kind: "max" or "avg".
        pool_stride: 1-16, equal on both axes; None: the window.
        combine: "add", "sub", "or" or "xor": the layer takes 2-16 operands, pools each and
            combines them, without a layer of the chip of its own; None: one input.
        batch_norm: normalise (True, or the options :class:`BatchNorm`); the chip's weights and
            bias have it folded in.
        bias: a bias where there is no batch norm.
        activation: "relu", "abs" or None.
        bits: weight width, 1, 2, 4 or 8; biases have 8 at every width.
        wide: 32-bit output, the bare accumulator; takes no activation.
        fold: of a first layer, side of the squares of pixels that become ``in_channels``
            (:mod:`max78k.network.folding`), without loss and before the data are on the chip.

    Raises:
        RuleError, InputError: E-RULE-... for what the chip cannot do.
    """

    operation = Operation.CONV2D

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        fold: int = 1,
        **more: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, **more)
        self.fold = fold
        if fold != 1 and (fold < 1 or in_channels % fold**2 or self.pool or self.combine):
            raise InputError(
                "E-RULE-FOLD",
                f"fold is {fold} in a layer that reads {in_channels} channels.",
                "a divisor of both sides of the picture, whose square divides the channels, in a "
                "layer that neither pools nor combines.",
            )

    def _arrange(self, data: Tensor) -> Tensor:
        data = super()._arrange(data)
        if self.fold == 1 or data.shape[1] == self.weight.shape[1]:
            return data  # also what was folded before
        squares = range(self.fold)
        parts = [data[:, :, row :: self.fold, column :: self.fold]
                 for row in squares for column in squares]  # fmt: skip
        return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.mode is Mode.QAT and integer_conv.is_active():
            return integer_conv.conv2d(data, weight, bias, self.padding)
        return F.conv2d(data, weight, bias, padding=self.padding)


class Conv1d(_Convolution):
    """Pooling, 1-D convolution, batch norm, activation; arguments as for :class:`Conv2d`.

    Input [N, in_channels, L]. ``kernel_size`` is 1-9, ``padding`` 0-2; ``dilation`` may be 1-1023,
    where kernel and dilation span more than 9 values with a kernel of 2 or 3, without padding and
    pooling. ``combine`` is refused: the chip combines operands of 2-D layers alone.
    """

    operation = Operation.CONV1D
    dimensions = 1
    norm_class = nn.BatchNorm1d

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv1d(data, weight, bias, padding=self.padding, dilation=self.dilation)


class ConvTranspose2d(_Convolution):
    """Pooling, transposed 2-D convolution of stride 2, batch norm, activation.

    Arguments as for :class:`Conv2d`. ``kernel_size`` is 3; the output of [N, in_channels, H, W]
    has 2 H + 2 - 2 padding rows, twice the input with the padding of 1. Weights are [in, out, 3, 3]
    as in ``torch.nn.ConvTranspose2d(..., stride=2, output_padding=1)``.
    """

    operation = Operation.CONVTRANSPOSE2D
    out_axis = 1

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv_transpose2d(data, weight, bias, 2, self.padding, output_padding=1)


class Linear(WeightLayer):
    """Fully connected layer; flattens data of up to 256 pixels, channel first.

    Args:
        in_features: 1-16384, channels * rows * columns of the input.
        out_features: 1-1024; 1-512 with a bias.
        pool: window of a pooling of 2-D data that leaves one pixel, 1-16; None: no pooling.
        pool_kind: "max" or "avg".
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
        pool: int | tuple[int, int] | None = None,
        pool_kind: str = "max",
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
            pool=None if pool is None else pool_window(pool, pool_kind, 1),
        )
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def _arrange(self, data: Tensor) -> Tensor:
        return data.flatten(1)

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(data, weight, bias)
