"""Choosing the power-of-two steps of weights and activations.

A step is named by its exponent: real value = integer * 2**exponent.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from max78k.chip.limits import BIAS_UNIT, SHIFT
from max78k.training.functions import integer_range

RULES = ("mse", "max", "percentile")
PERCENTILE = 0.9999  # of the magnitudes, which that rule does not clip
SEARCH_OCTAVES = 6  # below the exponent at which nothing is clipped
INPUT_EXPONENT = -7  # the chip's input -128...127 stands for -1...127/128


def largest_exponent(values: Tensor, bits: int) -> int:
    """Vendor rule: the smallest step whose power-of-two range holds the largest magnitude.

    A positive maximum equal to the power of two is clipped by one step. All-zero values give the
    exponent of a magnitude of 2**-15.
    """
    peak = max(float(values.detach().abs().max()), 2.0**-15) if values.numel() else 2.0**-15
    if not math.isfinite(peak):
        return SHIFT - (bits - 1)
    mantissa, power = math.frexp(peak)
    power -= mantissa == 0.5  # an exact power of two needs no larger range
    return power - (bits - 1)


def quantization_error(values: Tensor, exponent: int, low: int, high: int) -> float:
    """Sum of squared differences after rounding and clipping, in real units."""
    step = 2.0**exponent
    rounded = (values / step + 0.5).floor_().clamp_(low, high).mul_(step)
    return float((rounded - values).double().square().sum())


def activation_exponent(values: Tensor, signed: bool, rule: str = "mse") -> int:
    """Exponent of an 8-bit activation.

    Args:
        values: a sample of the layer's real outputs.
        signed: whether negative outputs survive (no activation function).
        rule: "mse" (least squared error, may clip), "max" (never clips) or "percentile" (clips
            0.01 % of the magnitudes at most).
    """
    if rule == "percentile":
        most = float(np.quantile(values.abs().cpu().numpy(), PERCENTILE))
        return largest_exponent(torch.tensor([most]), 8)
    first = largest_exponent(values, 8)
    if rule == "max":
        return first
    low = -128 if signed else 0
    candidates = range(first, first - SEARCH_OCTAVES, -1)
    return min(candidates, key=lambda e: quantization_error(values, e, low, 127))


def weight_exponent(
    weight: Tensor,
    bias: Tensor | None,
    bits: int,
    *,
    in_exponent: int,
    out_exponent: int | None,
    input_power: float,
    rule: str = "mse",
) -> int:
    """Exponent of a layer's weights; it also sets the unit of the 8-bit bias.

    Args:
        weight: real weights, batch norm folded in.
        bias: real biases or None.
        bits: weight width.
        in_exponent: exponent of the layer's input.
        out_exponent: exponent of its output; None for a 32-bit output, which is not shifted.
        input_power: mean square of the layer's real input; weighs errors of weights against
            errors of the bias.
        rule: "max" clips nothing (the vendor's rule, with a bias of 8 bits at every weight
            width); any other minimises the expected error of the accumulator.

    Returns:
        An exponent for which the chip's shift register, -15...15, holds the total shift.
    """
    low, high = integer_range(bits)
    first = largest_exponent(weight, bits)

    def cost(exponent: int) -> float:
        error = quantization_error(weight, exponent, low, high) * input_power
        if bias is not None:
            error += quantization_error(bias, bias_exponent(exponent, in_exponent), -128, 127)
        return error

    with torch.no_grad():
        if rule == "max":
            best = first
            if bias is not None:
                best = max(best, largest_exponent(bias, 8) - bias_exponent(0, in_exponent))
        else:
            # upward too: a large bias may be worth a coarser step
            best = min(range(first + 3, first - SEARCH_OCTAVES, -1), key=cost)
    if out_exponent is None:
        return best
    lowest, highest = exponent_range(in_exponent, out_exponent)
    return max(lowest, min(highest, best))


def exponent_range(in_exponent: int, out_exponent: int) -> tuple[int, int]:
    """Exponents of weights for which the shift register, -15...15, holds the total shift."""
    middle = out_exponent - in_exponent - (8 - 1)  # register shift 0
    return middle - SHIFT, middle + SHIFT


def bias_exponent(weight_exponent: int, in_exponent: int) -> int:
    """Exponent of the bias: one step is 128 accumulator units."""
    return weight_exponent + in_exponent + BIAS_UNIT.bit_length() - 1


def output_shift(bits: int, weight_exponent: int, in_exponent: int, out_exponent: int) -> int:
    """The ``output_shift`` of the integer network for the three exponents of a layer."""
    return weight_exponent + in_exponent - out_exponent + bits - 1
