"""Where each layer lives on the chip: processors, data memory, kernel columns, bias."""

from __future__ import annotations

from dataclasses import dataclass

MEMORY = "memory"
FIFO = "fifo"
FAST_FIFO = "fast-fifo"


@dataclass(frozen=True)
class LayerPlacement:
    """Addresses of one layer; None means "not given" in a request and never in a finished plan.

    Attributes:
        processors: 64-bit map of the processors that read the input.
        output_processors: 64-bit map of the processors whose data memory receives the output.
        in_offset: byte offset of the input inside each data-memory instance.
        out_offset: byte offset of the output inside each data-memory instance.
        kernel_column: first 72-bit column of the kernels, the same in all processors.
        bias_quadrant: quadrant whose bias memory holds the bias; None in a plan: no bias.
        bias_quadrants: in a request, the quadrants among which the plan chooses; empty: all used.
        bias_start: first entry in that memory.
        write_gap: words left free between two output words.
    """

    processors: int | None = None
    output_processors: int | None = None
    in_offset: int | None = None
    out_offset: int | None = None
    kernel_column: int | None = None
    bias_quadrant: int | None = None
    bias_start: int | None = None
    write_gap: int = 0
    bias_quadrants: tuple[int, ...] = ()


@dataclass(frozen=True)
class Placement:
    """Placement of a whole network, by layer name.

    ``feed`` says how the network's input comes in: MEMORY (written to data memory before a run),
    FIFO (the processor writes it to the input FIFOs during the run), or FAST_FIFO (the same from
    the RISC-V core).
    ``data_format`` of the network input is "HWC" (four channels to a word) or "CHW" (four pixels of
    one channel to a word).
    """

    layers: dict[str, LayerPlacement]
    data_format: str = "HWC"
    feed: str = MEMORY

    @property
    def is_open(self) -> bool:
        """True if no address of any layer is given."""
        return all(row == LayerPlacement() for row in self.layers.values())
