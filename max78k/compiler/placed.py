"""A layer together with its place: what registers, kernels and memory maps are computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.placement import MEMORY, LayerPlacement, Placement
from max78k.errors import InputError
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Layer, Network


@dataclass(frozen=True)
class Placed:
    """One layer with every address known.

    ``quadrants`` are those that the whole network uses; the first is the master. ``planar`` is
    True for CHW input. ``bias_quadrant`` is None where there is no bias. ``before`` are all earlier
    layers; ``feed`` is how the network's input comes in.
    """

    geometry: Geometry
    processors: int
    output_processors: int
    in_offset: int
    out_offset: int
    write_gap: int
    kernel_column: int
    bias_quadrant: int | None
    bias_start: int
    planar: bool
    quadrants: tuple[int, ...]
    average_rounds: bool
    before: tuple[Geometry, ...] = ()
    feed: str = MEMORY

    @property
    def layer(self) -> Layer:
        """The layer itself."""
        return self.geometry.layer

    @property
    def fed(self) -> bool:
        """True if FIFOs deliver the network's input."""
        return self.feed != MEMORY

    @property
    def lead(self) -> int:
        """Output slots left empty below the first output processor, 0-3.

        Slots are counted from byte lane 0 of the first output instance.
        """
        return bits.lowest(self.output_processors) % limits.PROCESSORS_PER_INSTANCE

    @property
    def slots(self) -> int:
        """Output slots of one pass from lane 0 of the first instance to the last processor."""
        first = bits.lowest(self.output_processors) - self.lead
        return 1 + bits.highest(self.output_processors) - first

    @property
    def kernel_count(self) -> int:
        """Kernels that one processor holds for this layer, empty leading slots included."""
        shape = self.geometry
        if not shape.convolves:
            return 0
        if shape.flattens:
            return (self.lead * shape.out_passes + shape.outputs) * shape.steps
        return self.slots * shape.out_passes * shape.in_passes

    @property
    def time_slots(self) -> int:
        """Turns in which a pass-through layer moves one word of each instance of a quadrant."""
        return max(
            -(-bits.count(bits.of_quadrant(self.processors, q)) // limits.PROCESSORS_PER_INSTANCE)
            for q in bits.quadrants(self.processors)
        )

    @property
    def words_read(self) -> int:
        """Words of the input in each of its data-memory instances."""
        shape = self.geometry
        if self.planar:
            return -(-shape.values // 4)
        return shape.pixels * shape.in_passes * shape.operands

    @property
    def lead_bytes(self) -> int:
        """Bytes in each instance that a folded layer writes before its first value."""
        shape = self.geometry
        pixel = shape.out_passes * (self.write_gap + 1) * shape.layer.output_width // 2
        return shape.lead_words * pixel

    @property
    def bias_late(self) -> int:
        """Entries by which the hardware reads the bias late: 1 in a streaming first layer."""
        return int(self.geometry.streaming and self.geometry.index == 0)

    def bias_entry(self, channel: int) -> int:
        """Entry of an output channel's bias, from the layer's first: one for every output slot."""
        shape = self.geometry
        if shape.flattens:
            return self.lead * shape.out_passes + channel
        out_pass, ordinal = divmod(channel, shape.out_processors)
        first = bits.lowest(self.output_processors) - self.lead
        slot = bits.members(self.output_processors)[ordinal] - first
        return self.bias_late + out_pass * self.slots + slot

    @property
    def bias_entries(self) -> int:
        """Bias entries up to the last channel's, empty ones included."""
        return self.bias_entry(self.geometry.outputs - 1) + 1

    @property
    def bias_room(self) -> int:
        """Bias entries that the hardware reads: also those of slots beyond the last channel."""
        if self.geometry.flattens:
            return self.bias_entries
        return self.bias_late + self.slots * self.geometry.out_passes


def has_bias(layer: Layer) -> bool:
    """True if the layer needs bias memory; a bias of zeros does not."""
    return layer.bias is not None and bool(np.any(layer.bias))


def place(network: Network, placement: Placement) -> tuple[Placed, ...]:
    """All layers with their places; raises InputError if the placement is incomplete."""
    shapes = geometry(network)
    rows = [_row(shape.layer, placement) for shape in shapes]
    used = 0
    for row in rows:
        used |= (row.processors or 0) | (row.output_processors or 0)
    quadrants = tuple(bits.quadrants(used))
    return tuple(
        replace(
            _placed(shape, row, placement, quadrants, network.average_rounds),
            before=shapes[: shape.index],
        )
        for shape, row in zip(shapes, rows, strict=True)
    )


def is_complete(network: Network, placement: Placement) -> bool:
    """True if the placement gives every address that the network needs."""
    empty = LayerPlacement()
    return not any(
        _missing(layer, placement.layers.get(layer.name, empty)) for layer in network.layers
    )


def _missing(layer: Layer, row: LayerPlacement) -> list[str]:
    """Names of the fields that the layer needs and the row does not give."""
    needed = ["processors", "output_processors", "in_offset", "out_offset"]
    needed += ["kernel_column"] if layer.weight is not None else []
    needed += ["bias_quadrant", "bias_start"] if has_bias(layer) else []
    return [name for name in needed if getattr(row, name) is None]


def _row(layer: Layer, placement: Placement) -> LayerPlacement:
    row = placement.layers.get(layer.name)
    if row is None:
        raise InputError("E-PLACEMENT-LAYER", f"layer {layer.name} has no placement.")
    missing = _missing(layer, row)
    if missing:
        raise InputError(
            "E-PLACEMENT-INCOMPLETE",
            f"the placement of layer {layer.name} does not give {', '.join(missing)}.",
            "let the allocator plan the missing parts.",
        )
    limit = 1 << limits.PROCESSORS
    if not (0 < (row.processors or 0) < limit and 0 < (row.output_processors or 0) < limit):
        raise InputError(
            "E-PLACEMENT-PROCESSORS",
            f"layer {layer.name}: a processor map is empty or has more than 64 bits.",
        )
    return row


def _placed(
    shape: Geometry,
    row: LayerPlacement,
    placement: Placement,
    quadrants: tuple[int, ...],
    average_rounds: bool,
) -> Placed:
    return Placed(
        geometry=shape,
        processors=row.processors or 0,
        output_processors=row.output_processors or 0,
        in_offset=row.in_offset or 0,
        out_offset=row.out_offset or 0,
        write_gap=row.write_gap,
        kernel_column=row.kernel_column or 0,
        bias_quadrant=row.bias_quadrant if has_bias(shape.layer) else None,
        bias_start=row.bias_start or 0,
        planar=placement.data_format == "CHW" and INPUT in shape.layer.inputs,
        quadrants=quadrants,
        average_rounds=average_rounds,
        feed=placement.feed,
    )
