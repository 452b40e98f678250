"""What float layers compute, in torch; the numbers that ranges and errors are measured on."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from max78k.imports.chip_layers import FloatLayer, FloatModel
from max78k.network import Activation, Eltwise, Operation
from max78k.network.network import INPUT

Observer = Callable[[str, Tensor], None]
SUM, UNLIMITED = "/sum", "/unlimited"  # no layer name holds a slash


def run_float(
    model: FloatModel, inputs: Tensor, observe: Observer = lambda name, value: None
) -> dict[str, Tensor]:
    """Outputs of all layers by name, float32 [N, ...].

    Args:
        model: the layers.
        inputs: float32 [N, *input_shape].
        observe: is told every layer's output by its name, with ``SUM`` behind the name what an
            element-wise operation gives inside a layer, with ``UNLIMITED`` what is to be clipped.
    """
    values = {INPUT: inputs}
    observe(INPUT, inputs)
    with torch.no_grad():
        for layer in model.layers:
            values[layer.name] = _layer(layer, [values[x] for x in layer.inputs], observe)
            observe(layer.name, values[layer.name])
    del values[INPUT]
    return values


def joined_outputs(model: FloatModel, inputs: Tensor) -> Tensor:
    """The network's output [N, values]; several outputs are joined in their order."""
    values = run_float(model, inputs)
    return torch.cat([values[name].flatten(1) for name in model.outputs], dim=1)


def _layer(layer: FloatLayer, operands: list[Tensor], observe: Observer) -> Tensor:
    operands = [_pooled(layer, x) for x in operands]
    if layer.eltwise is None:
        data = torch.cat(operands, dim=1)
    else:
        data = operands[0]
        for other in operands[1:]:
            data = data + other if layer.eltwise is Eltwise.ADD else data - other
        observe(layer.name + SUM, data)
    data = _operate(layer, data)
    if layer.activation is Activation.RELU:
        data = data.relu()
    elif layer.activation is Activation.ABS:
        data = data.abs()
    if layer.limit is not None:
        observe(layer.name + UNLIMITED, data)
        data = data.clamp(-layer.limit, layer.limit)
    return data


def _pooled(layer: FloatLayer, data: Tensor) -> Tensor:
    if layer.pool is None:
        return data
    axes = data.ndim - 2
    size, stride = layer.pool.size[:axes], layer.pool.stride[:axes]
    names = (
        ("max_pool1d", "max_pool2d") if layer.pool.kind == "max" else ("avg_pool1d", "avg_pool2d")
    )
    result: Tensor = getattr(F, names[axes - 1])(data, size, stride)
    return result


def _operate(layer: FloatLayer, data: Tensor) -> Tensor:
    if layer.weight is None:
        return data
    weight = torch.tensor(layer.weight, dtype=torch.float32)
    bias = None if layer.bias is None else torch.tensor(layer.bias, dtype=torch.float32)
    if layer.operation is Operation.LINEAR:
        return F.linear(data.flatten(1), weight, bias)
    if data.ndim == 2:  # a linear layer's output counts as one pixel
        data = data.reshape(*data.shape, *(1,) * (weight.ndim - 2))
    if layer.operation is Operation.CONVTRANSPOSE2D:
        return F.conv_transpose2d(
            data, weight, bias, stride=2, padding=layer.padding, output_padding=1
        )
    convolve = F.conv1d if layer.operation is Operation.CONV1D else F.conv2d
    return convolve(data, weight, bias, padding=layer.padding, dilation=layer.dilation)
