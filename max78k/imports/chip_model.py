"""A foreign network as layers that train and are quantized like those written for the chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from max78k.imports.chip_layers import FloatLayer, FloatModel
from max78k.imports.quantization import Quantized
from max78k.network import Activation, Operation
from max78k.training.base import ChipLayer, Pooling, set_average_rounding
from max78k.training.graph import Step, StepModel
from max78k.training.joins import Add, Sub
from max78k.training.layers import Conv1d, Conv2d, ConvTranspose2d, Linear
from max78k.training.weight_layer import WeightLayer

_JOINS: dict[str, type[ChipLayer]] = {"add": Add, "sub": Sub}
_CONVOLUTIONS: dict[Operation, type[Conv1d | Conv2d | ConvTranspose2d]] = {
    Operation.CONV1D: Conv1d,
    Operation.CONV2D: Conv2d,
    Operation.CONVTRANSPOSE2D: ConvTranspose2d,
}


def chip_model(model: FloatModel, quantized: Quantized | None = None) -> StepModel:
    """The layers of ``model``, with its weights, and the exponents of ``quantized`` if given.

    A limit of an activation clips the real outputs; the integers clip where they end.
    """
    steps = []
    for layer in model.layers:
        module = _module(layer)
        if isinstance(module, WeightLayer):
            module.limit = layer.limit
        if quantized is not None:
            _set_exponents(module, layer, quantized)
        steps.append(Step(layer.name, module, layer.inputs))
    result = StepModel(steps, model.outputs)
    averages = any(x.pool is not None and x.pool.kind == "avg" for x in model.layers)
    set_average_rounding(result, averages)
    return result


def _module(layer: FloatLayer) -> ChipLayer:
    pool: dict[str, Any] = {}
    if layer.pool is not None:
        pool = {"pool_kind": layer.pool.kind, "pool_stride": layer.pool.stride[0]}
        pool["pool"] = layer.pool.size if len(layer.shape) > 2 else layer.pool.size[0]
    if layer.weight is None:
        if layer.eltwise is not None:
            return _JOINS[layer.eltwise.value]()
        assert layer.pool is not None
        axes = len(layer.shape) - 1
        return Pooling(
            layer.pool.size if axes > 1 else layer.pool.size[0],
            layer.pool.kind,
            layer.pool.stride[0],
            axes,
        )
    activation = None if layer.activation is Activation.NONE else layer.activation.value
    biased = layer.bias is not None and bool(np.any(layer.bias))
    common: dict[str, Any] = {"bias": biased, "activation": activation, "wide": layer.wide}
    module: WeightLayer
    if layer.operation is Operation.LINEAR:
        module = Linear(layer.weight.shape[1], layer.weight.shape[0], **common)
        module.pool = layer.pool
    else:
        first, second, kernel = layer.weight.shape[:3]
        swapped = layer.operation is Operation.CONVTRANSPOSE2D
        options = (
            common
            | pool
            | {
                "in_channels": first if swapped else second,
                "out_channels": second if swapped else first,
                "kernel_size": kernel,
                "padding": layer.padding,
                "dilation": layer.dilation,
                "combine": layer.eltwise.value if layer.eltwise else None,
                "batch_norm": False,
            }
        )
        module = _CONVOLUTIONS[layer.operation](**options)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(layer.weight))
        if biased:
            assert module.bias is not None
            module.bias.copy_(torch.from_numpy(layer.bias))
    return module


def _set_exponents(module: ChipLayer, layer: FloatLayer, quantized: Quantized) -> None:
    module.in_exponent.fill_(quantized.steps[layer.inputs[0]])
    if not layer.wide:
        module.out_exponent.fill_(quantized.steps[layer.name])
    if isinstance(module, WeightLayer):
        module.weight_exponent.fill_(quantized.weight_steps[layer.name])


def has_given_steps(model: FloatModel) -> bool:
    """True if the model is quantized already and brings the steps of its weights."""
    return any(layer.weight_scale for layer in model.layers)
