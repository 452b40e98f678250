"""How a network was quantized, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from max78k.network import Network, reference
from max78k.network.network import INPUT
from max78k.training.augment import to_integers
from max78k.training.base import Mode, set_mode
from max78k.training.convert import certificate, step_exponent
from max78k.training.evaluate import model_input
from max78k.training.graph import run_steps, trace

SAMPLES = 64  # that errors are measured on
_MOST_DECIBELS = 120.0  # shown where there is no error at all


@dataclass(frozen=True)
class LayerReport:
    """How one layer was quantized.

    Attributes:
        name: of the layer.
        bits: of the weights; None for a layer without weights.
        low, high: range of the real outputs on the samples.
        exponent: one step of the output stands for 2**exponent.
        shift: ``output_shift`` of the integer layer.
        sqnr: signal to quantization noise of the outputs in dB, 120 at most; the errors of all
            layers before are in it.
        clipped: share of the real outputs beyond the largest or smallest integer.
        accumulator: largest magnitude that any sum in the accumulator can have, for any input;
            None for a layer without weights.
        exact_in_float32: whether sums below 2**24 are guaranteed by it; a layer beyond is
            evaluated in float64.
    """

    name: str
    bits: int | None
    low: float
    high: float
    exponent: int
    shift: int
    sqnr: float
    clipped: float
    accumulator: int | None
    exact_in_float32: bool


def real_outputs(
    model: nn.Module, pixels: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.float64]]:
    """Real outputs of all layers of a float model for the first samples of uint8 ``pixels``."""
    model.eval()
    set_mode(model, Mode.FLOAT)
    data = model_input(to_integers(torch.from_numpy(pixels[:SAMPLES])), Mode.FLOAT)
    kept = {}
    with torch.no_grad():
        last = INPUT
        for step, values in run_steps(trace(model), data):
            if last != INPUT:
                kept[last] = values[last].double().numpy()
            last = step.name
        kept[last] = values[last].double().numpy()
    return kept


def exponents_of(model: nn.Module) -> dict[str, int]:
    """Exponents of all outputs of a calibrated model, by name."""
    return {step.name: step_exponent(step) for step in trace(model)}


def layer_reports(
    network: Network,
    exponents: Mapping[str, int],
    real: Mapping[str, npt.NDArray[np.float64]],
    pixels: npt.NDArray[np.uint8],
) -> tuple[LayerReport, ...]:
    """Compare the integers with the real numbers on the first samples of uint8 ``pixels``.

    Args:
        network: the integers.
        exponents: of the outputs, by layer.
        real: real outputs by layer for the same samples.
        pixels: uint8 [N, ...].
    """
    integers = reference.run(network, network.from_pixels(pixels[:SAMPLES]))
    bounds = {row.layer: row for row in certificate(network)}
    reports = []
    for layer in network.layers:
        step = 2.0 ** exponents[layer.name]
        wanted = real[layer.name].astype(np.float64).ravel()
        clipped = 0.0
        if layer.output_width == 8:
            clipped = float(np.mean((wanted > 127.5 * step) | (wanted < -128.5 * step)))
        bound = bounds.get(layer.name)
        reports.append(
            LayerReport(
                name=layer.name,
                bits=None if layer.weight is None else layer.weight_bits,
                low=float(wanted.min()),
                high=float(wanted.max()),
                exponent=exponents[layer.name],
                shift=layer.output_shift,
                sqnr=decibels(wanted, integers[layer.name].ravel().astype(np.float64) * step),
                clipped=clipped,
                accumulator=None if bound is None else bound.bound,
                exact_in_float32=bound is None or bound.exact_in_float32,
            )
        )
    return tuple(reports)


def decibels(wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """Ratio of the power of ``wanted`` to that of its difference from ``found``, in dB."""
    signal, noise = float(np.square(wanted).sum()), float(np.square(wanted - found).sum())
    if noise <= signal * 10 ** (-_MOST_DECIBELS / 10):
        return _MOST_DECIBELS
    return 10 * math.log10(signal / noise) if signal else -_MOST_DECIBELS
