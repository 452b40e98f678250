"""Buffers of a network description: data that stay in memory from one inference to the next.

A pass-through layer with `buffer_shift` moves what a buffer holds towards its beginning, a layer
with `buffer_insert` writes new data to its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from max78k.compiler.placement import LayerPlacement
from max78k.errors import InputError, RuleError
from max78k.formats.yaml_description import Description, LayerDescription
from max78k.network import Buffer, Layer
from max78k.network.geometry import passes
from max78k.network.shapes import Shape


def buffers_of(description: Description) -> tuple[Buffer, ...]:
    """The buffers that `data_buffer` names."""
    regions = (region.values for region in description.values.get("data_buffer", ()))
    return tuple(Buffer(v["name"], (v["channels"], *v["dim"])) for v in regions)


def buffer_rows(description: Description) -> dict[str, LayerPlacement]:
    """Where the buffers lie, as far as it is given, by name."""
    regions = (region.values for region in description.values.get("data_buffer", ()))
    return {
        v["name"]: LayerPlacement(output_processors=v.get("processors"), out_offset=v.get("offset"))
        for v in regions
    }


def written_part(
    description: Description, entry: LayerDescription, inputs: Sequence[str], output: Shape
) -> tuple[str, int] | None:
    """The buffer into which a layer writes, and the first row there; None for other layers.

    Raises:
        RuleError: there is no such buffer, or the output has another number of rows.
    """
    buffers = {buffer.name: buffer for buffer in buffers_of(description)}
    shift, count = (entry.values.get(key) for key in ("buffer_shift", "buffer_insert"))
    if shift is not None:
        if len(inputs) != 1 or inputs[0] not in buffers:
            text = "`buffer_shift` in a layer whose `in_sequences` is no buffer"
            raise _fault(description, entry, "buffer_shift", text, "the name of a `data_buffer`.")
        return inputs[0], 0
    if count is None:
        return None
    rows = (*output, 1)[1]
    if rows != count:
        text = f"`buffer_insert` {count}, but the output has {rows} rows or values"
        raise _fault(description, entry, "buffer_insert", text, f"{rows}.")
    ends = {name: buffer.shape[1] - rows for name, buffer in buffers.items()}
    places = buffer_rows(description)
    fitting = [
        name
        for name, row in ends.items()
        if row >= 0 and not _elsewhere(entry.values, places[name], buffers[name].shape, row)
    ]
    if len(fitting) != 1:
        text = f"`buffer_insert` at the end of {' or '.join(fitting) or 'no buffer'}"
        hint = "`output_processors` and `out_offset` of the last rows of one `data_buffer`."
        raise _fault(description, entry, "buffer_insert", text, hint)
    return fitting[0], ends[fitting[0]]


def _elsewhere(values: Mapping[str, Any], row: LayerPlacement, shape: Shape, first: int) -> bool:
    """True if a layer's addresses are not those of the buffer's rows from ``first`` on."""
    wanted = part_of(row, shape, first)
    pairs = (
        (values.get("output_processors"), wanted.output_processors),
        (values.get("out_offset"), wanted.out_offset),
    )
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def part_of(row: LayerPlacement, shape: Shape, first: int) -> LayerPlacement:
    """Place of a buffer's rows from ``first`` on, where that of the buffer is ``row``."""
    columns = (*shape, 1)[2]
    offset = (
        None if row.out_offset is None else row.out_offset + 4 * first * columns * passes(shape[0])
    )
    return LayerPlacement(output_processors=row.output_processors, out_offset=offset)


def output_place(
    description: Description, layer: Layer, shapes: Mapping[str, Shape]
) -> LayerPlacement | None:
    """Where a layer that writes into a buffer writes; None for other layers."""
    if layer.buffer is None:
        return None
    row = buffer_rows(description)[layer.buffer]
    return part_of(row, shapes[layer.buffer], layer.buffer_row)


def _fault(
    description: Description, entry: LayerDescription, key: str, text: str, hint: str
) -> RuleError:
    where = f"{description.path} line {entry.line_of(key)}: layer {entry.sequence}"
    return RuleError([InputError("E-YAML-BUFFER", f"{where}: {text}.", hint)])
