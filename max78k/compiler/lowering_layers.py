"""Rewrites of single layers that ask for more steps than one layer of the chip has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.chip import limits
from max78k.compiler.lowering_edits import (
    Int8Array,
    chosen_outputs,
    fresh,
    identity,
    known_shapes,
    plain,
    put,
    reading,
    seen_shapes,
)
from max78k.compiler.placed import has_bias
from max78k.network import shapes
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Cut, Layer, Network, Operation, Pool


def split_tensors(network: Network) -> Network | None:
    """Operands that one tensor holds are separated, unless they lie word beside word already.

    So lie the passes of a layer's output, and the network's input, which is loaded that way.
    """
    found = {shape.layer.name: shape for shape in geometry(network)}
    known = known_shapes(network)
    for index, layer in enumerate(network.layers):
        if layer.split == 1 or all(_is_interleaved(network, layer, x, found) for x in layer.inputs):
            continue
        steps: list[Layer] = []
        for source in layer.inputs:
            count = known[source][0] // layer.split
            for part in range(layer.split):
                used = replace(network, layers=(*network.layers, *steps))
                name = fresh(used, source, "operand")
                step = identity(name, (source,), (count, *known[source][1:]))
                steps.append(replace(step, cut=Cut(part * count, count)))
        reader = replace(layer, inputs=tuple(step.name for step in steps), split=1)
        return put(network, index, *steps, reader, instead=1)
    return None


def _is_interleaved(
    network: Network, layer: Layer, source: str, found: dict[str, Geometry]
) -> bool:
    if len(layer.inputs) > 1:
        return False
    if source == INPUT:
        return sum(INPUT in other.inputs for other in network.layers) == 1
    maker = found[source]
    return maker.out_passes == layer.split and maker.outputs == layer.split * maker.out_processors


def split_operands(network: Network) -> Network | None:
    """Element-wise operations that the rest of their layer cannot follow become layers."""
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        if layer.eltwise is None or not _is_overloaded(layer, shape):
            continue
        if layer.pool is not None and layer.pool_first:
            return _pool_operands(network, index, shape)
        name = fresh(network, layer.name, layer.eltwise.value)
        first = Layer(name, Operation.PASSTHROUGH, layer.inputs, eltwise=layer.eltwise)
        rest = replace(plain(layer), inputs=(name,), eltwise=None, pool_first=True)
        first = reading(first, layer)
        return put(network, index, first, rest, instead=1)
    return None


def _is_overloaded(layer: Layer, shape: Geometry) -> bool:
    single = (Operation.CONV1D, Operation.CONVTRANSPOSE2D)
    return (
        layer.operation in single
        or shape.flattens
        or (shape.emulates_passes and (shape.convolves or layer.pool is not None))
        or (layer.pool is not None and not layer.pool_first and len(layer.inputs) > 2)
        or max(shape.pool_size) > limits.POOL_SIZE
    )


def _pool_operands(network: Network, index: int, shape: Geometry) -> Network:
    """Each operand pooled in a layer of its own, at the end of what is there before."""
    layer = network.layers[index]
    seen = seen_shapes(network)[layer.name]
    whole = (seen[0] * layer.split, *seen[1:])
    for name in dict.fromkeys(layer.inputs):
        pooled = fresh(network, name, "pool")
        step = replace(_pooling(pooled, name, whole, layer.pool), view=layer.view, cut=layer.cut)
        inputs = tuple(pooled if x == name else x for x in network.layers[index].inputs)
        network = put(network, index, step, replace(layer, inputs=inputs), instead=1)
        layer, index = network.layers[index + 1], index + 1
    rest = replace(layer, pool=None, pool_first=True, view=None, cut=None)
    return put(network, index, rest, instead=1)


def _pooling(name: str, source: str, shape: shapes.Shape, pool: Pool | None) -> Layer:
    """A layer that does nothing but pool."""
    if shape[0] > limits.PROCESSORS:
        return identity(name, (source,), shape, pool=pool)
    return Layer(name, Operation.PASSTHROUGH, (source,), pool=pool)


def split_flattening(network: Network) -> Network | None:
    """A flattening linear layer that pools gets a layer before it that does."""
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        if shape.flattens and layer.pool is not None:
            name = fresh(network, layer.name, "pool")
            step = _pooling(name, "", seen_shapes(network)[layer.name], layer.pool)
            first = reading(replace(step, inputs=layer.inputs), layer)
            rest = replace(plain(layer), inputs=(name,), pool=None)
            return put(network, index, first, rest, instead=1)
    return None


def split_windows(network: Network) -> Network | None:
    """A maximum over a window of more than 16 becomes the maximum of maxima."""
    seen = seen_shapes(network)
    for index, layer in enumerate(network.layers):
        pool, size = layer.pool, seen[layer.name][1:]
        if pool is None or pool.kind != "max" or max(pool.size) <= limits.POOL_SIZE:
            continue
        parts = _two_windows(pool, size)
        if parts is not None:
            name = fresh(network, layer.name, "max")
            step = _pooling(name, "", seen[layer.name], parts[0])
            first = reading(replace(step, inputs=layer.inputs), layer)
            rest = replace(plain(layer), inputs=(name,), pool=parts[1])
            return put(network, index, first, rest, instead=1)
    return None


def _two_windows(pool: Pool, size: tuple[int, ...]) -> tuple[Pool, Pool] | None:
    """Two poolings that see what a large one sees; None where there are none.

    The steps of the first divide those of the whole, unless that makes one step only.
    """
    axes = len(size)
    whole = pool.size[:axes] == size
    for step in range(limits.POOL_STRIDE, 0, -1):
        if not whole and (pool.stride[0] % step or pool.stride[0] > step * limits.POOL_STRIDE):
            continue
        covers = [_cover(window, step) for window in pool.size]
        if any(n > limits.POOL_SIZE or (n > 1 and part < step) for part, n in covers):
            continue
        later = 1 if whole else pool.stride[0] // step
        (rows, row_count), (columns, column_count) = covers
        first = Pool("max", (rows, columns), (step, step if axes > 1 else 1))
        second = Pool("max", (row_count, column_count), (later, later if axes > 1 else 1))
        return first, second
    return None


def _cover(window: int, step: int) -> tuple[int, int]:
    """Size and number of the fewest windows, ``step`` apart, from the first edge to the last."""
    count = 1 + max(0, -(-(window - limits.POOL_SIZE) // step))
    return window - (count - 1) * step, count


def split_biased_outputs(network: Network) -> Network | None:
    """A layer with more biases than a quadrant holds becomes layers with a part of them each."""
    for index, layer in enumerate(network.layers):
        outputs = layer.out_channels or 0
        if outputs <= limits.BIAS_CHANNELS or not has_bias(layer):
            continue
        count = -(-outputs // limits.BIAS_CHANNELS)
        size = -(-outputs // (count * limits.PROCESSORS)) * limits.PROCESSORS
        parts: list[Layer] = []
        for start in range(0, outputs, size):
            used = replace(network, layers=(*network.layers, *parts))
            select = np.eye(outputs, dtype=np.int8)[start : start + size]
            parts.append(chosen_outputs(layer, fresh(used, layer.name, "part"), select))
        return _instead(network, index, parts)
    return None


def _instead(network: Network, index: int, parts: list[Layer]) -> Network:
    """The network with several layers, whose outputs are joined, in place of one.

    Operands are joined by a layer of their own.
    """
    old, names = network.layers[index].name, tuple(part.name for part in parts)
    if any(layer.eltwise is not None and old in layer.inputs for layer in network.layers):
        joined = Layer(old, Operation.PASSTHROUGH, names)
        return put(network, index, *parts, joined, instead=1)

    def renamed(sources: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(x for name in sources for x in (names if name == old else (name,)))

    layers = [replace(layer, inputs=renamed(layer.inputs)) for layer in network.layers]
    layers[index : index + 1] = parts
    return replace(network, layers=tuple(layers), outputs=renamed(network.outputs))


def read_all_channels(network: Network) -> Network | None:
    """A part of more than 64 channels is chosen by weights of zero for the others.

    So is one that would be the only data, and outside quadrant 0, the master, and an operand that
    a pass-through layer would leave in two quadrants.
    """
    seen = seen_shapes(network)
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        cut, whole = layer.cut, shape.whole[0]
        if cut is None or not cut.of_channels or layer.split > 1:
            continue
        alone = len(layer.inputs) == 1 or layer.eltwise is not None
        near = whole <= limits.PROCESSORS and not _is_torn_operand(network, layer, shape)
        if near and alone and not _may_miss_master(network, cut):
            continue
        select = np.eye(whole, dtype=np.int8)[cut.channel :][: shape.channels]
        rest = replace(cut, channel=0, channels=None)
        if layer.weight is None and layer.eltwise is not None:
            name = fresh(network, layer.name, "whole")
            first = replace(layer, name=name, cut=rest if rest != Cut() else None)
            chosen = replace(cut, top=0, bottom=0)
            last = Layer(layer.name, layer.operation, (name,), cut=chosen)
            return put(network, index, first, last, instead=1)
        if layer.weight is None:
            size = seen[layer.name][1:]
            step = identity(layer.name, layer.inputs, (whole, *size), select, layer.pool)
            step = reading(step, layer)
        else:
            step = _with_inputs(layer, select, shape)
        return put(network, index, replace(step, cut=rest if rest != Cut() else None), instead=1)
    return None


def _may_miss_master(network: Network, cut: Cut) -> bool:
    """True if pass-through layers alone leave what is read where quadrant 0 may be unused."""
    moves = all(layer.weight is None for layer in network.layers)
    return moves and cut.channel >= limits.PROCESSORS_PER_QUADRANT


def _is_torn_operand(network: Network, layer: Layer, shape: Geometry) -> bool:
    """True for an operand beside others of which a pass-through layer takes a part.

    The part stays in the quadrants where the whole lies, which the other operands then would have
    to share, each with as many channels.
    """
    if layer.weight is not None or layer.cut is None:
        return False
    first, size = layer.cut.channel, limits.PROCESSORS_PER_QUADRANT
    torn = first % size and first // size != (first + shape.channels - 1) // size
    return bool(torn) and any(
        layer.name in other.inputs and len(other.inputs) > 1 for other in network.layers
    )


def _with_inputs(layer: Layer, select: Int8Array, shape: Geometry) -> Layer:
    """The layer with weights for all channels of its input; ``select`` names those it had."""
    assert layer.weight is not None
    if layer.operation is Operation.LINEAR:
        pixels = layer.weight.reshape(len(layer.weight), shape.channels, -1)
        return replace(layer, weight=_spread(pixels, select, 1).reshape(len(layer.weight), -1))
    axis = 0 if layer.operation is Operation.CONVTRANSPOSE2D else 1
    return replace(layer, weight=_spread(layer.weight, select, axis))


def _spread(weight: Int8Array, select: Int8Array, axis: int) -> Int8Array:
    return np.ascontiguousarray(np.moveaxis(np.tensordot(weight, select, (axis, 0)), -1, axis))


def pool_many_channels(network: Network) -> Network | None:
    """Pooling of more than 64 channels in a pass-through layer is done by the identity."""
    seen = seen_shapes(network)
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        pools = shape.pools or shape.pooled != shape.size
        if shape.convolves or layer.eltwise or not pools or shape.in_passes == 1:
            continue
        if shape.pooled != (1, 1):
            step = identity(layer.name, layer.inputs, seen[layer.name], pool=layer.pool)
            return put(network, index, reading(step, layer), instead=1)
    return None
