"""Parts of the channels, and upsampling, in ONNX files."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from max78k.imports.advice import advice
from max78k.imports.equivalents import doubling, selection
from max78k.imports.float_graph import Kind
from max78k.imports.onnx_reader import Reader, attribute

_PART = "a part of the channels: axis 1, steps of 1."
# Transformations of coordinates, and roundings of them, for which every pixel is repeated.
_REPEATS = {
    ("asymmetric", "floor"), ("asymmetric", "round_prefer_floor"),
    ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"), ("pytorch_half_pixel", "round_prefer_ceil"),
}  # fmt: skip


def slice_of(reader: Reader, node: onnx.NodeProto) -> None:
    """Slice along the channels."""
    rank = len(reader.shape(node.input[0])) + 1
    starts, ends = _list(reader, node, 1, "starts"), _list(reader, node, 2, "ends")
    axes = _list(reader, node, 3, "axes") or list(range(len(starts or [])))
    steps = _list(reader, node, 4, "steps") or [1] * len(axes)
    if starts is None or ends is None or not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps of different lengths")
    if [axis % rank for axis in axes] != [1]:
        reader.refuse(node, f"a part along the axes {axes}", _PART)
        return
    kept = range(reader.shape(node.input[0])[0])[starts[0] : ends[0] : steps[0]]
    _select(reader, node, kept, 0)


def split(reader: Reader, node: onnx.NodeProto) -> None:
    """Split along the channels."""
    rank = len(reader.shape(node.input[0])) + 1
    axis = int(attribute(node, "axis", 0)) % rank
    if axis != 1 or any(name not in reader.file.shapes for name in node.output):
        reader.refuse(node, f"parts along axis {axis}", _PART)
        return
    start = 0
    for number, name in enumerate(node.output):
        size = reader.shape(name)[0]
        _select(reader, node, range(start, start + size), number)
        start += size


def _select(reader: Reader, node: onnx.NodeProto, kept: range, output: int) -> None:
    shape = reader.shape(node.input[0])
    if kept == range(shape[0]):
        reader.names[node.output[output]] = reader.source(node)
    else:
        reader.add(node, output=output, **selection(kept, shape))


def _list(reader: Reader, node: onnx.NodeProto, position: int, name: str) -> list[int] | None:
    given = reader.constant(node, position)
    values: Any = attribute(node, name) if given is None else given.ravel().tolist()
    return None if values is None else [int(n) for n in values]


def resize(reader: Reader, node: onnx.NodeProto) -> None:
    """Upsample and Resize that repeat every pixel twice in both directions, or four times..."""
    data, result = reader.shape(node.input[0]), reader.shape(node.output[0])
    mode = attribute(node, "mode", b"nearest").decode()
    place = attribute(node, "coordinate_transformation_mode", b"half_pixel").decode()
    rounds = attribute(node, "nearest_mode", b"round_prefer_floor").decode()
    form = ("asymmetric", "floor") if node.op_type == "Upsample" else (place, rounds)
    times = (result[1] // data[1]).bit_length() - 1 if len(data) == 3 else 0
    doubled = (data[0], *(n << times for n in data[1:]))
    if mode != "nearest" or form not in _REPEATS or times < 1 or result != doubled:
        text = f"resizing of {data} to {result} with mode {mode}, {form[0]}, {form[1]}"
        reader.refuse(node, text, advice("upsample"))
        return
    source = reader.source(node)
    for number in range(1, times + 1):
        weight, window = doubling(data[0])
        shape = (data[0], *(n << number for n in data[1:]))
        reader.add(node, Kind.CONVTRANSPOSE, source, weight=weight, window=window, shape=shape)
        source = reader.names[node.output[0]]


def negative(reader: Reader, node: onnx.NodeProto) -> None:
    """The data with the other sign."""
    reader.add(node, Kind.AFFINE, weight=-np.ones(reader.shape(node.output[0])[0]))
