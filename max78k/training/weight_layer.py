"""What convolutions and linear layers share: folding, rounding, shifting, activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.network import Activation, Eltwise, Operation, Pool
from max78k.training import fused
from max78k.training.base import ChipLayer, Mode, apply_pool
from max78k.training.chip_limits import require_layer
from max78k.training.functions import (
    integer_range,
    power_of_two,
    round_and_clip,
    round_half_up,
    round_parameter,
)
from max78k.training.joins import combine as combine_operands
from max78k.training.quantize import bias_exponent, output_shift

FLOAT32_EXACT = 1 << 24  # sums of integers below this are exact in float32, in any order
_NORM_SAMPLES = 8  # of a batch, at least, that quantized training takes statistics of
_SMALLEST_FACTOR = 1e-6  # of batch norm, from which its statistics can be told


@dataclass(frozen=True)
class BatchNorm:
    """Options of batch norm: learned scale and offset, and those of ``torch.nn.BatchNorm2d``."""

    affine: bool = True
    eps: float = 1e-5
    momentum: float = 0.05


@dataclass(frozen=True, eq=False)
class Learned:
    """Exponents under training, real 0-d tensors: of the input, the weights, the output."""

    data: Tensor
    weight: Tensor
    out: Tensor | None


class WeightLayer(ChipLayer):
    """What convolutions and linear layers share."""

    operation: Operation
    out_axis: ClassVar[int] = 0  # of the weights
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
        dilation: int = 1,
        combine: str | None = None,
    ) -> None:
        super().__init__()
        self.activation = _activation(activation)
        self.combine = None if combine is None else _combination(combine)
        require_layer(
            self.operation,
            weight_shape,
            bias=bias or norm is not None,
            activation=self.activation,
            bits=bits,
            wide=wide,
            padding=padding,
            dilation=dilation,
            pool=pool,
            eltwise=self.combine,
        )
        self.wide = wide
        self.pool = pool
        self.padding = padding
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(weight_shape))
        nn.init.kaiming_normal_(self._rows(self.weight), nonlinearity="relu")
        # batch norm brings its own offset
        outputs = weight_shape[self.out_axis]
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias and norm is None else None
        self.norm = norm
        self.norm_updates = False
        self.limit: float | None = None  # of real outputs; integers clip where they end
        self.learned: Learned | None = None
        self.register_buffer("weight_bits", torch.tensor(bits))
        self.register_buffer("weight_exponent", torch.tensor(0))

    def _rows(self, weight: Tensor) -> Tensor:
        """Weights as [out, in, ...]."""
        return weight.transpose(0, self.out_axis)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Real weight and bias with the running statistics of batch norm folded in."""
        if self.norm is None:
            return self.weight, self.bias
        factor, offset = self._norm_factors()
        spread = factor.reshape(-1, *(1,) * (self.weight.ndim - 1)).transpose(0, self.out_axis)
        return self.weight * spread, offset

    def _norm_factors(self) -> tuple[Tensor, Tensor]:
        """What batch norm in evaluation multiplies by and what it adds, by output channel."""
        norm = cast(nn.BatchNorm2d, self.norm)
        assert norm.running_var is not None and norm.running_mean is not None
        factor = (norm.running_var + norm.eps).rsqrt()
        mean = norm.running_mean.clone()  # it may change before the backward pass reads it
        if not norm.affine:
            return factor, -mean * factor
        factor = norm.weight * factor
        return factor, norm.bias - mean * factor

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as the chip holds them: integers in float32."""
        weight, bias = self.folded()
        exponent = int(self.weight_exponent)
        quantized = round_parameter(weight, exponent, int(self.weight_bits))
        if bias is None:
            return quantized, None
        return quantized, round_parameter(bias, bias_exponent(exponent, int(self.in_exponent)), 8)

    def hold(self, weight: Tensor, bias: Tensor | None, exponent: int) -> None:
        """Let the layer hold exactly these integers (as :meth:`integers` gives them).

        Batch norm, which is folded into them, is gone; ``in_exponent`` must be set.
        """
        unit = 2.0 ** bias_exponent(exponent, int(self.in_exponent))
        self.norm = None
        self.weight_exponent.fill_(exponent)
        with torch.no_grad():
            self.weight.copy_(weight * 2.0**exponent)
        self.bias = None if bias is None else nn.Parameter(bias * unit)

    @property
    def output_shift(self) -> int:
        """The shift of the integer network's layer; 0 for a 32-bit output."""
        if self.wide:
            return 0
        exponents = (self.weight_exponent, self.in_exponent, self.out_exponent)
        return output_shift(int(self.weight_bits), *(int(e) for e in exponents))

    def forward(self, *operands: Tensor) -> Tensor:
        """Output of the layer in its mode, for [N, C, ...]; several with ``combine`` alone."""
        data = self._arrange(self.combined(operands))
        if self.mode is Mode.FLOAT:
            value = self._multiply(data, self.weight, self.bias)
            if self.norm is not None and self.activation is Activation.RELU:
                value = fused.norm_relu(self.norm, value)
            else:
                value = value if self.norm is None else self.norm(value)
                value = _activate(value, self.activation)
            return value if self.limit is None else value.clamp(-self.limit, self.limit)
        if self.learned is not None and self.mode is Mode.QAT:
            return self._forward_learned(data, self.learned)
        weight, bias = self.integers()
        if bias is not None:
            bias = bias * BIAS_UNIT
        if self.mode is Mode.INTEGER and self._bound(weight, bias) >= FLOAT32_EXACT:
            data, weight = data.double(), weight.double()
            bias = None if bias is None else bias.double()
        accumulator = self._multiply(data, weight, bias)
        if self.norm_updates and self.training and self.mode is Mode.QAT:
            self._update_norm(accumulator.detach()[: max(_NORM_SAMPLES, len(accumulator) // 8)])
        return self._finish(accumulator)

    def _finish(self, accumulator: Tensor) -> Tensor:
        if self.wide:
            if self.mode is Mode.INTEGER:
                return accumulator
            return accumulator * 2.0 ** int(self.weight_exponent + self.in_exponent)
        exponent = self.output_shift + 1 - int(self.weight_bits)
        value = round_and_clip(accumulator, exponent, self._lowest, 127)
        if self.activation is Activation.ABS:
            value = value.abs().clamp(max=127)
        return value.float() if self.mode is Mode.INTEGER else value

    @property
    def _lowest(self) -> int:
        return 0 if self.activation is Activation.RELU else -128

    def _forward_learned(self, data: Tensor, exponents: Learned) -> Tensor:
        """As with fixed exponents, the same values, with gradients to the exponents."""
        step_in, step_weight = power_of_two(exponents.data), power_of_two(exponents.weight)
        weight, bias = self.folded()
        low, high = integer_range(int(self.weight_bits))
        weight = round_half_up(weight / step_weight).clamp(low, high)
        if bias is not None:
            unit = step_weight * step_in * BIAS_UNIT
            bias = round_half_up(bias / unit).clamp(-128, 127) * BIAS_UNIT
        accumulator = self._multiply(data, weight, bias)
        if exponents.out is None:
            return accumulator * (step_weight * step_in)
        scaled = accumulator * (step_weight * step_in / power_of_two(exponents.out))
        value = F.hardtanh(round_half_up(scaled), self._lowest, 127)
        return value.abs().clamp(max=127) if self.activation is Activation.ABS else value

    def _update_norm(self, accumulator: Tensor) -> None:
        """Let the running statistics follow what the quantized layer computes.

        The accumulator holds the normalised values, so that those before it can be told.
        """
        norm = cast(nn.BatchNorm2d, self.norm)
        assert norm.running_var is not None and norm.running_mean is not None
        with torch.no_grad():
            factor, offset = self._norm_factors()
            axes = [axis for axis in range(accumulator.ndim) if axis != 1]
            variance, mean = torch.var_mean(accumulator, axes)
            unit = 2.0 ** int(self.weight_exponent + self.in_exponent)
            usable = factor.abs() > _SMALLEST_FACTOR
            safe = torch.where(usable, factor, torch.ones_like(factor))
            share = (norm.momentum or 0.0) * usable
            norm.running_mean += share * ((mean * unit - offset) / safe - norm.running_mean)
            norm.running_var += share * (variance * (unit / safe).square() - norm.running_var)

    def combined(self, operands: tuple[Tensor, ...]) -> Tensor:
        """The operands pooled, then combined: what the layer multiplies by its weights."""
        pooled = [apply_pool(x, self.pool, self.mode, self.average_rounds) for x in operands]
        if self.combine is not None:
            return combine_operands(self.combine, pooled, self.mode)
        if len(pooled) != 1:
            raise InputError(
                "E-RULE-OPERANDS",
                f"{type(self).__name__} got {len(pooled)} tensors.",
                'combine="add" (or "sub", "or", "xor"), or torch.cat(..., dim=1).',
            )
        return pooled[0]

    def _arrange(self, data: Tensor) -> Tensor:
        """Data as the operation reads them; a linear layer's output counts as one pixel."""
        if data.ndim == 2:
            return data.reshape(*data.shape, *(1,) * (self.weight.ndim - 2))
        return data

    def _multiply(self, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def _bound(self, weight: Tensor, bias: Tensor | None) -> float:
        """Largest magnitude that any partial sum of an output can have."""
        bound = self._rows(weight).detach().abs().flatten(1).double().sum(1)
        bound = bound * -integer_range(8)[0]
        if bias is not None:
            bound = bound + bias.detach().abs().double()
        return float(bound.max())


def update_norms(model: nn.Module, on: bool) -> None:
    """Let the statistics of batch norm go on following the data in quantized training, or not.

    They do so in training alone, never in evaluation. Freeze them (``on=False``) for the last
    epochs: weights that are still being folded anew cannot settle.
    """
    for module in model.modules():
        if isinstance(module, WeightLayer):
            module.norm_updates = on and module.norm is not None


def _activation(name: str | None) -> Activation:
    try:
        return Activation(name or "none")
    except ValueError:
        raise InputError(
            "E-RULE-ACTIVATION", f"activation {name!r}.", "relu, abs or None."
        ) from None


def _combination(name: str) -> Eltwise:
    try:
        return Eltwise(name)
    except ValueError:
        raise InputError(
            "E-RULE-OPERANDS", f"combine {name!r}.", "add, sub, or, xor or None."
        ) from None


def _activate(value: Tensor, activation: Activation) -> Tensor:
    if activation is Activation.RELU:
        return F.relu(value)
    return value.abs() if activation is Activation.ABS else value
