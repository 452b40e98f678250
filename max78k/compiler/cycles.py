"""Accelerator cycles and multiply-accumulate operations of each layer.

The cycle formulas are the vendor's published estimate for layers that run one after another. A
streaming layer is estimated at one and a half times that. Every term of a formula belongs to one
thing that the accelerator does, so that the terms tell what a layer waits for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from max78k.chip import limits
from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import Placement
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import Network


@dataclass(frozen=True)
class Cycles:
    """What the cycles of one layer are spent on; their sum is the estimate.

    Attributes:
        kernels: every output value takes one cycle in each pass, whatever its kernel's size.
        reading: input words, one of each pass for every pixel.
        pooling: further words of the pooling windows.
        operands: further words of an element-wise operation's operands.
        padding: rows and columns of zeros, and the edges of rows.
        start_up: rows and columns that are read before the first output.
        writing: words that a pass-through layer moves.
        streaming: waiting for the layer before, in a layer that begins before its input is there.
        passes: in how many passes the input channels are read; every term grows with them.
        macs: multiply-accumulate operations.
    """

    kernels: int = 0
    reading: int = 0
    pooling: int = 0
    operands: int = 0
    padding: int = 0
    start_up: int = 0
    writing: int = 0
    streaming: int = 0
    passes: int = 1
    macs: int = 0

    @property
    def parts(self) -> dict[str, int]:
        """The terms by name; their sum is the estimate."""
        names = (field.name for field in fields(self) if field.name not in ("passes", "macs"))
        return {name: getattr(self, name) for name in names}

    @property
    def total(self) -> int:
        """Estimated CNN clock cycles."""
        return sum(self.parts.values())

    @property
    def bound(self) -> str:
        """What takes the most cycles, in words.

        Of a convolution that is "MACs" where most multipliers are at work in each cycle. Where few
        are, the layer would take as long with more input channels or a larger kernel: what it
        takes is the cycle that each output value costs, in one pass or in several.
        """
        counts = {name: count for name, count in self.parts.items() if name != "streaming"}
        text = _WORDS[max(counts, key=lambda name: counts[name])]
        passes = f"{self.passes} passes" if self.passes > 1 else ""
        if text == _WORDS["kernels"] and 2 * self.macs < self.kernels * _MULTIPLIERS:
            text, passes = passes or _WORDS["writing"], ""
        return ", ".join(filter(None, (text, passes, "streaming" if self.streaming else "")))


_MULTIPLIERS = limits.PROCESSORS * limits.COLUMN_BYTES
_WORDS = {
    "kernels": "MACs",
    "reading": "input reading",
    "pooling": "pooling",
    "operands": "operands",
    "padding": "padding",
    "start_up": "start-up",
    "writing": "output writing",
}


def layer_cycles(network: Network, placement: Placement) -> dict[str, int]:
    """Estimated CNN clock cycles of every layer, by name; the first one includes the start.

    Empty output slots and the time slots of a pass-through layer come from the placement.
    """
    return {name: spent.total for name, spent in cycle_parts(network, placement).items()}


def cycle_parts(network: Network, placement: Placement) -> dict[str, Cycles]:
    """What the estimated cycles of every layer are spent on, by name."""
    return {placed.layer.name: _cycles(placed) for placed in place(network, placement)}


def macs(network: Network) -> dict[str, int]:
    """Multiply-accumulate operations of every layer, by name."""
    return {shape.layer.name: _macs(shape) for shape in geometry(network)}


def _macs(shape: Geometry) -> int:
    weight = shape.layer.weight
    if weight is None:
        return 0
    return int(weight.size) * shape.out_values


def _cycles(placed: Placed) -> Cycles:
    """Cycles of one layer: filling the line buffer, then rows of input and of output words."""
    spent = _convolution(placed) if placed.geometry.convolves else _pass_through(placed)
    return replace(
        spent,
        start_up=spent.start_up + int(placed.geometry.index == 0),
        streaming=-(-spent.total // 2) if placed.geometry.streaming else 0,
        passes=placed.geometry.steps,
        macs=_macs(placed.geometry),
    )


@dataclass(frozen=True)
class _Words:
    """Cycles for one word of input: a pixel, the rest of its window, its other operands, a zero."""

    pixel: int
    window: int
    operands: int
    blank: int

    @property
    def all(self) -> int:
        """Cycles for what a convolution reads at one place."""
        return self.pixel + self.window + self.operands


def _words(shape: Geometry) -> _Words:
    passes, operands = shape.steps, shape.operands
    window = shape.pool_size[0] * shape.pool_size[1]
    if not shape.convolves and shape.out_passes > 1 and shape.pools:
        passes = 2 * passes - 1
    if shape.layer.pool_first:
        single, blank, word = 2 * operands, 2 * operands, operands * (window + 1)
    else:
        single, blank, word = operands + 1, 2, operands * window + 1
    return _Words(2 * passes, (word - single) * passes, (single - 2) * passes, blank * passes)


def _pass_through(placed: Placed) -> Cycles:
    shape, words = placed.geometry, _words(placed.geometry)
    pixels = shape.out_pixels
    passes = words.pixel // 2
    return Cycles(
        reading=pixels * words.pixel,
        pooling=pixels * words.window,
        operands=pixels * words.operands,
        writing=pixels * passes * placed.time_slots,
    )


def _convolution(placed: Placed) -> Cycles:
    shape, words = placed.geometry, _words(placed.geometry)
    rounds = 1 if shape.layer.pool_first else shape.steps
    zoom = 2 if shape.transposed else 1
    rows, columns = (1, 1) if shape.flattens else (zoom * n for n in shape.pooled)
    (kernel_rows, kernel_columns), (pad_rows, pad_columns) = shape.kernel, shape.padding
    lead_rows = kernel_rows - 1 - pad_rows  # read before the first row of output
    lead_columns = rounds * (kernel_columns - 1 - pad_columns)
    run = rounds * (shape.out_size[1] - pad_columns)
    edge = pad_columns * (words.blank + 1)
    full_rows = rows - lead_rows
    out_rows = full_rows + pad_rows
    places = full_rows * run
    plain_row = 2 * edge + rounds * columns * (words.all + 1)
    pad_row = 2 * edge + rounds * columns * (words.blank + 1)
    pad_columns_of_row = edge + words.blank * pad_columns
    last_rows = pad_rows * (lead_columns * (words.blank + 1) + run * words.blank)
    return Cycles(
        kernels=out_rows * _output_row(placed),
        reading=places * words.pixel,
        pooling=places * words.window,
        operands=places * words.operands,
        padding=_before_pooling(placed)
        + pad_rows * pad_row
        + out_rows * pad_columns_of_row
        + last_rows,
        start_up=int(shape.flattens and shape.steps > 16)
        + lead_rows * plain_row
        + full_rows * lead_columns * (words.all + 1),
    )


def _before_pooling(placed: Placed) -> int:
    """What the estimate adds at the edges where pooling follows several operands or passes.

    That it grows with the place of the kernels is the vendor's formula.
    """
    shape = placed.geometry
    if shape.layer.pool_first or (shape.steps == 1 and shape.operands == 1):
        return 0
    (rows, columns), (pad_rows, pad_columns) = shape.pooled, shape.padding
    at_columns = (rows + 2 * pad_rows - shape.kernel[1] + 1) * pad_columns
    at_rows = (columns + 2 * pad_columns - shape.kernel[0] + 1) * pad_rows
    return (at_columns + at_rows - pad_rows * pad_columns) * placed.kernel_column


def _output_row(placed: Placed) -> int:
    """Cycles in which the outputs of one row, empty slots included, are computed and written."""
    shape = placed.geometry
    channels = placed.kernel_count // shape.steps
    total = shape.steps * shape.out_size[1] * channels
    return total + channels if channels == 1 and shape.steps == 1 else total
