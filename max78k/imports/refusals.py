"""What the chip has no layer for, each with the nearest thing that it has."""

from __future__ import annotations

import numpy as np

from max78k.chip import limits
from max78k.imports.float_graph import Graph, Kind, Node
from max78k.imports.kernels import chip_kernel

_MORE = "{0} convolutions of 3x3 one after the other see {1}x{1} pixels; train it so"


def check_node(graph: Graph, node: Node) -> None:
    """Add a refusal to ``graph`` for everything in ``node`` that no layer of the chip can do."""
    arrays = [array for array in (node.weight, node.bias) if array is not None]
    largest = np.finfo(np.float32).max
    if not all((np.abs(array) <= largest).all() for array in arrays):  # nor is NaN
        hint = "weights below 1e38, and variances of batch norms above 0."
        graph.refuse("WEIGHTS", node, "its weights, with what is folded in, are not finite", hint)
    if node.kind is Kind.CONV:
        _convolution(graph, node)
    elif node.kind is Kind.CONVTRANSPOSE:
        _transposed(graph, node)
    elif node.kind is Kind.POOL:
        _pooling(graph, node)
    elif node.kind is Kind.RESHAPE:
        _reshape(graph, node)
    elif node.kind is Kind.TRANSPOSE:
        axes = (0, *(axis + 1 for axis in node.axes))
        graph.refuse(
            "TRANSPOSE",
            node,
            f"axes are put in the order {axes}",
            "channels first throughout, without permute.",
        )
    elif node.kind is Kind.PAD:
        assert node.window is not None
        text = f"padding {node.window.before} before and {node.window.after} after the data"
        graph.refuse(
            "PAD", node, text, "padding of the convolution itself, 0, 1 or 2 on all sides."
        )


def _convolution(graph: Graph, node: Node) -> None:
    window, weight = node.window, node.weight
    assert window is not None and weight is not None
    kernel = "x".join(map(str, window.size))
    if any(n > 1 for n in window.stride):
        free = all(n == 1 for n in window.size) and not window.padded
        if not free or len(set(window.stride)) > 1 or max(window.stride) > limits.POOL_STRIDE:
            stride = "x".join(map(str, window.stride))
            graph.refuse(
                "STRIDE",
                node,
                f"a {kernel} convolution of stride {stride}, padding {window.before} before and "
                f"{window.after} after",
                "a 3x3 kernel of stride 2, padding 1 on all sides, or stride 1 and pooling.",
            )
    if len(window.size) == 2 and any(n > 1 for n in window.dilation):
        graph.refuse(
            "DILATION",
            node,
            f"dilation {max(window.dilation)} in two dimensions",
            "dilation 1 and pooling before it; 1-D convolutions may be dilated.",
        )
    largest = 3 if len(window.size) == 2 else limits.CONV1D_KERNEL
    if max(window.size) > largest:
        count = max(window.size) // 2
        advice = f"at most {largest} values" if largest > 3 else _MORE.format(count, 2 * count + 1)
        graph.refuse("KERNEL", node, f"kernel {kernel}", f"{advice}.")
    elif _padding_is_odd(node):
        text = f"kernel {kernel} with padding {window.before} before and {window.after} after"
        kernel = "3x3 kernel" if len(window.size) == 2 else "kernel of up to 9 values"
        hint = f"a {kernel} with padding 0, 1 or 2 on all sides."
        graph.refuse("PADDING", node, text, hint)


def _padding_is_odd(node: Node) -> bool:
    assert node.window is not None and node.weight is not None
    try:
        chip_kernel(node.weight, node.window)
    except ValueError:
        return True
    return False


def _transposed(graph: Graph, node: Node) -> None:
    window = node.window
    assert window is not None
    fits = (
        window.size == (3, 3)
        and window.stride == (2, 2)
        and window.dilation == (1, 1)
        and len(set(window.before)) == 1
        and window.before[0] <= limits.PADDING
        and node.shape[1:] == tuple(2 * (n + 1 - window.before[0]) for n in _plane(graph, node))
    )
    if not fits:
        kernel, stride = ("x".join(map(str, sizes)) for sizes in (window.size, window.stride))
        graph.refuse(
            "TRANSPOSED",
            node,
            f"kernel {kernel}, stride {stride}, padding {window.before}",
            "stride 2 and kernel 3x3, or 2x2 without padding; with 3x3 padding 0-2 and output "
            "padding 1.",
        )


def _plane(graph: Graph, node: Node) -> tuple[int, ...]:
    return graph.shape(node.inputs[0])[1:]


def _pooling(graph: Graph, node: Node) -> None:
    window = node.window
    assert window is not None
    if window.padded:
        text = f"pooling with padding {window.before} before and {window.after} after"
        graph.refuse(
            "POOL-PADDING",
            node,
            text,
            "pooling without padding and without ceil_mode, 2x2 with stride 2 as a rule; max "
            "pooling behind ReLU may have one row of zeros on each side.",
        )
    if max(window.size) > limits.POOL_SIZE:
        size = "x".join(map(str, window.size))
        hint = f"windows up to {limits.POOL_SIZE}; sizes with a common divisor are pooled twice."
        graph.refuse("POOL-SIZE", node, f"pooling of {size}", hint)
    strides = {step for step, n in zip(window.stride, node.shape[1:], strict=True) if n > 1}
    if len(strides) > 1:
        graph.refuse(
            "POOL-STRIDE",
            node,
            f"pooling of {'x'.join(map(str, window.size))} with stride "
            f"{'x'.join(map(str, window.stride))}",
            "the same stride on both axes; the window may differ, as 1x2 with stride 2.",
        )
    if any(n > 1 for n in window.dilation):
        graph.refuse(
            "POOL-DILATION", node, f"pooling with dilation {max(window.dilation)}", "dilation 1."
        )


def _reshape(graph: Graph, node: Node) -> None:
    source = graph.shape(node.inputs[0])
    pixels = len(source) == 1 and node.shape[0] == source[0]
    one_pixel = all(n == 1 for n in (*source[1:], *node.shape[1:])) and source[0] == node.shape[0]
    if len(node.shape) != 1 and not pixels and not one_pixel:
        old, new = ("x".join(map(str, shape)) for shape in (source, node.shape))
        graph.refuse(
            "RESHAPE",
            node,
            f"{old} becomes {new}",
            "flattening of all axes before a linear layer is the one reshape there is.",
        )
