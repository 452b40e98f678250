"""Turns a network that is written naturally into one that the chip can run, value by value.

The chip joins tensors in memory alone: operands lie word beside word, the parts of a concatenation
processor beside processor. A tensor that is wanted in two such places needs a copy; a layer that
asks for two steps at once becomes two layers. What is added changes no value: pass-through layers,
and convolutions with the identity, which alone can move data to other processors, choose channels
or pool more than 64 of them.

Every rewrite looks for the first layer that it can mend and returns the mended network, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from max78k.chip import limits
from max78k.compiler.groups import STACKED, UNFIT, Joint, conflicts, joint_of, joints, part_channels
from max78k.errors import InputError
from max78k.network import rules, shapes
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Layer, Network, Operation, Pool

Int8Array = npt.NDArray[np.int8]
Rewrite = Callable[[Network], Network | None]

# Rules that a rewrite may mend; a network that breaks others is left as it is.
MENDED = {
    f"E-RULE-{code}"
    for code in (
        "POOL-SIZE", "POOL-STRIDE", "POOL-ORDER", "POOL-CHANNELS", "CONV1D-ELTWISE",
        "FLATTEN-POOL", "ELTWISE-PASSES", "CONCAT-INPUT",
    )
}  # fmt: skip
_MOST_REWRITES = 4 * limits.LAYERS  # a network that needs more has too many layers anyway
_BY_RANK = {1: Operation.LINEAR, 2: Operation.CONV1D, 3: Operation.CONV2D}
_IDENTITY_BITS = 2  # the narrowest weights that hold 1


def lower(network: Network) -> Network:
    """A network with the same outputs that keeps more of the chip's rules.

    The same object comes back where there is nothing to mend, and for a network that breaks rules
    which no rewrite can mend: rules and planner then say what is wrong.
    """
    if {error.code for error in rules.check(network)} - MENDED:
        return network
    try:
        geometry(network)
    except InputError:
        return network
    for _ in range(_MOST_REWRITES):
        for rewrite in REWRITES:
            changed = rewrite(network)
            if changed is not None:
                network = changed
                break
        else:
            break
    return network


def _put(network: Network, at: int, *layers: Layer, instead: int = 0) -> Network:
    """``layers`` at position ``at``, instead of some that were there."""
    rows = network.layers
    return replace(network, layers=(*rows[:at], *layers, *rows[at + instead :]))


def _fresh(network: Network, base: str, what: str) -> str:
    """A layer name that is not in use: the base, what it is, a number if need be."""
    used = {layer.name for layer in network.layers}
    stem = f"{base[:50]}_{what}"
    names = (stem, *(f"{stem}{number}" for number in range(2, 100)))
    return next(name for name in names if name not in used)


def _identity(
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


def split_operands(network: Network) -> Network | None:
    """Element-wise operations that the rest of their layer cannot follow become layers."""
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        if layer.eltwise is None or not _is_overloaded(layer, shape):
            continue
        if layer.pool is not None and layer.pool_first:
            return _pool_operands(network, index, shape)
        name = _fresh(network, layer.name, layer.eltwise.value)
        first = Layer(name, Operation.PASSTHROUGH, layer.inputs, eltwise=layer.eltwise)
        rest = replace(layer, inputs=(name,), eltwise=None, pool_first=True)
        return _put(network, index, first, rest, instead=1)
    return None


def _is_overloaded(layer: Layer, shape: Geometry) -> bool:
    plain = (Operation.CONV1D, Operation.CONVTRANSPOSE2D)
    return (
        layer.operation in plain
        or shape.flattens
        or (shape.emulates_passes and (shape.convolves or layer.pool is not None))
        or (layer.pool is not None and not layer.pool_first and len(layer.inputs) > 2)
        or max(shape.pool_size) > limits.POOL_SIZE
    )


def _pool_operands(network: Network, index: int, shape: Geometry) -> Network:
    """Each operand pooled in a layer of its own, at the end of what is there before."""
    layer, known = network.layers[index], _shapes(network)
    for name in dict.fromkeys(layer.inputs):
        pooled = _fresh(network, name, "pool")
        step = _pooling(pooled, name, known[name], layer.pool)
        inputs = tuple(pooled if x == name else x for x in network.layers[index].inputs)
        network = _put(network, index, step, replace(layer, inputs=inputs), instead=1)
        layer, index = network.layers[index + 1], index + 1
    return _put(network, index, replace(layer, pool=None, pool_first=True), instead=1)


def _pooling(name: str, source: str, shape: shapes.Shape, pool: Pool | None) -> Layer:
    """A layer that does nothing but pool."""
    if shape[0] > limits.PROCESSORS:
        return _identity(name, (source,), shape, pool=pool)
    return Layer(name, Operation.PASSTHROUGH, (source,), pool=pool)


def split_flattening(network: Network) -> Network | None:
    """A flattening linear layer that pools gets a layer before it that does."""
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        if shape.flattens and layer.pool is not None:
            name = _fresh(network, layer.name, "pool")
            joined = (shape.channels, *_shapes(network)[layer.inputs[0]][1:])
            first = replace(_pooling(name, "", joined, layer.pool), inputs=layer.inputs)
            return _put(network, index, first, replace(layer, inputs=(name,), pool=None), instead=1)
    return None


def split_windows(network: Network) -> Network | None:
    """A maximum over a window of more than 16 becomes the maximum of maxima."""
    known = _shapes(network)
    for index, layer in enumerate(network.layers):
        pool, size = layer.pool, known[layer.inputs[0]][1:]
        if pool is None or pool.kind != "max" or max(pool.size) <= limits.POOL_SIZE:
            continue
        parts = _two_windows(pool, size)
        if parts is not None:
            name = _fresh(network, layer.name, "max")
            joined = (sum(known[x][0] for x in layer.inputs), *size)
            first = replace(_pooling(name, "", joined, parts[0]), inputs=layer.inputs)
            rest = replace(layer, inputs=(name,), pool=parts[1])
            return _put(network, index, first, rest, instead=1)
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


def pool_many_channels(network: Network) -> Network | None:
    """Pooling of more than 64 channels in a pass-through layer is done by the identity."""
    known = _shapes(network)
    for index, (layer, shape) in enumerate(zip(network.layers, geometry(network), strict=True)):
        pools = shape.pools or shape.pooled != shape.size
        if shape.convolves or layer.eltwise or not pools or shape.in_passes == 1:
            continue
        if shape.pooled != (1, 1):
            joined = (shape.channels, *known[layer.inputs[0]][1:])
            step = _identity(layer.name, layer.inputs, joined, pool=layer.pool)
            return _put(network, index, step, instead=1)
    return None


def copy_joined_input(network: Network) -> Network | None:
    """The network's input as a part of a concatenation is copied first."""
    for index, layer in enumerate(network.layers):
        if layer.eltwise is None and len(layer.inputs) > 1 and INPUT in layer.inputs:
            name = _fresh(network, INPUT, "copy")
            copy = Layer(name, Operation.PASSTHROUGH, (INPUT,))
            inputs = tuple(name if x == INPUT else x for x in layer.inputs)
            return _put(network, index, copy, replace(layer, inputs=inputs), instead=1)
    return None


