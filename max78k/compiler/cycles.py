"""Accelerator cycles and multiply-accumulate operations of each layer.

The cycle formulas are the vendor's published estimate for layers that run one after another.
"""

from __future__ import annotations

from max78k.chip import limits
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import Network


def layer_cycles(network: Network) -> dict[str, int]:
    """Estimated CNN clock cycles of every layer, by name; the first one includes the start."""
    result = {shape.layer.name: _cycles(shape) for shape in geometry(network)}
    result[network.layers[0].name] += 1
    return result


def macs(network: Network) -> dict[str, int]:
    """Multiply-accumulate operations of every layer, by name."""
    return {shape.layer.name: _macs(shape) for shape in geometry(network)}


def _macs(shape: Geometry) -> int:
    weight = shape.layer.weight
    if weight is None:
        return 0
    return int(weight.size) * shape.out_pixels


def _cycles(shape: Geometry) -> int:
    """Cycles of one layer: filling the line buffer, then rows of input and of output words."""
    operands, passes = shape.operands, shape.steps
    window = shape.pool_size[0] * shape.pool_size[1]
    if not shape.convolves and shape.out_passes > 1 and shape.pools:
        passes = 2 * passes - 1
    if shape.layer.pool_first:
        blank, word, rounds = passes * operands * 2, passes * operands * (window + 1), 1
    else:
        blank, word, rounds = passes * 2, passes * (operands * window + 1), passes
    if not shape.convolves:
        slots = -(-min(shape.in_processors, limits.PROCESSORS_PER_QUADRANT) // 4)
        return shape.out_pixels * (word + passes * slots)
    zoom = 2 if shape.transposed else 1
    rows, columns = (1, 1) if shape.flattens else (zoom * n for n in shape.pooled)
    kernel_rows, kernel_columns = shape.kernel
    pad_rows, pad_columns = shape.padding
    edges = pad_columns * (blank + 1)
    pad_row = 2 * edges + rounds * columns * (blank + 1)
    plain_row = 2 * edges + rounds * columns * (word + 1)
    out_row = _output_row(shape)

    def kernel_row(cost: int) -> int:
        fill = rounds * (kernel_columns - 1 - pad_columns) * (cost + 1)
        run = rounds * (shape.out_size[1] - pad_columns) * cost
        return edges + fill + run + blank * pad_columns + out_row

    lead_rows = kernel_rows - 1 - pad_rows
    return (
        int(shape.flattens and shape.steps > 16)
        + pad_rows * pad_row
        + lead_rows * plain_row
        + (rows - lead_rows) * kernel_row(word)
        + pad_rows * kernel_row(blank)
    )


def _output_row(shape: Geometry) -> int:
    """Cycles in which the outputs of one row are computed and written."""
    channels = shape.outputs if shape.flattens else shape.out_processors * shape.out_passes
    total = shape.steps * shape.out_size[1] * channels
    return total + channels if channels == 1 and shape.steps == 1 else total
