"""Small edits of networks that the rewrites of :mod:`max78k.compiler.lowering` share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from max78k.network import shapes
from max78k.network.network import INPUT, Layer, Network, Operation, Pool

Int8Array = npt.NDArray[np.int8]
_BY_RANK = {1: Operation.LINEAR, 2: Operation.CONV1D, 3: Operation.CONV2D}
_IDENTITY_BITS = 2  # the narrowest weights that hold 1


def put(network: Network, at: int, *layers: Layer, instead: int = 0) -> Network:
    """``layers`` at position ``at``, instead of some that were there."""
    rows = network.layers
    return replace(network, layers=(*rows[:at], *layers, *rows[at + instead :]))


def fresh(network: Network, base: str, what: str) -> str:
    """A layer name that is not in use: the base, what it is, a number if need be."""
    used = {layer.name for layer in network.layers}
    stem = f"{base[:50]}_{what}"
    names = (stem, *(f"{stem}{number}" for number in range(2, 100)))
    return next(name for name in names if name not in used)


def identity(
    name: str,
    inputs: tuple[str, ...],
    shape: shapes.Shape,
    weight: Int8Array | None = None,
    pool: Pool | None = None,
) -> Layer:
    """A 1x1 convolution that hands on its ``shape[0]`` input channels, or those of ``weight``."""
    chosen = np.eye(shape[0], dtype=np.int8) if weight is None else weight
    return Layer(
        name=name,
        operation=_BY_RANK[len(shape)],
        inputs=inputs,
        weight=chosen.reshape(*chosen.shape, *(1,) * (len(shape) - 1)),
        weight_bits=_IDENTITY_BITS,
        output_shift=_IDENTITY_BITS - 1,  # one times one unit of data is one unit
        pool=pool,
    )


def known_shapes(network: Network) -> dict[str, shapes.Shape]:
    """Shape of the network's input and of every output."""
    found = {name: row.output for name, row in shapes.infer(network).items()}
    return {INPUT: tuple(network.input_shape), **found}


def chosen_outputs(layer: Layer, name: str, select: Int8Array) -> Layer:
    """The layer with other output channels: rows of ``select`` name the old ones."""
    assert layer.weight is not None
    axis = 1 if layer.operation is Operation.CONVTRANSPOSE2D else 0
    weight = np.moveaxis(np.tensordot(select, layer.weight, (1, axis)), 0, axis)
    bias = None if layer.bias is None else select @ layer.bias
    return replace(layer, name=name, weight=np.ascontiguousarray(weight), bias=bias)


def reading(step: Layer, layer: Layer) -> Layer:
    """``step`` with the way in which ``layer`` sees its inputs: their size, a part, operands."""
    return replace(step, view=layer.view, cut=layer.cut, split=layer.split)


def plain(layer: Layer) -> Layer:
    """The layer without it, for one that follows the step that has it."""
    return replace(layer, view=None, cut=None, split=1)


def seen_shapes(network: Network) -> dict[str, shapes.Shape]:
    """Shape of what every layer reads, one operand, by the layer's name."""
    return {name: row.input for name, row in shapes.infer(network).items()}