def copy_shared_parts(network: Network) -> Network | None:
    """A tensor that is wanted in several places gets a copy for one of them."""
    found = geometry(network)
    if any(joint_of(shape, found)[1] == UNFIT for shape in found):
        return None
    taken: dict[str, tuple[str, ...]] = {}
    for joint in joints(found):
        for conflict in conflicts(found, joint, taken):
            return _copied(network, joint, conflict.name)
        taken |= dict.fromkeys(joint[0], joint[0])
    return None


def _copied(network: Network, joint: Joint, source: str) -> Network:
    """A copy of the first member called ``source``, for those who read the joint.

    It is made just before the first other member: until then the original is enough.
    """
    names, known, found = joint[0], _shapes(network), geometry(network)
    number = names.index(source)
    born = {layer.name: index for index, layer in enumerate(network.layers)}
    others = [born.get(name, -1) for name in names if name != source]
    at = max(born.get(source, -1) + 1, min(others, default=0))
    name = _fresh(network, source, "copy")
    copy = Layer(name, Operation.PASSTHROUGH, (source,))
    if joint[1] == STACKED:  # beside the others stand other processors
        copy = _identity(name, (source,), known[source])
    inputs = (*names[:number], name, *names[number + 1 :])
    layers = [
        replace(shape.layer, inputs=inputs) if joint_of(shape, found) == joint else shape.layer
        for shape in found
    ]
    return replace(network, layers=(*layers[:at], copy, *layers[at:]))


