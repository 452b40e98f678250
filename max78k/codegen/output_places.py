"""Which layer and channel each part of the output belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from max78k.compiler.image import Image, MemoryBlock, OutputRun
from max78k.network import Network
from max78k.network.shapes import infer

_ALL = 0xFFFF_FFFF


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

    def position_text(self, position: int) -> str:
        """Value ``position`` of the channel, in the words of the known-answer test on the chip."""
        place = f"layer {self.index} ({self.layer}), channel {self.channel}"
        row, column = divmod(position, self.columns)
        return f"{place}, row {row}, column {column}"


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


def value_text(image: Image, places: Sequence[OutputPlace], number: int) -> str:
    """Layer, channel and position of value ``number`` of the output."""
    for place, run in zip(places, image.output_runs, strict=True):
        if number < run.count:
            return place.position_text(number)
        number -= run.count
    raise IndexError("the output has fewer values")


def word_text(image: Image, places: Sequence[OutputPlace], address: int, wrong: int) -> str:
    """The first value of which bits ``wrong`` of the word at ``address`` hold a part.

    Layer, channel and position; empty where the word holds no output.
    """
    found = []
    for place, run in zip(places, image.output_runs, strict=True):
        position, rest = divmod(address - run.address, 4 * run.step)
        lane = _ALL if run.width == 32 else 0xFF << 8 * run.lane
        if not rest and 0 <= position < run.count and wrong & lane:
            found.append((place.index, place.channel, place.position_text(position)))
    return min(found)[2] if found else ""


def _meets(run: OutputRun, block: MemoryBlock) -> bool:
    """Whether a value of ``run`` lies in ``block`` and under its mask."""
    lane = _ALL if run.width == 32 else 0xFF << 8 * run.lane
    step = 4 * run.step
    first = max(0, -(-(block.address - run.address) // step))
    inside = run.address + first * step < block.address + 4 * len(block.words)
    return first < run.count and inside and bool(block.mask & lane)
