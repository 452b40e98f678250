"""Layers that the chip does not have, set into ones that it has, with the same result.

Each function is a rewrite of the float graph as in :mod:`max78k.imports.rewrites`. All of them cost
weights or cycles that the original does not need; a note tells the user so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from max78k.chip import limits
from max78k.imports.float_graph import FloatArray, Graph, Kind, Node, Sizes, Window, usable_name

_SIDE = 3  # of the largest kernel in two dimensions
_PADS = 2  # rows of zeros that a 3x3 kernel of padding 2 adds
_UPSAMPLES = 2  # stride of a transposed convolution


def dense_groups(graph: Graph, node: Node) -> bool:
    """A grouped or depthwise convolution becomes one whose other weights are zeros."""
    if node.kind not in (Kind.CONV, Kind.CONVTRANSPOSE) or node.groups == 1:
        return False
    assert node.weight is not None
    weight = node.weight
    first, second = weight.shape[0] // node.groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], second * node.groups, *weight.shape[2:]))
    for group in range(node.groups):
        rows = slice(group * first, (group + 1) * first)
        dense[rows, group * second : (group + 1) * second] = weight[rows]
    graph.put(replace(node, weight=dense, groups=1))
    graph.notes.append(
        f"{node.title}: {node.groups} groups are computed as one with zeros between them, "
        f"{dense.size:,} weights instead of {weight.size:,}"
    )
    return True


def stride_after_convolution(graph: Graph, node: Node) -> bool:
    """A convolution with a stride becomes one without, of whose outputs every n-th is kept.

    The kernel is set into one of the chip's so that the first output stays where it was; how much
    padding there is after the data then counts only as far as an output that is kept reads it.
    """
    window = node.window
    if node.kind is not Kind.CONV or window is None or len(set(window.stride)) > 1:
        return False
    stride = window.stride[0]
    pointwise = set(window.size) == {1} and not window.padded  # skips pixels while it reads
    if stride == 1 or stride > limits.POOL_STRIDE or pointwise or min(window.before) < 0:
        return False
    data = graph.shape(node.inputs[0])[1:]
    found = next(_settings(window, data, node.shape[1:]), None)
    if found is None:
        return _padding_before(graph, node)
    size, padding, starts, sizes = found
    assert node.weight is not None
    axes = len(data)
    ones, pads = (1,) * axes, (padding,) * axes
    plain = replace(window, size=(size,) * axes, stride=ones, before=pads, after=pads)
    weight = _placed(node.weight, size, starts)
    kept = Node(
        name=usable_name(f"{node.name}_stride", graph.nodes, "stride"),
        kind=Kind.POOL,
        inputs=(node.name,),
        shape=node.shape,
        origin=f"stride of {node.origin}",
        window=Window(ones, window.stride, ones, (0,) * axes, (0,) * axes),
        function="max",
        scale=node.scale,
    )
    full = replace(node, weight=weight, window=plain, shape=(node.shape[0], *sizes))
    _insert_after(graph, full, kept)
    graph.notes.append(
        f"{node.title}: computed at every place, one of {stride**axes} outputs is kept; without "
        "stride, and with pooling behind it, it costs the same"
    )
    return True


def _padding_before(graph: Graph, node: Node) -> bool:
    """Try again with padding as a layer of its own, so that none is left in the convolution."""
    window, data = node.window, graph.shape(node.inputs[0])
    assert window is not None
    if not any(window.before + window.after) or max(window.before) > _PADS:
        return False
    zeros = (0,) * len(window.before)
    bare = replace(window, before=zeros, after=zeros)
    if next(_settings(bare, tuple(n + _PADS for n in data[1:]), node.shape[1:]), None) is None:
        return False
    pad = _padding(graph, node)
    _insert_before(graph, pad, replace(node, inputs=(pad.name,), window=bare))
    return True


def _padding(graph: Graph, node: Node) -> Node:
    """A node that pads as ``node`` does before the data, and after them to two zeros in all."""
    assert node.window is not None
    data, before = graph.shape(node.inputs[0]), node.window.before
    ones = (1,) * len(before)
    after = tuple(_PADS - n for n in before)
    return Node(
        name=usable_name(f"{node.name}_padding", graph.nodes, "padding"),
        kind=Kind.PAD,
        inputs=node.inputs,
        shape=(data[0], *(n + _PADS for n in data[1:])),
        origin=f"padding of {node.origin}",
        window=Window(ones, ones, ones, before, after),
    )


def _settings(
    window: Window, data: Sizes, result: Sizes
) -> Iterator[tuple[int, int, Sizes, Sizes]]:
    """(kernel size, padding, first taps, outputs without the stride) that give ``result``."""
    plane = len(data) == 2
    sizes = [_SIDE] if plane else range(window.size[0], limits.CONV1D_KERNEL + 1)
    if max(window.dilation) > 1:
        sizes = list(window.size[:1]) if not plane else []
    for size, padding in product(sizes, range(limits.PADDING + 1)):
        starts = tuple(padding - n for n in window.before)
        reach = (size - 1) * window.dilation[0]
        full = tuple(n + 2 * padding - reach for n in data)
        kept = tuple(-(-n // window.stride[0]) for n in full)
        fits = all(0 <= o and o + k <= size for o, k in zip(starts, window.size, strict=True))
        whole = max(window.dilation) == 1 or not any(starts)
        if fits and whole and kept == result and min(full) > 0:
            yield size, padding, starts, full


def _placed(weight: FloatArray, size: int, starts: Sizes) -> FloatArray:
    """``weight`` inside a kernel of ``size`` zeros, from the taps ``starts`` on."""
    grown = np.zeros((*weight.shape[:2], *(size,) * len(starts)))
    inner = [slice(o, o + n) for o, n in zip(starts, weight.shape[2:], strict=True)]
    at = (slice(None), slice(None), *inner)
    grown[at] = weight
    return grown


def small_transposed(graph: Graph, node: Node) -> bool:
    """A transposed convolution of 2x2, stride 2, is one of 3x3 whose first row and column are 0."""
    window = node.window
    if node.kind is not Kind.CONVTRANSPOSE or window is None or window.size != (2, 2):
        return False
    doubled = tuple(_UPSAMPLES * n for n in graph.shape(node.inputs[0])[1:])
    if window.stride != (_UPSAMPLES,) * 2 or window.padded or node.shape[1:] != doubled:
        return False
    assert node.weight is not None
    weight = _placed(node.weight, _SIDE, (1, 1))
    ones = (1, 1)
    window = replace(window, size=(_SIDE,) * 2, before=ones, after=ones)
    graph.put(replace(node, weight=weight, window=window))
    return True


def doubling(channels: int) -> tuple[FloatArray, Window]:
    """Weights and window of the transposed convolution that repeats every pixel as 2x2."""
    weight = np.einsum("io,rc->iorc", np.eye(channels), np.ones((2, 2)))
    twos, ones, zeros = (2, 2), (1, 1), (0, 0)
    return weight, Window(twos, twos, ones, zeros, zeros)


def selection(kept: Sequence[int], shape: Sizes) -> dict[str, Any]:
    """Fields of the node that picks the channels ``kept`` of data of ``shape``, in their order."""
    weight = np.eye(shape[0])[list(kept)]
    axes = len(shape) - 1
    if not axes:
        return {"kind": Kind.LINEAR, "weight": weight}
    ones, zeros = (1,) * axes, (0,) * axes
    window = Window(ones, ones, ones, zeros, zeros)
    return {"kind": Kind.CONV, "weight": weight.reshape(*weight.shape, *ones), "window": window}


def shuffled_channels(graph: Graph, node: Node) -> bool:
    """Reshape, transpose, reshape back: the channels in another order, if nothing else moves."""
    if node.kind is not Kind.RESHAPE:
        return False
    turned = graph.producer(node, Kind.TRANSPOSE)
    cut = graph.producer(turned, Kind.RESHAPE) if turned else None
    if turned is None or cut is None or graph.shape(cut.inputs[0]) != node.shape:
        return False
    values = np.arange(int(np.prod(node.shape)))
    moved = values.reshape(cut.shape).transpose(turned.axes).reshape(node.shape[0], -1)
    size = moved.shape[1]
    order = moved[:, 0] // size
    if not np.array_equal(moved, values.reshape(node.shape[0], -1)[order]):
        return False
    graph.put(replace(node, **selection(order.tolist(), node.shape)))
    graph.bypass(turned.name)
    graph.bypass(cut.name)
    return True


def selection_into_next(graph: Graph, node: Node) -> bool:
    """Picking of channels before a convolution: zeros for the channels that are left out."""
    if node.kind is not Kind.CONV or node.groups != 1:
        return False
    before = graph.producer(node, Kind.CONV)
    if before is None or not _selects(before):
        return False
    assert node.weight is not None and before.weight is not None
    matrix = before.weight.reshape(before.weight.shape[:2])
    weight = np.einsum("oj...,ji->oi...", node.weight, matrix)
    graph.put(replace(node, weight=weight))
    graph.bypass(before.name)
    return True


def _selects(node: Node) -> bool:
    """True if every output of a convolution is one of its inputs."""
    if node.weight is None or node.bias is not None or node.function or node.limit is not None:
        return False
    window = node.window
    if window is None or set(window.size + window.stride) != {1} or window.padded or node.scale:
        return False
    matrix = node.weight.reshape(node.weight.shape[:2])
    return bool(((matrix == 1).sum(axis=1) == 1).all() and np.count_nonzero(matrix) == len(matrix))


def padding_of_max_pool(graph: Graph, node: Node) -> bool:
    """Padding of a max pooling becomes a layer of its own where no data are below the zeros."""
    window = node.window
    if node.kind is not Kind.POOL or node.function != "max" or window is None:
        return False
    if not window.padded or not is_positive(graph, node.inputs[0]):
        return False
    data, result = graph.shape(node.inputs[0])[1:], node.shape[1:]
    if max(window.before) > _PADS or any(
        (n + _PADS - k) // s + 1 != count or b + a > _PADS
        for n, k, s, b, a, count in zip(
            data, window.size, window.stride, window.before, window.after, result, strict=True
        )
    ):
        return False
    pad, zeros = _padding(graph, node), (0,) * len(window.before)
    bare = replace(window, before=zeros, after=zeros)
    _insert_before(graph, pad, replace(node, inputs=(pad.name,), window=bare))
    return True


def large_window(graph: Graph, node: Node) -> bool:
    """Pooling of a whole plane that is larger than a window is done in two steps."""
    window, most = node.window, limits.POOL_SIZE
    if node.kind is not Kind.POOL or window is None or window.padded or max(window.size) <= most:
        return False
    data = graph.shape(node.inputs[0])
    if window.size != data[1:] or max(window.dilation) > 1:
        return False
    steps = (n for n in range(2, most + 1) if not any(size % n for size in window.size))
    step = next((n for n in steps if max(window.size) <= n * most), 0)
    if not step:
        return False
    sizes, zeros = (step,) * len(window.size), (0,) * len(window.size)
    rest = tuple(n // step for n in window.size)
    first = replace(
        node,
        name=usable_name(f"{node.name}_part", graph.nodes, "part"),
        shape=(data[0], *rest),
        window=Window(sizes, sizes, (1,) * len(sizes), zeros, zeros),
    )
    whole = replace(window, size=rest, stride=(1,) * len(rest))
    _insert_before(graph, first, replace(node, inputs=(first.name,), window=whole))
    return True


def is_positive(graph: Graph, name: str) -> bool:
    """True if what node ``name`` gives is nowhere below zero."""
    node = graph.nodes.get(name)
    if node is None:
        return False
    if node.function in ("relu", "abs"):
        return True
    passes_on = node.kind in (Kind.POOL, Kind.CONCAT, Kind.ADD, Kind.RESHAPE, Kind.PAD)
    return passes_on and all(is_positive(graph, x) for x in node.inputs)


def pad_as_layer(graph: Graph, node: Node) -> bool:
    """Two rows and columns of zeros: a convolution of 3x3, padding 2, that moves the data."""
    window = node.window
    if node.kind is not Kind.PAD or window is None:
        return False
    if any(a + b != _PADS for a, b in zip(window.before, window.after, strict=True)):
        return False
    starts = tuple(_PADS - n for n in window.before)
    ones = (1,) * len(starts)
    weight = _placed(np.eye(node.shape[0]).reshape(*node.shape[:1] * 2, *ones), _SIDE, starts)
    threes, twos = (_SIDE,) * len(starts), (_PADS,) * len(starts)
    graph.put(replace(
        node, kind=Kind.CONV, weight=weight, window=Window(threes, ones, ones, twos, twos)
    ))  # fmt: skip
    graph.notes.append(
        f"{node.title}: a layer of its own with {weight.size:,} weights, since the chip pads in "
        "convolutions alone"
    )
    return True


def _insert_after(graph: Graph, node: Node, added: Node) -> None:
    """Put ``node`` in its place and ``added`` behind it; who read ``node`` reads ``added``."""
    nodes: dict[str, Node] = {}
    for name, other in graph.nodes.items():
        if name == node.name:
            nodes[name], nodes[added.name] = node, added
        else:
            inputs = tuple(added.name if x == node.name else x for x in other.inputs)
            nodes[name] = replace(other, inputs=inputs)
    graph.nodes = nodes
    graph.outputs = [added.name if x == node.name else x for x in graph.outputs]


def _insert_before(graph: Graph, added: Node, node: Node) -> None:
    """Put ``node`` in its place and ``added``, which it reads, before it."""
    nodes: dict[str, Node] = {}
    for name, other in graph.nodes.items():
        if name == node.name:
            nodes[added.name] = added
        nodes[name] = node if name == node.name else other
    graph.nodes = nodes
