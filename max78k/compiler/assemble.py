"""From a network and its placement to the Image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from max78k.chip import limits
from max78k.compiler import cycles, kernels, memory, placement_rules, program
from max78k.compiler.image import Image, KernelBlock, Write
from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import Placement
from max78k.network import reference
from max78k.network.network import Network


def assemble(network: Network, placement: Placement, sample_input: npt.NDArray[np.int8]) -> Image:
    """Everything that must be in the accelerator to run ``network``.

    Args:
        network: the integer network.
        placement: a complete placement, see :func:`max78k.compiler.allocate.plan`.
        sample_input: int8 [*network.input_shape], the input of the known-answer test.

    Raises:
        RuleError: the network or the placement breaks rules of the chip.
        InputError: the placement is incomplete, or the sample has another shape.
    """
    placement_rules.require(network, placement)
    layers = place(network, placement)
    by_name = {placed.layer.name: placed for placed in layers}
    runs = memory.output_runs(by_name[name] for name in network.outputs)
    sample = np.ascontiguousarray(sample_input, dtype=np.int8)
    expected = reference.outputs(network, sample[None])[0]
    return Image(
        name=network.name,
        quadrants=layers[0].quadrants,
        init=program.init_writes(layers),
        kernels=_kernel_blocks(layers),
        bias=bias_memory(layers),
        configure=program.configure_writes(layers),
        clear=_clear_writes(network, layers),
        start=program.start_writes(layers),
        input_runs=() if layers[0].fed else memory.all_input_runs(layers),
        fifo_runs=memory.fifo_runs(layers[0]) if layers[0].fed else (),
        output_runs=runs,
        sample_input=sample,
        expected=memory.expected_blocks(runs, expected),
        expected_output=expected,
        layer_cycles=cycles.layer_cycles(network, placement),
    )


def _kernel_blocks(layers: Sequence[Placed]) -> tuple[KernelBlock, ...]:
    """Kernel memory contents, in the order in which they are to be written.

    Columns of a layer's empty leading slots may hold another layer's kernels, which then end below
    the layer's own: the higher ones go first.
    """
    order = sorted(layers, key=lambda placed: -kernels.content_column(placed))
    return tuple(block for placed in order for block in kernels.kernel_blocks(placed))


def _clear_writes(network: Network, layers: Sequence[Placed]) -> tuple[Write, ...]:
    words = memory.buffer_words(network, layers)
    return tuple(Write(address, 0, f"buffer {name}") for address, name in words.items())


def bias_memory(layers: Sequence[Placed]) -> tuple[npt.NDArray[np.int8], ...]:
    """Bias entries of the four quadrants, each as long as the last entry that is read."""
    full = np.zeros((limits.QUADRANTS, limits.BIAS_BYTES_PER_QUADRANT), np.int8)
    length = [0] * limits.QUADRANTS
    for placed in layers:
        quadrant, bias = placed.bias_quadrant, placed.layer.bias
        if quadrant is None or bias is None:
            continue
        entries = [placed.bias_start + placed.bias_entry(m) for m in range(len(bias))]
        full[quadrant, entries] = bias
        length[quadrant] = max(length[quadrant], placed.bias_start + placed.bias_room)
    return tuple(full[quadrant, :stop] for quadrant, stop in enumerate(length))
