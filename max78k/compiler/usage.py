"""How much of the chip's memories a network takes, and where: for the check and its picture."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import limits
from max78k.compiler import bits, kernels, memory
from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import Placement
from max78k.network.network import Network


@dataclass(frozen=True)
class DataSpan:
    """Bytes that one layer's input or output takes in one data-memory instance."""

    layer: str
    instance: int
    first: int
    size: int
    kind: str  # "input" or "output"


@dataclass(frozen=True)
class KernelSpan:
    """Kernel columns of one layer, the same in all ``processors`` (a 64-bit map)."""

    layer: str
    processors: int
    first: int
    columns: int


@dataclass(frozen=True)
class Usage:
    """Memory use of a placed network.

    Attributes:
        layers: number of layers.
        weight_bytes: bytes of weights at their widths, without padding.
        kernel_columns: used 72-bit columns of each of the 64 processors.
        kernel_end: one past the highest used column of any processor.
        bias_bytes: used bias entries of each of the four quadrants.
        kernel_spans: columns by layer.
        data_spans: data memory by layer, instance and kind.
    """

    layers: int
    weight_bytes: int
    kernel_columns: tuple[int, ...]
    kernel_end: int
    bias_bytes: tuple[int, ...]
    kernel_spans: tuple[KernelSpan, ...]
    data_spans: tuple[DataSpan, ...]

    @property
    def data_bytes(self) -> int:
        """Highest number of bytes used in one data-memory instance, from offset 0."""
        return max(span.first + span.size for span in self.data_spans)

    def limits(self) -> tuple[tuple[str, int, int], ...]:
        """(what, used, available) for every limited resource."""
        return (
            ("layers", self.layers, limits.LAYERS),
            ("weight bytes", self.weight_bytes, limits.KERNEL_BYTES),
            ("kernel columns of a processor", self.kernel_end, limits.KERNEL_COLUMNS),
            ("bias entries", sum(self.bias_bytes), limits.BIAS_BYTES),
            ("bias entries of a quadrant", max(self.bias_bytes), limits.BIAS_BYTES_PER_QUADRANT),
            ("data bytes of an instance", self.data_bytes, limits.INSTANCE_BYTES),
        )


def usage(network: Network, placement: Placement) -> Usage:
    """Memory use of ``network`` under a complete ``placement``."""
    layers = place(network, placement)
    spans = tuple(
        KernelSpan(
            placed.layer.name,
            placed.processors,
            placed.kernel_column,
            kernels.layer_columns(placed),
        )
        for placed in layers
        if placed.geometry.convolves
    )
    columns = [0] * limits.PROCESSORS
    for span in spans:
        for processor in bits.members(span.processors):
            columns[processor] += span.columns
    entries = [0] * limits.QUADRANTS
    for placed in layers:
        if placed.bias_quadrant is not None:
            entries[placed.bias_quadrant] += placed.bias_entries
    return Usage(
        layers=len(layers),
        weight_bytes=network.weight_bytes,
        kernel_columns=tuple(columns),
        kernel_end=max((span.first + span.columns for span in spans), default=0),
        bias_bytes=tuple(entries),
        kernel_spans=spans,
        data_spans=tuple(span for placed in layers for span in _data_spans(placed)),
    )


def _data_spans(placed: Placed) -> list[DataSpan]:
    taken = (
        ("input", placed.processors, memory.input_span(placed)),
        ("output", placed.output_processors, memory.output_span(placed)),
    )
    return [
        DataSpan(placed.layer.name, instance, start, stop - start, kind)
        for kind, processors, (start, stop) in taken
        for instance in bits.instances(processors)
        if stop > start
    ]
