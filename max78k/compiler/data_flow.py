"""Follows every value through data memory: is what a layer reads still what it should read?

Each byte of the 16 instances is marked with the value that it holds. The layers run in order:
one checks that its inputs lie where it reads them, then its output words are marked. A word that
a layer writes counts as lost in all four lanes, because the hardware's treatment of unused lanes
is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses, limits
from max78k.compiler import bits, memory
from max78k.compiler.image import InputRun
from max78k.compiler.memory import LANES, Channel
from max78k.compiler.placed import Placed
from max78k.compiler.read_order import read_times, write_times
from max78k.errors import Max78kError
from max78k.network.network import INPUT, Network

_UNKNOWN = -1
_BYTES = limits.INSTANCE_BYTES
FLOW = ("E-RULE-DATA-FLOW", "What a layer reads was written there and not written over since.")
OVERLAP = ("E-RULE-DATA-OVERLAP", "A layer does not write over input that it has still to read.")
IdArray = npt.NDArray[np.int64]


def check(network: Network, layers: Sequence[Placed]) -> list[Max78kError]:
    """Every layer input and network output that is not where it is read, or no longer."""
    return _Run(network, layers).problems()


class _Run:
    def __init__(self, network: Network, layers: Sequence[Placed]) -> None:
        self.network = network
        self.layers = layers
        self.marks = np.full((limits.INSTANCES, limits.INSTANCE_WORDS, LANES), _UNKNOWN, np.int64)
        self.sizes = {INPUT: (network.input_shape[0], int(np.prod(network.input_shape[1:])))}
        for placed in layers:
            shape = placed.geometry
            self.sizes[placed.layer.name] = (shape.outputs, shape.out_values)
        for buffer in network.buffers:
            self.sizes[buffer.name] = (buffer.shape[0], int(np.prod(buffer.shape[1:])))
        self.first: dict[str, int] = {}
        total = 0
        for name, (channels, pixels) in self.sizes.items():
            self.first[name] = total
            total += channels * pixels

    def problems(self) -> list[Max78kError]:
        buffers = memory.buffer_channels(self.network, self.layers)
        for name, channels in buffers.items():
            self._mark(channels, name)
        if not self.layers[0].geometry.streaming:
            for run in memory.all_input_runs(self.layers):
                self._load(run)
        found: list[Max78kError] = []
        for placed in self.layers:
            if not placed.geometry.streaming:
                found += self._read(placed)
            if not placed.geometry.streams_out:
                found += self._write(placed)
        for name, channels in buffers.items():  # as the next inference reads them
            found += self._compare(channels, [name], f"the next inference's buffer {name}")
        by_name = {placed.layer.name: placed for placed in self.layers}
        for name in self.network.outputs:
            channels = memory.output_channels(by_name[name])
            found += self._compare(channels, [name], f"output {name}")
        return found

    def _load(self, run: InputRun) -> None:
        """Mark the words of the network's input that a run writes, all lanes of them."""
        places = [addresses.data_memory(n) for n in range(limits.INSTANCES)]
        instance = next(n for n, at in enumerate(places) if at <= run.address < at + _BYTES)
        first, values = (run.address - places[instance]) // 4, np.arange(run.pixels)
        if run.planar:
            words = first + values // 4
            self.marks[instance, words] = _UNKNOWN
            self.marks[instance, words, values % 4] = self._ids(INPUT, run.channel)
            return
        words = first + run.step * values
        self.marks[instance, words] = _UNKNOWN
        for number in range(run.channels):
            ids = self._ids(INPUT, run.channel + number)
            self.marks[instance, words, run.lane + number] = ids

    def _ids(self, name: str, channel: int) -> IdArray:
        pixels = self.sizes[name][1]
        return self.first[name] + channel * pixels + np.arange(pixels)

    def _mark(self, channels: list[Channel], name: str, first: int = 0) -> None:
        """Mark channels as those of ``name``, from value ``first`` on."""
        for number, channel in enumerate(channels[: self.sizes[name][0]]):
            words, lanes = _bytes(channel)
            ids = self._ids(name, number)[first : first + channel.count]
            self.marks[channel.instance, words, lanes] = ids[:, None] if lanes.ndim > 1 else ids

    def _read(self, placed: Placed) -> list[Max78kError]:
        layer = placed.layer
        reader = f"layer {layer.name}"
        if layer.eltwise is None:
            channels = memory.input_channels(placed)
            first, skipped = placed.geometry.first_channel, placed.geometry.skipped
            return self._compare(channels, layer.inputs, reader, first, skipped)
        found = []
        for operand, (name, first) in enumerate(_operands(placed)):
            channels = memory.input_channels(placed, operand)
            first += placed.geometry.first_channel
            found += self._compare(channels, [name], reader, first, placed.geometry.skipped)
        return found

    def _compare(
        self,
        channels: list[Channel],
        names: Sequence[str],
        reader: str,
        first: int = 0,
        skipped: int = 0,
    ) -> list[Max78kError]:
        parts = [(name, number) for name in names for number in range(self.sizes[name][0])]
        parts = parts[first : first + len(channels)]
        for channel, (name, number) in zip(channels, parts, strict=True):
            words, lanes = _bytes(channel)
            held = self.marks[channel.instance, words, lanes]
            ids = self._ids(name, number)[skipped : skipped + channel.count]
            if held.shape[0] == len(ids) and not np.any(held.reshape(len(ids), -1) != ids[:, None]):
                continue
            place = f"instance {channel.instance}, byte offset {4 * channel.word}"
            return [
                Max78kError(
                    FLOW[0],
                    f"{reader} reads channel {number} of {name} at {place}, where it was never "
                    "written or is written over before.",
                    "other offsets, processors or write gaps.",
                )
            ]
        return []

    def _write(self, placed: Placed) -> list[Max78kError]:
        found: list[Max78kError] = []
        source = {} if placed.geometry.streaming else _words_read(placed)
        for instance, words in _words_written(placed).items():
            if instance in source and _overtakes(placed, words - source[instance][0]):
                found = [
                    Max78kError(
                        OVERLAP[0],
                        f"layer {placed.layer.name} writes over input that it has still to read "
                        f"in data-memory instance {instance} (in_offset {placed.in_offset}, "
                        f"out_offset {placed.out_offset}).",
                        "an out_offset outside the input.",
                    )
                ]
            self.marks[instance, words] = _UNKNOWN
        before = placed.layer.buffer_row * placed.geometry.out_size[1]
        self._mark(memory.output_channels(placed), placed.layer.target, before)
        return found