def move_stacked_parts(network: Network) -> Network | None:
    """Of two parts of a stack that pass-through layers make of the same data, one is moved.

    A pass-through layer leaves data in their quadrant, where there may be room for one part alone.
    """
    found = geometry(network)
    if any(joint_of(shape, found)[1] == UNFIT for shape in found):
        return None
    for joint in joints(found):
        seen: set[str] = set()
        for name in joint[0] if joint[1] == STACKED else ():
            roots = _roots(network, name)
            if not seen & roots:
                seen |= roots
                continue
            moved = name if roots != {name} else _made_of(network, joint[0], name)
            layer = network.layer(moved)
            if layer.eltwise is not None:
                return _copied(network, joint, moved)
            index, size = network.layers.index(layer), _shapes(network)[layer.inputs[0]][1:]
            shape = (found[index].channels, *size)
            step = _identity(moved, layer.inputs, shape, pool=layer.pool)
            return _put(network, index, step, instead=1)
    return None


def _roots(network: Network, name: str) -> set[str]:
    """What pass-through layers have made ``name`` of; itself if none has."""
    if name == INPUT or network.layer(name).weight is not None:
        return {name}
    return {root for source in network.layer(name).inputs for root in _roots(network, source)}


def _made_of(network: Network, names: Sequence[str], root: str) -> str:
    """The first of ``names`` that pass-through layers make of ``root``."""
    return next(name for name in names if name != root and root in _roots(network, name))


def fill_last_pass(network: Network) -> Network | None:
    """A pass-through layer gets whole passes to read.

    A flattening layer writes its own channels alone, other layers zeros in the rest of the last
    pass. A pass-through layer would move words that nobody wrote.
    """
    known, found = _shapes(network), geometry(network)
    partial = {s.layer.name for s in found if s.flattens and s.outputs % s.out_processors}
    for shape in found:
        for source in shape.layer.inputs:
            if source in partial and not shape.convolves:
                name = _fresh(network, source, "whole")
                copy = _identity(name, (source,), known[source])
                inputs = tuple(name if x == source else x for x in shape.layer.inputs)
                reader = replace(shape.layer, inputs=inputs)
                return _put(network, shape.index, copy, reader, instead=1)
    return None


def even_out_parts(network: Network) -> Network | None:
    """A concatenation of unlike parts becomes one of equal parts, a pass each.

    Neighbours that fit side by side are joined, wide ones are cut, and all get channels of zeros
    up to the same number; the reader's weights follow.
    """
    found = geometry(network)
    for shape in found:
        if joint_of(shape, found)[1] == UNFIT:
            return _evened(network, shape, part_channels(shape, found))
    return None


Piece = tuple[tuple[str, ...], int, int]  # inputs, first channel, channels


