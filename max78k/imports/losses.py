"""What quantization costs, layer by layer: noise, clipping, steps that were given and not kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from max78k.imports.chip_layers import FloatLayer, FloatModel
from max78k.imports.float_run import run_float
from max78k.imports.quantization import Quantized, real_inputs
from max78k.network import reference

SAMPLES = 64  # that errors are measured on
_MOST_DECIBELS = 120.0  # shown where there is no error at all


@dataclass(frozen=True)
class LayerLoss:
    """How one layer was quantized.

    Attributes:
        name: of the layer.
        low, high: range of the real outputs on the samples.
        exponent: one step of the output stands for 2**exponent.
        shift: ``output_shift`` of the integer layer.
        sqnr: signal to quantization noise of the outputs in dB, 120 at most; the errors of all
            layers before are in it.
        clipped: share of the real outputs beyond the largest or smallest integer.
        deviation: step that a quantized model gives, divided by the power of two that was taken;
            None where the model gives none.
        weight_deviation: the same of the weights.
    """

    name: str
    low: float
    high: float
    exponent: int
    shift: int
    sqnr: float
    clipped: float
    deviation: float | None
    weight_deviation: float | None


def losses(
    model: FloatModel, quantized: Quantized, pixels: npt.NDArray[np.uint8]
) -> tuple[LayerLoss, ...]:
    """Compare the integers with the real numbers on the first samples of uint8 ``pixels``."""
    pixels = pixels[:SAMPLES]
    real = run_float(model, real_inputs(pixels))
    integers = reference.run(quantized.network, quantized.network.from_pixels(pixels))
    return tuple(
        _loss(layer, quantized, real[layer.name], integers[layer.name]) for layer in model.layers
    )


def _loss(
    layer: FloatLayer, quantized: Quantized, real: Tensor, integers: npt.NDArray[np.int64]
) -> LayerLoss:
    step = 2.0 ** quantized.steps[layer.name]
    wanted = real.double().numpy().ravel()
    clipped = 0.0
    if not layer.wide:
        clipped = float(np.mean((wanted > 127.5 * step) | (wanted < -128.5 * step)))
    return LayerLoss(
        name=layer.name,
        low=float(wanted.min()),
        high=float(wanted.max()),
        exponent=quantized.steps[layer.name],
        shift=quantized.network.layer(layer.name).output_shift,
        sqnr=decibels(wanted, integers.ravel().astype(np.float64) * step),
        clipped=clipped,
        deviation=_deviation(layer.scale, quantized.steps[layer.name]),
        weight_deviation=_deviation(layer.weight_scale, quantized.weight_steps.get(layer.name, 0)),
    )


def decibels(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Ratio of the power of ``wanted`` to that of its difference from ``found``, in dB."""
    signal, noise = float(np.square(wanted).sum()), float(np.square(wanted - found).sum())
    if noise <= signal * 10 ** (-_MOST_DECIBELS / 10):
        return _MOST_DECIBELS
    return 10 * math.log10(signal / noise) if signal else -_MOST_DECIBELS


def _deviation(scale: float | None, exponent: int) -> float | None:
    return scale / 2.0**exponent if scale else None
