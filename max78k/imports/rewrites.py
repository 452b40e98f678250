"""Rewrites of the float graph that change its form and not what it computes.

Each rewrite looks at one node and says whether it changed the graph; the table at the end is run
until nothing changes. What is left has few shapes: scale and shift survives only where it cannot
be folded into a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from max78k.imports.equivalents import (
    dense_groups,
    is_positive,
    large_window,
    pad_as_layer,
    padding_of_max_pool,
    selection_into_next,
    shuffled_channels,
    small_transposed,
    stride_after_convolution,
)
from max78k.imports.float_graph import FloatArray, Graph, Kind, Node, Window

Rewrite = Callable[[Graph, Node], bool]

_EDGES = (
    "warning: {} pads with pixel 128, the model with its mean pixel: outputs at the edges differ; "
    "train with (pixel - 128) / 128 to have them equal"
)
_INPUT_STEP = 2.0**-7  # the chip's input -128...127 stands for -1...127/128
_WEIGHTED = (Kind.CONV, Kind.CONVTRANSPOSE, Kind.LINEAR)


def simplify(graph: Graph) -> None:
    """Run all rewrites on ``graph`` in place, stage by stage."""
    _remove_unread(graph)
    for stage in (FORM, STRIDES, BACKWARD, FORWARD, REMAINDER):
        _until_stable(graph, stage)


def _remove_unread(graph: Graph) -> None:
    needed = set(graph.outputs)
    for node in reversed(graph.nodes.values()):
        if node.name in needed:
            needed.update(node.inputs)
    graph.nodes = {name: node for name, node in graph.nodes.items() if name in needed}


def _until_stable(graph: Graph, rewrites: Sequence[Rewrite]) -> None:
    changed = True
    while changed:
        changed = False
        for name in list(graph.nodes):
            for rewrite in rewrites:
                node = graph.nodes.get(name)
                changed |= node is not None and rewrite(graph, node)


def keep_given_steps(graph: Graph, node: Node) -> bool:
    """A quantize-dequantize pair becomes the given step of the output before it."""
    if node.kind is not Kind.QUANTIZE:
        return False
    before = graph.nodes.get(node.inputs[0])
    if before is None and node.scale is not None and node.scale != _INPUT_STEP:
        graph.notes.append(f"the model's input has steps of {node.scale:.4g}, the chip's of 1/128")
    _give_step(graph, node.inputs[0], node.scale)
    graph.bypass(node.name)
    return True


def _give_step(graph: Graph, name: str, step: float | None) -> None:
    """Let the output of node ``name`` have ``step`` or a larger one, and what it hands on."""
    before = graph.nodes.get(name)
    while before is not None and step:
        graph.put(replace(before, scale=max(before.scale or 0.0, step)))
        same = before.kind in (Kind.POOL, Kind.RESHAPE, Kind.TRANSPOSE)
        before = graph.nodes.get(before.inputs[0]) if same else None


def cancel_transposes(graph: Graph, node: Node) -> bool:
    """Two transpositions in a row become one; one that changes nothing is removed."""
    if node.kind is not Kind.TRANSPOSE:
        return False
    if node.axes == tuple(range(len(node.axes))):
        graph.bypass(node.name)
        return True
    before = graph.nodes.get(node.inputs[0])
    if before is None or before.kind is not Kind.TRANSPOSE:
        return False
    axes = tuple(before.axes[axis] for axis in node.axes)
    graph.put(replace(node, inputs=before.inputs, axes=axes))
    if not graph.readers(before.name) and before.name not in graph.outputs:
        del graph.nodes[before.name]
    return True


def transpose_after_activation(graph: Graph, node: Node) -> bool:
    """An activation commutes with the transposition or reshape before it."""
    if node.kind is not Kind.ACTIVATION:
        return False
    before = graph.producer(node, Kind.TRANSPOSE, Kind.RESHAPE)
    if before is None:
        return False
    _swap(graph, before, node, graph.shape(before.inputs[0]))
    return True


def flatten_transposed(graph: Graph, node: Node) -> bool:
    """Transpose, flatten, linear: the columns of the weights are put in channel-first order."""
    if node.kind is not Kind.LINEAR:
        return False
    flat = graph.producer(node, Kind.RESHAPE)
    turned = graph.producer(flat, Kind.TRANSPOSE) if flat else None
    if flat is None or turned is None or len(flat.shape) != 1:
        return False
    assert node.weight is not None
    shape = graph.shape(turned.inputs[0])
    order = np.arange(int(np.prod(shape))).reshape(shape).transpose(turned.axes).ravel()
    weight = np.empty_like(node.weight)
    weight[:, order] = node.weight
    graph.put(replace(node, weight=weight))
    graph.bypass(turned.name)
    return True


def remove_equal_reshape(graph: Graph, node: Node) -> bool:
    """A reshape to the same shape is removed, and of two in a row the first."""
    if node.kind is not Kind.RESHAPE:
        return False
    if graph.shape(node.inputs[0]) == node.shape:
        graph.bypass(node.name)
        return True
    before = graph.producer(node, Kind.RESHAPE)
    if before is not None:
        graph.bypass(before.name)
    return before is not None


def pad_in_convolution(graph: Graph, node: Node) -> bool:
    """Zero padding moves into the convolution that follows."""
    if node.kind is not Kind.CONV or node.window is None:
        return False
    pad = graph.producer(node, Kind.PAD)
    if pad is None or pad.window is None:
        return False
    before = tuple(a + b for a, b in zip(node.window.before, pad.window.before, strict=True))
    after = tuple(a + b for a, b in zip(node.window.after, pad.window.after, strict=True))
    graph.put(replace(node, window=replace(node.window, before=before, after=after)))
    graph.bypass(pad.name)
    return True


def double_operand(graph: Graph, node: Node) -> bool:
    """``x + x`` is a scale of 2."""
    if node.kind is not Kind.ADD or len(set(node.inputs)) == len(node.inputs):
        return False
    if len(set(node.inputs)) > 1:
        return False
    weight = np.full(node.shape[0], float(len(node.inputs)))
    graph.put(replace(node, kind=Kind.AFFINE, inputs=node.inputs[:1], weight=weight))
    return True


def merge_affine(graph: Graph, node: Node) -> bool:
    """Two scale-and-shift nodes in a row become one."""
    if node.kind is not Kind.AFFINE:
        return False
    before = graph.producer(node, Kind.AFFINE)
    if before is None:
        return False
    assert node.weight is not None and before.weight is not None
    weight = before.weight * node.weight
    graph.put(replace(node, weight=weight, bias=before.shift * node.weight + node.shift))
    graph.bypass(before.name)
    return True


def affine_before_pool(graph: Graph, node: Node) -> bool:
    """Scale and shift after pooling moves before it: exact for averages and positive scales."""
    if node.kind is not Kind.AFFINE:
        return False
    pool = graph.producer(node, Kind.POOL)
    if pool is None or not _commutes(pool, node):
        return False
    if graph.producer(pool, *_WEIGHTED, Kind.POOL) is None:
        return False
    _swap(graph, pool, node, graph.shape(pool.inputs[0]))
    return True


def affine_into_weights(graph: Graph, node: Node) -> bool:
    """Scale and shift after a convolution or linear layer is folded into it."""
    if node.kind is not Kind.AFFINE:
        return False
    before = graph.producer(node, *_WEIGHTED)
    if before is None or before.function or before.limit is not None:
        return False
    assert node.weight is not None and before.weight is not None
    axes = [1] * before.weight.ndim
    axes[1 if before.kind is Kind.CONVTRANSPOSE else 0] = -1
    weight = before.weight * node.weight.reshape(axes)
    bias = before.shift * node.weight + node.shift
    graph.put(replace(before, weight=weight, bias=bias, scale=node.scale, weight_scale=None))
    graph.bypass(node.name)
    return True


def relu_before_max_pool(graph: Graph, node: Node) -> bool:
    """ReLU, with or without limit, commutes with max pooling: it moves before it."""
    if node.kind is not Kind.ACTIVATION or node.function == "abs":
        return False
    pool = graph.producer(node, Kind.POOL)
    if pool is None or pool.function != "max":
        return False
    _swap(graph, pool, node, graph.shape(pool.inputs[0]))
    return True


def activation_in_layer(graph: Graph, node: Node) -> bool:
    """An activation is the last thing that a convolution or linear layer does."""
    if node.kind is not Kind.ACTIVATION:
        return False
    before = graph.producer(node, *_WEIGHTED)
    if before is None or before.function or before.limit is not None:
        return False
    scale = node.scale or before.scale
    graph.put(replace(before, function=node.function, limit=node.limit, scale=scale))
    graph.bypass(node.name)
    return True


def needless_activation(graph: Graph, node: Node) -> bool:
    """ReLU or Abs without limit changes nothing where no data are below zero."""
    if node.kind is not Kind.ACTIVATION or node.limit is not None or not node.function:
        return False
    if not is_positive(graph, node.inputs[0]):
        return False
    _give_step(graph, node.inputs[0], node.scale)
    graph.bypass(node.name)
    return True


def affine_after_pool(graph: Graph, node: Node) -> bool:
    """Scale and shift that could not be folded backward moves behind a pooling."""
    if node.kind is not Kind.POOL:
        return False
    affine = graph.producer(node, Kind.AFFINE)
    if affine is None or not _commutes(node, affine):
        return False
    if graph.only_reader(node.name) is None:
        return False
    _swap(graph, affine, node, node.shape)
    return True


def affine_after_flatten(graph: Graph, node: Node) -> bool:
    """Scale and shift by channel before flattening is one by feature behind it."""
    if node.kind is not Kind.RESHAPE or len(node.shape) != 1:
        return False
    affine = graph.producer(node, Kind.AFFINE)
    if affine is None or graph.only_reader(node.name) is None:
        return False
    assert affine.weight is not None
    repeat = node.shape[0] // len(affine.weight)
    spread = replace(
        affine, weight=np.repeat(affine.weight, repeat), bias=np.repeat(affine.shift, repeat)
    )
    _swap(graph, spread, node, node.shape)
    return True


def affine_into_next(graph: Graph, node: Node) -> bool:
    """Scale and shift before a linear layer or a convolution is folded into it.

    A convolution that pads takes the scale alone: the zeros around the data are not shifted. The
    normalisation of the input is folded all the same, and a note tells of the edges.
    """
    if node.kind not in (Kind.CONV, Kind.LINEAR):
        return False
    affine = graph.producer(node, Kind.AFFINE)
    if affine is None:
        return False
    padded = node.window is not None and node.window.padded
    if padded and np.any(affine.shift):
        if affine.name != graph.normalisation:
            return False
        graph.notes.append(_EDGES.format(node.title))
    graph.put(_fold_before(node, affine))
    graph.bypass(affine.name)
    return True


def _fold_before(node: Node, affine: Node) -> Node:
    """``node`` with the scale and shift before it folded into its weights and bias."""
    assert node.weight is not None and affine.weight is not None
    weight: FloatArray = node.weight
    by_input = affine.weight.reshape(1, -1, *(1,) * (weight.ndim - 2))
    moved = (weight * affine.shift.reshape(by_input.shape)).reshape(len(weight), -1).sum(axis=1)
    return replace(node, weight=weight * by_input, bias=node.shift + moved, weight_scale=None)


def affine_as_layer(graph: Graph, node: Node) -> bool:
    """What is left of scale and shift is a layer of its own with a diagonal of weights."""
    if node.kind is not Kind.AFFINE:
        return False
    assert node.weight is not None
    graph.put(_pointwise(node, np.diag(node.weight), node.bias))
    return True


def activation_as_layer(graph: Graph, node: Node) -> bool:
    """An activation after anything but weights is a layer whose weights change nothing."""
    if node.kind is not Kind.ACTIVATION:
        return False
    graph.put(_pointwise(node, np.eye(node.shape[0]), None))
    return True


def _pointwise(node: Node, weight: FloatArray, bias: FloatArray | None) -> Node:
    axes = len(node.shape) - 1
    if not axes:
        return replace(node, kind=Kind.LINEAR, weight=weight, bias=bias)
    ones, zeros = (1,) * axes, (0,) * axes
    window = Window(ones, ones, ones, zeros, zeros)
    weight = weight.reshape(*weight.shape, *ones)
    return replace(node, kind=Kind.CONV, weight=weight, bias=bias, window=window)


def _commutes(pool: Node, affine: Node) -> bool:
    assert affine.weight is not None and pool.window is not None
    if pool.window.padded:
        return False
    if set(pool.window.size) == {1}:  # a stride alone
        return True
    return pool.function == "avg" or bool((affine.weight > 0).all())


def _swap(graph: Graph, first: Node, second: Node, shape: tuple[int, ...]) -> None:
    """Let the only reader ``second`` of ``first`` come before it; ``shape``: between the two."""
    swapped: dict[str, Node] = {}
    for name, node in graph.nodes.items():
        if name == first.name:
            swapped[second.name] = replace(second, inputs=first.inputs, shape=shape)
        elif name == second.name:
            swapped[first.name] = replace(first, inputs=(second.name,), shape=second.shape)
        else:
            inputs = tuple(first.name if x == second.name else x for x in node.inputs)
            swapped[name] = replace(node, inputs=inputs)
    graph.nodes = swapped
    graph.outputs = [first.name if x == second.name else x for x in graph.outputs]


FORM: tuple[Rewrite, ...] = (
    keep_given_steps,
    shuffled_channels,
    cancel_transposes,
    transpose_after_activation,
    remove_equal_reshape,
    flatten_transposed,
    pad_in_convolution,
    double_operand,
    dense_groups,
    small_transposed,
    selection_into_next,
)
STRIDES: tuple[Rewrite, ...] = (stride_after_convolution, large_window)
BACKWARD: tuple[Rewrite, ...] = (
    merge_affine,
    affine_before_pool,
    affine_into_weights,
    relu_before_max_pool,
    activation_in_layer,
    needless_activation,
)
FORWARD: tuple[Rewrite, ...] = (
    merge_affine,
    affine_after_pool,
    affine_after_flatten,
    affine_into_next,
    padding_of_max_pool,
)
REMAINDER: tuple[Rewrite, ...] = (
    affine_as_layer,
    activation_in_layer,
    activation_as_layer,
    pad_as_layer,
)
