"""Post-training quantization: powers of two for all steps of float layers, integers from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from max78k.errors import InputError, Max78kError, RuleError
from max78k.imports.chip_layers import FloatLayer, FloatModel
from max78k.imports.float_graph import FloatArray
from max78k.imports.float_run import SUM, UNLIMITED, run_float
from max78k.network import Activation, Layer, Network, Operation
from max78k.network.network import INPUT
from max78k.training.quantize import (
    INPUT_EXPONENT,
    activation_exponent,
    bias_exponent,
    output_shift,
    weight_exponent,
)

BITS = 8
PIXEL_OFFSET = 128  # pixel minus this is the chip's integer
_BATCH = 128
CLIPPED_AT_MOST = 0.01  # share of outputs that a limit may clip and yet be left out
_SAMPLES = 1 << 16  # values kept of each layer and batch


@dataclass(frozen=True, eq=False)
class Quantized:
    """The integer network and its steps.

    Attributes:
        network: the integers.
        steps: exponent of every layer's output and of the input; of the accumulator where a layer
            has 32-bit outputs.
        weight_steps: exponent of the weights of every layer that has some.
        notes: what the samples say about limits of activations.
    """

    network: Network
    steps: dict[str, int]
    weight_steps: dict[str, int]
    notes: tuple[str, ...]


def real_inputs(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """What a pixel stands for: (pixel - 128) / 128."""
    return (torch.from_numpy(pixels).float() - PIXEL_OFFSET) * 2.0**INPUT_EXPONENT


def quantize(
    model: FloatModel,
    pixels: npt.NDArray[np.uint8],
    *,
    rule: str = "mse",
) -> Quantized:
    """Choose all steps of ``model`` on sample inputs and round its weights.

    Args:
        model: layers with real weights; their input is (pixel - 128) / 128.
        pixels: uint8 [N, *input_shape], a few hundred samples.
        rule: how ranges of outputs are chosen: "mse" (least squared error), "max" (nothing seen
            is clipped) or "percentile" (0.01 % of the magnitudes may be clipped).

    Raises:
        InputError: E-QUANTIZE-SHAPE for samples of another shape, or none.
        RuleError: E-IMPORT-CLIP for limits that the chip does not have and that clip more than
            CLIPPED_AT_MOST of the outputs.
    """
    if not len(pixels) or tuple(pixels.shape[1:]) != tuple(model.input_shape):
        raise InputError(
            "E-QUANTIZE-SHAPE",
            f"{model.name} takes inputs of {model.input_shape}, the data are {pixels.shape}.",
            "data of the network's input shape.",
        )
    observed = _observe(model, pixels)
    steps = _output_steps(model, observed, rule)
    _check_limits(model, observed, steps)
    weight_steps: dict[str, int] = {}
    layers = tuple(_integers(layer, steps, weight_steps, observed) for layer in model.layers)
    for layer in model.layers:
        if layer.wide:
            steps[layer.name] = weight_steps[layer.name] + steps[layer.inputs[0]]
    single = len(model.outputs) == 1
    network = Network(
        name=model.name,
        input_shape=model.input_shape,
        layers=layers,
        outputs=model.outputs,
        input_offset=PIXEL_OFFSET,
        average_rounds=any(x.pool is not None and x.pool.kind == "avg" for x in layers),
        notes={"output_exponent": str(steps[model.outputs[0]])} if single else {},
    )
    return Quantized(network, steps, weight_steps, tuple(_limit_notes(model, observed)))


def _observe(model: FloatModel, pixels: npt.NDArray[np.uint8]) -> dict[str, Tensor]:
    kept: dict[str, list[Tensor]] = {}

    def keep(name: str, value: Tensor) -> None:
        flat = value.reshape(-1)
        sample = flat[:: max(1, len(flat) // _SAMPLES)]
        low, high = torch.aminmax(flat)  # extremes are never left out
        kept.setdefault(name, []).append(torch.cat([sample, torch.stack([low, high])]))

    for start in range(0, len(pixels), _BATCH):
        run_float(model, real_inputs(pixels[start : start + _BATCH]), keep)
    return {name: torch.cat(values) for name, values in kept.items()}


def _output_steps(model: FloatModel, observed: dict[str, Tensor], rule: str) -> dict[str, int]:
    """Exponent of every layer's output, equal within groups that must share one.

    Operands of an element-wise operation and parts of a concatenation share a step, and a
    pass-through layer, which does not shift, keeps that of its input; a group gets the largest
    step that one of its members asks for. The input's is given.
    """
    leader = {INPUT: INPUT} | {layer.name: layer.name for layer in model.layers}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for layer in model.layers:
        keeps = layer.operation is Operation.PASSTHROUGH
        together = [*layer.inputs, layer.name] if keeps else list(layer.inputs)
        for name in together[1:]:
            leader[find(name)] = find(together[0])
    wishes: dict[str, list[int]] = {}
    for layer in model.layers:
        if layer.weight is not None or layer.eltwise is not None:
            wishes.setdefault(find(layer.name), []).append(_wish(layer, observed, rule))
        if layer.weight is not None and layer.eltwise is not None:
            wish = activation_exponent(observed[layer.name + SUM], True, rule)
            wishes.setdefault(find(layer.inputs[0]), []).append(wish)
    fixed = find(INPUT)
    return {
        name: INPUT_EXPONENT if find(name) == fixed else max(wishes[find(name)]) for name in leader
    }


def _wish(layer: FloatLayer, observed: dict[str, Tensor], rule: str) -> int:
    """The exponent that the layer's output asks for; next to the step that its model gives."""
    values = observed[layer.name]
    if layer.scale and float(values.abs().max()) >= layer.scale:  # else it is no step at all
        signed = layer.activation is Activation.NONE
        exact = math.log2(layer.scale)
        return min(
            max(activation_exponent(values, signed, rule), math.floor(exact)), math.ceil(exact)
        )
    if layer.limit is not None and limit_is_reached(layer, observed):
        size, exponent = math.frexp(layer.limit)
        if size == 0.5 or clipped_share(layer, observed) > CLIPPED_AT_MOST:
            return exponent - 1 - (BITS - 1)  # saturation is the limit
    return activation_exponent(values, layer.activation is Activation.NONE, rule)


