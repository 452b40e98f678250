"""Pooling, means and upsampling of torch models."""

from __future__ import annotations

from dataclasses import replace

from torch import fx

from max78k.imports.advice import advice
from max78k.imports.equivalents import doubling
from max78k.imports.float_graph import Kind, Window, plane_window, with_ceiling
from max78k.imports.torch_reader import Handler, Reader, spread


def pool(function: str) -> Handler:
    """Pooling by ``function``, "max" or "avg"."""
    return lambda reader, node: _add_pool(reader, node, function)


def _add_pool(reader: Reader, node: fx.Node, function: str) -> None:
    data, result = reader.source_shape(node)[1:], reader.shape(node)[1:]
    names = ["kernel_size", "stride", "padding"] + ["dilation"] * (function == "max")
    if node.op == "call_module":
        found = [getattr(reader.module(node), name) for name in names]
    else:
        found = [
            reader.argument(node, n + 1, name, {"padding": 0, "dilation": 1}.get(name))
            for n, name in enumerate(names)
        ]
    size, stride, padding, dilation = (*found, 1)[:4]
    axes = len(data)
    pads = spread(padding, axes)
    sizes = spread(size, axes)
    window = Window(sizes, spread(stride or sizes, axes), spread(dilation, axes), pads, pads)
    window = with_ceiling(window, data, result)
    source = reader.source(node)
    if function == "avg" and any(pads) and window.after == pads and _counts_zeros(reader, node):
        ones, zeros = (1,) * axes, (0,) * axes
        padded = (
            reader.source_shape(node)[0],
            *(n + 2 * p for n, p in zip(data, pads, strict=True)),
        )
        pad = replace(window, size=ones, stride=ones, dilation=ones)
        source = reader.add(node, Kind.PAD, window=pad, shape=padded)
        window = replace(window, before=zeros, after=zeros)
    reader.add(node, Kind.POOL, source, function=function, window=window)


def _counts_zeros(reader: Reader, node: fx.Node) -> bool:
    """True if an average pooling divides by the whole window's size at the edges, too."""
    if node.op == "call_module":
        return bool(reader.module(node).count_include_pad)
    return bool(reader.argument(node, 5, "count_include_pad", True))


def largest(reader: Reader, node: fx.Node) -> None:
    """Maxima of whole channels."""
    _reduce(reader, node, "max", "maximum")


def repeat(reader: Reader, node: fx.Node) -> None:
    """Upsampling: every pixel twice in both directions, as often as it takes."""
    data, result = reader.source_shape(node), reader.shape(node)
    mode = (
        reader.module(node).mode
        if node.op == "call_module"
        else reader.argument(node, 3, "mode", "nearest")
    )
    times = (result[1] // data[1]).bit_length() - 1
    doubled = tuple(n << times for n in data[1:])
    if mode != "nearest" or len(data) != 3 or not times or result[1:] != doubled:
        text = f"upsampling of {data[1:]} to {result[1:]} with mode {mode}"
        reader.refuse(node, text, advice("upsample"))
        return
    source = reader.source(node)
    for number in range(1, times + 1):
        weight, window = doubling(data[0])
        shape = (data[0], *(n << number for n in data[1:]))
        source = reader.add(
            node, Kind.CONVTRANSPOSE, source, weight=weight, window=window, shape=shape
        )


def adaptive(function: str) -> Handler:
    """Pooling by ``function`` to a given size."""
    return lambda reader, node: _add_adaptive(reader, node, function)


def _add_adaptive(reader: Reader, node: fx.Node, function: str) -> None:
    data, result = reader.source_shape(node)[1:], reader.shape(node)[1:]
    if any(n % m for n, m in zip(data, result, strict=True)):
        text = f"adaptive pooling of {data} to {result}"
        reader.refuse(node, text, "output sizes that divide the input's.")
        return
    size = tuple(n // m for n, m in zip(data, result, strict=True))
    window = plane_window(size)
    if any(n > 1 for n in result):
        window = replace(window, stride=size)
    reader.add(node, Kind.POOL, function=function, window=window)


def mean(reader: Reader, node: fx.Node) -> None:
    """Means of whole channels."""
    _reduce(reader, node, "avg", "mean")


def _reduce(reader: Reader, node: fx.Node, function: str, word: str) -> None:
    shape = reader.source_shape(node)
    rank = len(shape) + 1
    dimension = reader.argument(node, 1, "dim", ())
    given = (dimension,) if isinstance(dimension, int) else tuple(dimension)
    if sorted(axis % rank for axis in given) != list(range(2, rank)):
        hint = f"the {word} over all rows and columns."
        reader.refuse(node, f"a {word} over {given}", hint)
        return
    pixel = (shape[0], *(1,) * (rank - 2))
    window = plane_window(shape[1:])
    name = reader.add(node, Kind.POOL, function=function, window=window, shape=pixel)
    if len(reader.shape(node)) == 1:
        reader.add(node, Kind.RESHAPE, name)
