"""The rules of the chip, asked when a layer is built and before a model is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.network import Activation, Eltwise, Layer, Network, Operation, Pool, rules
from max78k.network.network import INPUT


def require_layer(
    operation: Operation,
    weight_shape: tuple[int, ...],
    *,
    bias: bool,
    activation: Activation,
    bits: int,
    wide: bool,
    padding: int,
    dilation: int = 1,
    pool: Pool | None = None,
    eltwise: Eltwise | None = None,
) -> None:
    """Raise RuleError if no data could make the chip run a layer with these weights."""
    kernel = weight_shape[2:]
    outputs, inputs = weight_shape[:2]
    if operation is Operation.CONVTRANSPOSE2D:
        outputs, inputs = inputs, outputs
    if operation is Operation.LINEAR:
        # how many inputs are allowed depends on the pixels that are flattened
        inputs = 1
        weight_shape = (outputs, inputs)
    layer = Layer(
        name=f"{operation.value}_{inputs}_to_{outputs}",
        operation=operation,
        inputs=(INPUT,) if eltwise is None else (INPUT, INPUT),
        weight=np.broadcast_to(np.int8(0), weight_shape),
        bias=np.ones(outputs, np.int8) if bias else None,
        weight_bits=bits,
        activation=activation,
        output_width=32 if wide else 8,
        padding=padding,
        dilation=dilation,
        eltwise=eltwise,
        pool=pool if dilation > 1 else None,  # alone it is checked by pool_window
    )
    needed = tuple(dilation * (size - 1) + 1 for size in kernel) or (1, 1)
    if layer.pool is not None:
        needed = tuple((n - 1) * layer.pool.stride[0] + layer.pool.size[0] for n in needed)
    _require_alone(layer, (inputs, *needed))


def pool_window(
    size: int | tuple[int, int], kind: str, stride: int | None, dimensions: int = 2
) -> Pool:
    """The pooling window, checked; ``stride`` None is the size. 1-D data get second numbers 1."""
    rows, columns = (size, size) if isinstance(size, int) else size
    steps = (rows, columns) if stride is None else (stride, stride)
    pool = Pool(kind, (rows, columns), steps)
    if dimensions == 1:
        pool = Pool(kind, (rows, 1), (steps[0], 1))
    layer = Layer("pooling", Operation.PASSTHROUGH, (INPUT,), pool=pool)
    _require_alone(layer, (1, *pool.size[:dimensions]))
    return pool


def require_network(network: Network) -> None:
    """Raise RuleError with all rules that ``network`` breaks, whatever values it is trained to."""
    rules.require(with_biases(network))


def with_biases(network: Network) -> Network:
    """The network with biases that take room: one of zeros, as before training, takes none."""
    layers = tuple(
        layer if layer.bias is None else replace(layer, bias=np.ones_like(layer.bias))
        for layer in network.layers
    )
    return replace(network, layers=layers)


def _require_alone(layer: Layer, input_shape: tuple[int, ...]) -> None:
    rules.require(Network("layer", input_shape, (layer,), (layer.name,)))
