"""What quantization costs, layer by layer: noise, clipping, steps that were given and not kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy.typing as npt

from max78k.imports.chip_layers import FloatModel
from max78k.imports.float_run import run_float
from max78k.imports.quantization import Quantized, real_inputs
from max78k.network import Network
from max78k.training.layer_report import SAMPLES, LayerReport, layer_reports


@dataclass(frozen=True)
class LayerLoss(LayerReport):
    """How one layer was quantized.

    Attributes:
        deviation: step that a quantized model gives, divided by the power of two that was taken;
            None where the model gives none.
        weight_deviation: the same of the weights.
    """

    deviation: float | None
    weight_deviation: float | None


def losses(
    model: FloatModel,
    quantized: Quantized,
    pixels: npt.NDArray[Any],
    *,
    network: Network | None = None,
    exponents: Mapping[str, int] | None = None,
) -> tuple[LayerLoss, ...]:
    """Compare the integers with the real numbers on the first samples of uint8 ``pixels``.

    Args:
        model: the layers.
        quantized: its integers and steps.
        pixels: uint8 [N, ...].
        network: other integers that were chosen for the same layers.
        exponents: the steps of their outputs.
    """
    network, steps = network or quantized.network, exponents or quantized.steps
    found = run_float(model, real_inputs(pixels[:SAMPLES]))
    real = {name: value.double().numpy() for name, value in found.items()}
    rows = layer_reports(network, steps, real, pixels)
    return tuple(
        LayerLoss(
            **{item.name: getattr(row, item.name) for item in fields(LayerReport)},
            deviation=_deviation(layer.scale, steps[layer.name]),
            weight_deviation=_deviation(
                layer.weight_scale, quantized.weight_steps.get(layer.name, 0)
            ),
        )
        for layer, row in zip(model.layers, rows, strict=True)
    )


def _deviation(scale: float | None, exponent: int) -> float | None:
    return scale / 2.0**exponent if scale else None
