"""Accelerator cycles and multiply-accumulate operations of each layer.

The cycle formulas are the vendor's published estimate for layers that run one after another. A
streaming layer is estimated at one and a half times that.
"""

from __future__ import annotations

from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import Placement
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import Network


def layer_cycles(network: Network, placement: Placement) -> dict[str, int]:
    """Estimated CNN clock cycles of every layer, by name; the first one includes the start.

    Empty output slots and the time slots of a pass-through layer come from the placement.
    """
    result = {}
    for placed in place(network, placement):
        total = _cycles(placed)
        result[placed.layer.name] = -(-3 * total // 2) if placed.geometry.streaming else total
    result[network.layers[0].name] += 1
    return result


def macs(network: Network) -> dict[str, int]:
    """Multiply-accumulate operations of every layer, by name."""
    return {shape.layer.name: _macs(shape) for shape in geometry(network)}


def _macs(shape: Geometry) -> int:
    weight = shape.layer.weight
    if weight is None:
        return 0
    return int(weight.size) * shape.out_values


def _cycles(placed: Placed) -> int:
    """Cycles of one layer: filling the line buffer, then rows of input and of output words."""
    shape = placed.geometry
    operands, passes = shape.operands, shape.steps
    window = shape.pool_size[0] * shape.pool_size[1]
    if not shape.convolves and shape.out_passes > 1 and shape.pools:
        passes = 2 * passes - 1
    if shape.layer.pool_first:
        blank, word, rounds = passes * operands * 2, passes * operands * (window + 1), 1
    else:
        blank, word, rounds = passes * 2, passes * (operands * window + 1), passes
    if not shape.convolves:
        return shape.out_pixels * (word + passes * placed.time_slots)
    zoom = 2 if shape.transposed else 1
    rows, columns = (1, 1) if shape.flattens else (zoom * n for n in shape.pooled)
    kernel_rows, kernel_columns = shape.kernel
    pad_rows, pad_columns = shape.padding
    edges = pad_columns * (blank + 1)
    pad_row = 2 * edges + rounds * columns * (blank + 1)
    plain_row = 2 * edges + rounds * columns * (word + 1)
    out_row = _output_row(placed)

    def kernel_row(cost: int) -> int:
        fill = rounds * (kernel_columns - 1 - pad_columns) * (cost + 1)
        run = rounds * (shape.out_size[1] - pad_columns) * cost
        return edges + fill + run + blank * pad_columns + out_row

    lead_rows = kernel_rows - 1 - pad_rows
    return (
        int(shape.flattens and shape.steps > 16)
        + _before_pooling(placed)
        + pad_rows * pad_row
        + lead_rows * plain_row
        + (rows - lead_rows) * kernel_row(word)
        + pad_rows * kernel_row(blank)
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
