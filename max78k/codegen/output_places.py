"""Which layer and channel each part of the output belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from max78k.compiler.image import Image, MemoryBlock, OutputRun
from max78k.network import Network
from max78k.network.shapes import infer


@dataclass(frozen=True)
class OutputPlace:
    """What one output run reads.

    Attributes:
        index: number of the layer in execution order.
        layer: its name.
        channel: number of the output channel.
        columns: values to a row of the channel; 1 for vectors and 1-D data.
    """

    index: int
    layer: str
    channel: int
    columns: int

    def text(self) -> str:
        """As it stands in comments."""
        return f"{self.layer}, channel {self.channel}"


def output_places(network: Network) -> tuple[OutputPlace, ...]:
    """The place of every channel of the output, in the order of ``Image.output_runs``."""
    order = {layer.name: index for index, layer in enumerate(network.layers)}
    shapes = infer(network)
    return tuple(
        OutputPlace(order[name], name, channel, shape[2] if len(shape) == 3 else 1)
        for name in network.outputs
        for shape in (shapes[name].output,)
        for channel in range(shape[0])
    )


def block_text(image: Image, places: Sequence[OutputPlace], block: MemoryBlock) -> str:
    """Layers and channels of which ``block`` holds values; empty where ``places`` is."""
    channels: dict[str, list[int]] = {}
    for place, run in zip(places, image.output_runs, strict=False):
        if _meets(run, block):
            channels.setdefault(place.layer, []).append(place.channel)
    parts = []
    for layer, found in channels.items():
        many = f"channels {found[0]} to {found[-1]}" if len(found) > 1 else f"channel {found[0]}"
        parts.append(f"{layer}, {many}")
    return "; ".join(parts)


def _meets(run: OutputRun, block: MemoryBlock) -> bool:
    """Whether a value of ``run`` lies in ``block`` and under its mask."""
    lane = 0xFFFF_FFFF if run.width == 32 else 0xFF << 8 * run.lane
    step = 4 * run.step
    first = max(0, -(-(block.address - run.address) // step))
    inside = run.address + first * step < block.address + 4 * len(block.words)
    return first < run.count and inside and bool(block.mask & lane)