def nearest_exponent(scale: float) -> int:
    """Exponent of the power of two nearest to ``scale``, by ratio."""
    return round(math.log2(scale))


def limit_is_reached(layer: FloatLayer, observed: dict[str, Tensor]) -> bool:
    """True if a sample is clipped by the layer's limit."""
    return float(observed[layer.name + UNLIMITED].abs().max()) > (layer.limit or 0.0)


def clipped_share(layer: FloatLayer, observed: dict[str, Tensor]) -> float:
    """Share of the layer's outputs that its limit clips."""
    return float((observed[layer.name + UNLIMITED].abs() > (layer.limit or 0.0)).double().mean())


def _check_limits(model: FloatModel, observed: dict[str, Tensor], steps: dict[str, int]) -> None:
    """A limit is exact where no sample reaches it, or where the chip's saturation is the limit.

    One that clips hardly anything is left out with a note, like other errors of rounding.
    """
    refused: list[Max78kError] = []
    for layer in model.layers:
        if layer.limit is None or not limit_is_reached(layer, observed):
            continue
        if layer.limit == 2.0 ** (steps[layer.name] + BITS - 1):
            continue
        share = clipped_share(layer, observed)
        if share <= CLIPPED_AT_MOST:
            continue
        text = (
            f"{layer.origin}: its limit {layer.limit:g} clips {share:.2%} of the outputs on the "
            "data, and the chip clips at powers of two alone."
        )
        refused.append(Max78kError("E-IMPORT-CLIP", text, "ReLU without limit, and train it so."))
    if refused:
        raise RuleError(refused)


def _limit_notes(model: FloatModel, observed: dict[str, Tensor]) -> Iterator[str]:
    """Why the integers do without the limits that the model's activations have."""
    for layer in model.layers:
        if layer.limit is None:
            continue
        if not limit_is_reached(layer, observed):
            yield f"{layer.name}: its limit {layer.limit:g} is left out, no sample reaches it"
        elif math.frexp(layer.limit)[0] == 0.5:
            yield f"{layer.name}: its limit {layer.limit:g} is where the chip's outputs end"
        else:
            share = clipped_share(layer, observed)
            yield f"{layer.name}: its limit {layer.limit:g} is left out, it clips {share:.2%}"


def _integers(
    layer: FloatLayer,
    steps: dict[str, int],
    weight_steps: dict[str, int],
    observed: dict[str, Tensor],
) -> Layer:
    """The integer layer; its weights' exponent is added to ``weight_steps``."""
    common = {
        "name": layer.name,
        "operation": layer.operation,
        "inputs": layer.inputs,
        "activation": layer.activation,
        "pool": layer.pool,
        "eltwise": layer.eltwise,
        "padding": layer.padding,
        "dilation": layer.dilation,
    }
    if layer.weight is None:
        return Layer(**common)  # type: ignore[arg-type]
    data, result = steps[layer.inputs[0]], None if layer.wide else steps[layer.name]
    chosen = _weight_step(layer, data, result, observed)
    weight_steps[layer.name] = chosen
    bias = None
    if layer.bias is not None and np.any(layer.bias):
        bias = _rounded(layer.bias, bias_exponent(chosen, data))
    return Layer(
        **common,  # type: ignore[arg-type]
        weight=_rounded(layer.weight, chosen),
        bias=bias,
        output_shift=0 if result is None else output_shift(BITS, chosen, data, result),
        output_width=32 if layer.wide else BITS,
    )


def _weight_step(
    layer: FloatLayer, data: int, result: int | None, observed: dict[str, Tensor]
) -> int:
    """Exponent of the weights: the given one where there is one, else that of the least error."""
    assert layer.weight is not None
    weight = torch.from_numpy(layer.weight).float()
    bias = None if layer.bias is None else torch.from_numpy(layer.bias).float()
    if layer.weight_scale:
        given = nearest_exponent(layer.weight_scale)
        given += float(weight.abs().max()) > 128 * 2.0**given  # what was no clipping stays none
        if bias is not None:  # a model may keep its biases in more bits
            while float(bias.abs().max()) > 127.5 * 2.0 ** bias_exponent(given, data):
                given += 1
        return given
    names = [layer.name + SUM] if layer.eltwise else layer.inputs
    power = torch.cat([observed[name] for name in names]).double().square().mean()
    return weight_exponent(
        weight,
        bias,
        BITS,
        in_exponent=data,
        out_exponent=result,
        input_power=float(power),
    )


def _rounded(values: FloatArray, exponent: int) -> npt.NDArray[np.int8]:
    whole = np.floor(values / 2.0**exponent + 0.5)
    return np.ascontiguousarray(np.clip(whole, -128, 127), dtype=np.int8)
