"""Estimated duration of a run, in cycles of the CNN clock.

The formulas are the vendor's public estimate (ai8x-synthesis, ``latency.py``).
"""

from __future__ import annotations

from max78k.simulator.accelerator.layer import Layer

STARTUP = 1


def layer_cycles(layer: Layer) -> int:
    """Cycles of one layer, from its registers."""
    if not layer.possible:
        return 0
    total = _pass_through(layer) if layer.kernel is None else _convolution(layer)
    return (3 * total + 1) // 2 if layer.rollover else total  # a rough figure where data stream in


def _pools_first(layer: Layer) -> bool:
    """The register bit says so only where there is both pooling and more than one operand."""
    return layer.pool_first or layer.operands == 1 or not layer.pools


def _pass_through(layer: Layer) -> int:
    passes = layer.passes
    if layer.output_passes > 1 and layer.pools:
        passes = 2 * passes - 1
    window = layer.pool[0] * layer.pool[1]
    if _pools_first(layer):
        data = passes * layer.operands * (window + 1)
    else:
        data = passes * (layer.operands * window + 1)
    rows, columns = layer.pooled
    return rows * columns * (data + passes * layer.time_slots)


def _convolution(layer: Layer) -> int:
    assert layer.kernel is not None
    kr, kc = layer.kernel
    pr, pc = layer.pad
    rows, columns = layer.pooled
    if layer.transposed:
        rows, columns = 2 * rows, 2 * columns
    width = layer.output_size[1]
    window = layer.pool[0] * layer.pool[1]
    passes, operands = layer.passes, layer.operands
    before = 0
    if _pools_first(layer):
        idle, data, repeats = passes * operands * 2, passes * operands * (window + 1), 1
    else:
        idle, data, repeats = passes * 2, passes * (operands * window + 1), passes
        border = (rows + 2 * pr - kc + 1) * pc + (columns + 2 * pc - kr + 1) * pr - pr * pc
        before = border * layer.kernel_column

    def line(step: int) -> int:
        """Reading one line of the input that leads to a line of output."""
        edge = pc * (idle + 1) + idle * pc
        return edge + repeats * ((kc - 1 - pc) * (step + 1) + (width - pc) * step)

    pad_line = 2 * pc * (idle + 1) + repeats * columns * (idle + 1)
    fill_line = 2 * pc * (idle + 1) + repeats * columns * (data + 1)
    output_line = layer.kernels * width
    if layer.outputs == 1 and passes == 1:
        output_line += 1
    fill = kr - 1 - pr  # lines to take in before the first line of output
    return (
        int(layer.flatten)
        + before
        + pr * (pad_line + line(idle) + output_line)
        + fill * fill_line
        + (rows - fill) * (line(data) + output_line)
    )
