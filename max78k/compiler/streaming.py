"""How the input streams through the first layers: starts, steps, buffers, line-buffer entries.

A streaming layer begins before its input is complete. Its registers say after how many pixels it
may begin, how many more it needs for each column and row, and how long the rolling buffer is that
holds its input in data memory. The formulas are those of the vendor's published synthesizer; a
functional model cannot see a wrong value, silicon would stall or compute something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from max78k.chip import cnn_registers as cr
from max78k.chip import limits
from max78k.compiler.placed import Placed
from max78k.network.geometry import Geometry

_PLANAR_BUFFER = 12  # words, whatever the size
_MARGIN = 2  # pixels that a later layer waits for beyond what it needs


@dataclass(frozen=True)
class Stream:
    """Values of STRM0, STRM1 and FBUF; pixels and words of one pass."""

    start: int
    delta1: int = 0
    delta2: int = 0
    involved: int = 0
    buffer: int = 0


def frame_words(placed: Placed) -> int:
    """Words of the network's input that each FIFO delivers; ``placed`` is the first layer."""
    pixels = placed.geometry.pixels
    return -(-pixels // limits.PROCESSORS_PER_INSTANCE) if placed.planar else pixels


def stream(placed: Placed) -> Stream | None:
    """How the layer waits for its input; None where the input is complete when it begins."""
    shape = placed.geometry
    if not shape.streaming:
        waits = placed.fed and shape.index == 0
        return Stream(frame_words(placed) * shape.pool_size[0]) if waits else None
    return rolling(shape, placed.before, placed.planar)


def rolling(shape: Geometry, before: Sequence[Geometry], planar: bool) -> Stream:
    """How a streaming layer waits for its input; ``before`` are all earlier layers."""
    rows, columns = shape.pool_size
    stride = shape.layer.pool.stride[0] if shape.layer.pool else 1
    if shape.index == 0:
        start = ((rows - 1) * shape.size[1] + columns) * rows
        delta1 = (stride - 1) * shape.operands
        delta2 = (rows - 1) * shape.size[1] * shape.operands
    else:
        source = before[-1]
        width = source.pooled[1] + 2 * source.padding[1]
        kernel = source.kernel
        start = width * (kernel[0] - 1 + rows - 1) + kernel[1] - 1 + columns + _MARGIN
        delta1 = stride * shape.operands
        delta2 = (stride - 1) * width + columns * shape.operands
    involved = sum(other.in_passes for other in before)
    length = start + (rows - 1) * shape.size[1] + max(stride, columns)
    length = -(-length // shape.in_passes) * shape.in_passes
    return Stream(start, delta1, delta2, involved, _PLANAR_BUFFER if planar else length)


def line_entries(shape: Geometry) -> int:
    """Entries of each processor's line buffer that the layer cycles through."""
    if not shape.convolves:
        return 1
    columns = shape.pooled[1] * (2 if shape.transposed else 1)
    return max(0, columns + 2 * shape.padding[1] - shape.kernel[1]) + 1


def line_start(placed: Placed) -> int:
    """First line-buffer entry of the layer: streaming layers run at once and share none."""
    if not placed.geometry.streaming:
        return 0
    return sum(line_entries(other) * other.in_passes for other in placed.before)


def fields_too_small(placed: Placed) -> list[tuple[str, int, int]]:
    """(what, value, largest) of every stream value that its register field cannot hold."""
    found = stream(placed)
    if found is None:
        return []
    limits_of = (
        ("stream start", found.start, cr.STRM0.field("START").width),
        ("stream delta in a row", found.delta1, cr.STRM1.field("DELTA1").width),
        ("stream delta between rows", found.delta2, cr.STRM1.field("DELTA2").width),
        ("number of passes before the layer", found.involved, cr.STRM1.field("INVOL").width),
    )
    rows = [(what, value, (1 << width) - 1) for what, value, width in limits_of]
    rows.append(("first line-buffer entry", line_start(placed), limits.LINE_ENTRY))
    if placed.geometry.index == 0:
        size = cr.IFRM.field("SIZE").width
        rows.append(("input frame", frame_words(placed), (1 << size) - 1))
    return [row for row in rows if row[1] > row[2]]