def _evened(network: Network, shape: Geometry, counts: list[int]) -> Network:
    pieces = _pieces(shape.layer.inputs, counts)
    passes = len(pieces)
    least = 1 + limits.PROCESSORS * (passes - 1) // passes  # fewer would need fewer passes
    width = -(-max(least, *(count for _, _, count in pieces)) // 4) * 4
    known, channels = _shapes(network), dict(zip(shape.layer.inputs, counts, strict=True))
    alone = {inputs[0] for inputs, _, _ in pieces if len(inputs) == 1}
    own = {name for name in alone if _is_own(network, name)}
    names = []
    for inputs, first, count in pieces:
        name = _fresh(network, inputs[0], "part")
        total = sum(channels[x] for x in inputs)
        select = np.zeros((width, total), np.int8)
        select[np.arange(count), first + np.arange(count)] = 1
        if inputs[0] in own:
            source = network.layer(inputs[0])
            network = _put(network, network.layers.index(source), _chosen(source, name, select))
        else:
            step = _identity(name, inputs, (total, *known[inputs[0]][1:]), select)
            network = _put(network, network.layers.index(shape.layer), step)
        names.append(name)
    reader = _spread(shape, [count for _, _, count in pieces], width, known)
    at = network.layers.index(shape.layer)
    network = _put(network, at, replace(reader, inputs=tuple(names)), instead=1)
    return replace(network, layers=tuple(x for x in network.layers if x.name not in own))


def _is_own(network: Network, name: str) -> bool:
    """True if a convolution of its own makes ``name``, for one reader alone."""
    readers = sum(layer.inputs.count(name) for layer in network.layers)
    made = name != INPUT and network.layer(name).weight is not None
    return made and readers == 1 and name not in network.outputs


def _chosen(layer: Layer, name: str, select: Int8Array) -> Layer:
    """The layer with other output channels: rows of ``select`` name the old ones."""
    assert layer.weight is not None
    axis = 1 if layer.operation is Operation.CONVTRANSPOSE2D else 0
    weight = np.moveaxis(np.tensordot(select, layer.weight, (1, axis)), 0, axis)
    bias = None if layer.bias is None else select @ layer.bias
    return replace(layer, name=name, weight=np.ascontiguousarray(weight), bias=bias)


def _pieces(inputs: Sequence[str], counts: Sequence[int]) -> list[Piece]:
    """Parts in order: several neighbours together, or one cut into equal pieces."""
    result: list[Piece] = []
    names: tuple[str, ...] = ()
    total = span = 0
    for name, count in zip(inputs, counts, strict=True):
        slots = -(-count // 4) * 4
        if names and (span + slots > limits.PROCESSORS or name in names):
            result.append((names, 0, total))
            names, total, span = (), 0, 0
        if count > limits.PROCESSORS:
            cuts = -(-count // limits.PROCESSORS)
            size = -(-count // cuts)
            starts = range(0, count, size)
            result += [((name,), start, min(size, count - start)) for start in starts]
        else:
            names, total, span = (*names, name), total + count, span + slots
    return [*result, (names, 0, total)] if names else result


def _spread(
    shape: Geometry, counts: list[int], width: int, known: dict[str, shapes.Shape]
) -> Layer:
    """The reader with weights for parts of ``width`` channels, of which ``counts`` are used."""
    layer = shape.layer
    places = np.concatenate([number * width + np.arange(n) for number, n in enumerate(counts)])
    if layer.weight is None:
        joined = (shape.channels, *known[layer.inputs[0]][1:])
        layer = _identity(layer.name, layer.inputs, joined, pool=layer.pool)
    assert layer.weight is not None
    axis = 0 if layer.operation is Operation.CONVTRANSPOSE2D else 1
    weight = layer.weight
    if layer.operation is Operation.LINEAR:
        weight = weight.reshape(len(weight), shape.channels, -1)
    form = list(weight.shape)
    form[axis] = width * len(counts)
    whole = np.zeros(form, np.int8)
    index = (slice(None),) * axis + (places,)
    whole[index] = weight
    if layer.operation is Operation.LINEAR:
        whole = whole.reshape(len(whole), -1)
    return replace(layer, weight=whole)


def _shapes(network: Network) -> dict[str, shapes.Shape]:
    """Shape of the network's input and of every output."""
    found = {name: row.output for name, row in shapes.infer(network).items()}
    return {INPUT: tuple(network.input_shape), **found}


REWRITES: tuple[Rewrite, ...] = (
    split_operands,
    split_flattening,
    split_windows,
    pool_many_channels,
    copy_joined_input,
    fill_last_pass,
    even_out_parts,
    copy_shared_parts,
    move_stacked_parts,
)