def _operands(placed: Placed) -> list[tuple[str, int]]:
    """Producer and first channel of every operand."""
    layer, channels = placed.layer, placed.geometry.channels
    return [(name, part * channels) for name in layer.inputs for part in range(layer.split)]


def _bytes(channel: Channel) -> tuple[IdArray, IdArray]:
    """Word and lane of every value; for 32-bit values all four lanes."""
    values = np.arange(channel.count)
    if channel.planar:
        return channel.word + values // 4, values % 4
    words = channel.word + channel.step * values
    if channel.width == 32:
        return words[:, None], np.arange(LANES)[None, :]
    return words, np.full(channel.count, channel.lane)


def _overtakes(placed: Placed, words: IdArray) -> bool:
    """True if an output word, counted from the input's first, is written before it is read."""
    read = read_times(placed)
    hits = np.flatnonzero((words >= 0) & (words < len(read)))
    written = np.repeat(write_times(placed), len(words) // len(write_times(placed)))
    return bool(np.any(read[words[hits]] > written[hits]))


def _words_read(placed: Placed) -> dict[int, IdArray]:
    span = placed.in_offset // 4 + np.arange(placed.words_read)
    return dict.fromkeys(bits.instances(placed.processors), span)


def _words_written(placed: Placed) -> dict[int, IdArray]:
    """All words that the layer writes, those of unused slots included."""
    shape = placed.geometry
    width = placed.layer.output_width // 8
    step = (placed.write_gap + 1) * width
    starts = np.arange(shape.out_pixels * shape.out_passes) * step
    first = (placed.out_offset - placed.lead_bytes) // 4
    span = (first + starts[:, None] + np.arange(width)[None, :]).reshape(-1)
    used = bits.instances(placed.output_processors)
    if shape.convolves:
        used = list(range(used[0], used[-1] + 1))
    return dict.fromkeys(used, span)
