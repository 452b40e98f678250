"""Rewrites for tensors that several layers join, or read beside others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from max78k.chip import limits
from max78k.compiler.groups import (
    INTERLEAVED,
    STACKED,
    UNFIT,
    Joint,
    conflicts,
    joint_of,
    joints,
    part_channels,
)  # fmt: skip
from max78k.compiler.lowering_edits import (
    chosen_outputs,
    fresh,
    identity,
    known_shapes,
    plain,
    put,
    reading,
    seen_shapes,
)
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Layer, Network, Operation


def copy_joined_input(network: Network) -> Network | None:
    """The network's input as a part of a concatenation is copied first."""
    for index, layer in enumerate(network.layers):
        if layer.eltwise is None and len(layer.inputs) > 1 and INPUT in layer.inputs:
            name = fresh(network, INPUT, "copy")
            copy = identity(name, (INPUT,), tuple(network.input_shape))
            inputs = tuple(name if x == INPUT else x for x in layer.inputs)
            return put(network, index, copy, replace(layer, inputs=inputs), instead=1)
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
    names, known, found = joint[0], known_shapes(network), geometry(network)
    number = names.index(source)
    born = {layer.name: index for index, layer in enumerate(network.layers)}
    others = [born.get(name, -1) for name in names if name != source]
    at = max(born.get(source, -1) + 1, min(others, default=0))
    name = fresh(network, source, "copy")
    copy = Layer(name, Operation.PASSTHROUGH, (source,))
    if joint[1] == STACKED:  # beside the others stand other processors
        copy = identity(name, (source,), known[source])
    inputs = (*names[:number], name, *names[number + 1 :])
    layers = [
        replace(shape.layer, inputs=inputs) if joint_of(shape, found) == joint else shape.layer
        for shape in found
    ]
    return replace(network, layers=(*layers[:at], copy, *layers[at:]))


def move_stacked_parts(network: Network) -> Network | None:
    """Data that would have to stand in two places of stacks are moved for one of them.

    A pass-through layer leaves data in their quadrant, and interleaved tensors lie in the same
    place, so that whole families of tensors share their quadrants; a family may have one place in
    a stack. A pass-through layer that reads a stack puts its output where the stack is.
    """
    found = geometry(network)
    if any(joint_of(shape, found)[1] == UNFIT for shape in found):
        return None
    family = _families(found)
    placed: set[str] = set()
    for shape in found:
        name = shape.layer.name
        if shape.convolves or joint_of(shape, found)[1] != STACKED:
            continue
        shared = list(family.values()).count(family[name]) > 1
        gaps = any(count % 4 for count in part_channels(shape, found)[:-1])
        if family[name] in placed or (shared and gaps):
            return _moved(network, found, name)
        placed.add(family[name])
    for joint in joints(found):
        for name in joint[0] if joint[1] == STACKED else ():
            if family[name] in placed:
                plain = name != INPUT and network.layer(name).weight is None
                if plain and network.layer(name).eltwise is None:
                    return _moved(network, found, name)
                return _copied(network, joint, name)
            placed.add(family[name])
    return None


def _families(found: Sequence[Geometry]) -> dict[str, str]:
    """By name of every tensor, one name of those that share its quadrants."""
    family = {name: name for shape in found for name in (*shape.layer.inputs, shape.layer.name)}
    for shape in found:
        names, kind = joint_of(shape, found)
        linked = set(names) if kind == INTERLEAVED else set()
        if not shape.convolves and kind != STACKED:
            linked |= {*names, shape.layer.name}
        merged = {family[name] for name in linked}
        for name, head in family.items():
            if head in merged:
                family[name] = min(merged)
    return family


def _moved(network: Network, found: Sequence[Geometry], name: str) -> Network:
    """The identity instead of a pass-through layer: it puts its output anywhere."""
    layer = network.layer(name)
    index = network.layers.index(layer)
    step = identity(name, layer.inputs, seen_shapes(network)[name], pool=layer.pool)
    return put(network, index, reading(step, layer), instead=1)


def fill_last_pass(network: Network) -> Network | None:
    """A pass-through layer gets whole passes to read.

    A flattening layer writes its own channels alone, other layers zeros in the rest of the last
    pass. A pass-through layer would move words that nobody wrote.
    """
    known, found = known_shapes(network), geometry(network)
    partial = {s.layer.name for s in found if s.flattens and s.outputs % s.out_processors}
    for shape in found:
        for source in shape.layer.inputs:
            if source in partial and not shape.convolves:
                name = fresh(network, source, "whole")
                copy = identity(name, (source,), known[source])
                inputs = tuple(name if x == source else x for x in shape.layer.inputs)
                reader = replace(shape.layer, inputs=inputs)
                return put(network, shape.index, copy, reader, instead=1)
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
    channels = dict(zip(shape.layer.inputs, counts, strict=True))
    alone = {inputs[0] for inputs, _, _ in pieces if len(inputs) == 1}
    direct = shape.layer.view is None and shape.layer.cut is None
    own = {name for name in alone if direct and _is_own(network, name)}
    size = seen_shapes(network)[shape.layer.name][1:]
    names = []
    for inputs, first, count in pieces:
        name = fresh(network, inputs[0], "part")
        total = sum(channels[x] for x in inputs)
        select = np.zeros((width, total), np.int8)
        select[np.arange(count), first + np.arange(count)] = 1
        if inputs[0] in own:
            source = network.layer(inputs[0])
            network = put(
                network, network.layers.index(source), chosen_outputs(source, name, select)
            )
        else:
            step = identity(name, inputs, (total, *size), select)
            network = put(network, network.layers.index(shape.layer), reading(step, shape.layer))
        names.append(name)
    reader = _spread(shape, [count for _, _, count in pieces], width, size)
    at = network.layers.index(shape.layer)
    network = put(network, at, replace(reader, inputs=tuple(names)), instead=1)
    return replace(network, layers=tuple(x for x in network.layers if x.name not in own))


def _is_own(network: Network, name: str) -> bool:
    """True if a convolution of its own makes ``name``, for one reader alone."""
    readers = sum(layer.inputs.count(name) for layer in network.layers)
    made = name != INPUT and network.layer(name).weight is not None
    return made and readers == 1 and name not in network.outputs


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


def _spread(shape: Geometry, counts: list[int], width: int, size: tuple[int, ...]) -> Layer:
    """The reader with weights for parts of ``width`` channels, of which ``counts`` are used."""
    layer = plain(shape.layer)
    places = np.concatenate([number * width + np.arange(n) for number, n in enumerate(counts)])
    if layer.weight is None:
        layer = identity(layer.name, layer.inputs, (shape.channels, *size), pool=layer.pool)
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
