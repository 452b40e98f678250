"""Data memory: which word holds which value of a layer's input and output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.compiler import bits, streaming
from max78k.compiler.image import InputRun, MemoryBlock, OutputRun
from max78k.compiler.placed import Placed
from max78k.compiler.placement import FAST_FIFO
from max78k.network.network import INPUT, Network

LANES = limits.PROCESSORS_PER_INSTANCE


@dataclass(frozen=True)
class Channel:
    """Where one channel lies: value p is at ``word + step * p`` of ``instance``, in byte ``lane``.

    For 32-bit values ``lane`` is 0 and ``width`` is 32. For CHW data four values share a word:
    value p is byte p % 4 of word ``word + p // 4``.
    """

    instance: int
    word: int
    lane: int
    step: int
    count: int
    width: int = 8
    planar: bool = False

    def words(self) -> npt.NDArray[np.int64]:
        """Numbers of the words that the channel takes inside its instance."""
        if self.planar:
            return self.word + np.arange(-(-self.count // 4))
        return self.word + self.step * np.arange(self.count)


def input_channels(placed: Placed, operand: int = 0) -> list[Channel]:
    """Where a layer reads the channels of one operand (of all inputs, if they are concatenated)."""
    shape = placed.geometry
    members = bits.members(placed.processors)
    base = placed.in_offset // 4
    result = []
    for channel in range(shape.channels):
        in_pass, ordinal = divmod(channel, shape.in_processors)
        instance, lane = divmod(members[ordinal], LANES)
        if placed.planar:
            result.append(Channel(instance, base, 0, 1, shape.values, planar=True))
            continue
        word = base + in_pass * shape.operands + operand
        step = shape.in_passes * shape.operands
        result.append(Channel(instance, word, lane, step, shape.values))
    return result


def loaded_channels(placed: Placed, operand: int = 0) -> list[Channel]:
    """The same as the network's input is loaded: with the values that the layer leaves out."""
    shape = placed.geometry
    result = []
    for channel in input_channels(placed, operand):
        before = shape.skipped // 4 if placed.planar else channel.step * shape.skipped
        result.append(replace(channel, word=channel.word - before, count=shape.whole_values))
    return result


def output_channels(placed: Placed) -> list[Channel]:
    """Where a layer writes its output channels."""
    shape, gap = placed.geometry, placed.write_gap + 1
    members = bits.members(placed.output_processors)
    base = placed.out_offset // 4
    wide = placed.layer.output_width == 32
    result = []
    for channel in range(shape.outputs):
        out_pass, ordinal = divmod(channel, shape.out_processors)
        instance, lane = divmod(members[ordinal], LANES)
        if wide:
            word, step = base + out_pass * 4 * gap + lane, shape.out_passes * 4 * gap
            result.append(Channel(instance, word, 0, step, shape.out_values, 32))
        else:
            word, step = base + out_pass * gap, shape.out_passes * gap
            result.append(Channel(instance, word, lane, step, shape.out_values))
    return result


def buffer_channels(network: Network, layers: Iterable[Placed]) -> dict[str, list[Channel]]:
    """Where the channels of every buffer lie: around what its first writer writes."""
    result: dict[str, list[Channel]] = {}
    sizes = {buffer.name: math.prod(buffer.shape[1:]) for buffer in network.buffers}
    for placed in layers:
        name, shape = placed.layer.buffer, placed.geometry
        if name is None or name in result:
            continue
        before = placed.layer.buffer_row * shape.out_size[1]
        result[name] = [
            replace(channel, word=channel.word - channel.step * before, count=sizes[name])
            for channel in output_channels(placed)
        ]
    return result


def buffer_words(network: Network, layers: Iterable[Placed]) -> dict[int, str]:
    """Name of the buffer at every word that one takes, by address in ascending order."""
    words = {
        addresses.data_memory(channel.instance) + 4 * word: name
        for name, channels in buffer_channels(network, layers).items()
        for channel in channels
        for word in channel.words().tolist()
    }
    return dict(sorted(words.items()))


def input_span(placed: Placed) -> tuple[int, int]:
    """First byte of the input in its data-memory instances and the one after its last.

    Of a streaming layer that is its rolling buffer.
    """
    found = streaming.stream(placed) if placed.geometry.streaming else None
    words = found.buffer if found else placed.words_read
    return placed.in_offset, placed.in_offset + 4 * words


def output_span(placed: Placed) -> tuple[int, int]:
    """The same of the output; nothing where it streams into the next layer's buffer."""
    shape, width = placed.geometry, placed.layer.output_width // 8
    if shape.streams_out:
        return placed.out_offset, placed.out_offset
    first = placed.out_offset - placed.lead_bytes
    words = (shape.out_pixels * shape.out_passes - 1) * (placed.write_gap + 1) * width + width
    return first, first + 4 * words


def input_runs(placed: Placed) -> tuple[InputRun, ...]:
    """How the network's input gets to where ``placed`` reads it.

    A run may have no channels: its words are read in a last pass that has fewer channels, with
    weights of zero, or behind the last value of a folded layer, and are set to 0.
    """
    shape = placed.geometry
    if placed.planar:
        return tuple(
            InputRun(_address(channel), shape.first_channel + number, 1, 0, 1, channel.count, True)
            for number, channel in enumerate(loaded_channels(placed))
        )
    members = bits.members(placed.processors)
    step = shape.in_passes * shape.operands
    runs = []
    for in_pass in range(shape.in_passes):
        for instance in bits.instances(placed.processors):
            own = [n for n, p in enumerate(members) if p // LANES == instance]
            first = in_pass * shape.in_processors + own[0]
            present = max(0, min(len(own), shape.channels - first))
            word = placed.in_offset // 4 - shape.skipped_words + in_pass * shape.operands
            address = addresses.data_memory(instance) + 4 * word
            lane = members[own[0]] % LANES
            runs += [
                InputRun(
                    address + 4 * operand,
                    shape.first_channel
                    + operand % shape.layer.split * shape.channels
                    + min(first, shape.channels),
                    present,
                    lane,
                    step,
                    shape.whole_values,
                )
                for operand in range(shape.operands)
                if shape.layer.inputs[operand // shape.layer.split] == INPUT
            ]
    end = shape.skipped + shape.pixels
    return (*runs, *(_rest(run, end) for run in runs if end > run.pixels))


def all_input_runs(layers: Sequence[Placed]) -> tuple[InputRun, ...]:
    """Runs of all layers that read the network's input, each place once.

    Layers that read different channels of the same words share one run. Before them come words
    that are set to 0: a placement by hand may have input there.
    """
    tails = dict.fromkeys(run for placed in layers for run in tail_runs(placed))
    runs: dict[tuple[int, int, int, bool, int], InputRun] = {}
    for placed in layers:
        if INPUT not in placed.layer.inputs:
            continue
        for run in input_runs(placed):
            key = (run.address, run.step, run.pixels, run.planar, run.channel - run.lane)
            runs[key] = _merged(runs[key], run) if key in runs else run
    return (*tails, *runs.values())


def _merged(first: InputRun, second: InputRun) -> InputRun:
    """One run with the channels of two that differ in these alone."""
    lane = min(first.lane, second.lane)
    end = max(first.lane + first.channels, second.lane + second.channels)
    return replace(first, channel=first.channel - first.lane + lane, lane=lane, channels=end - lane)


def _rest(run: InputRun, pixels: int) -> InputRun:
    """The words behind a run, up to ``pixels``, which a folded layer reads as well."""
    address = run.address + 4 * run.step * run.pixels
    return replace(run, address=address, channels=0, pixels=pixels - run.pixels)


def tail_runs(placed: Placed) -> list[InputRun]:
    """The words behind the input of a folded layer that reads another one's output, set to 0.

    What is read there counts for no output, but nobody else writes it.
    """
    shape = placed.geometry
    count = (shape.pixels - shape.values) * shape.in_passes
    if not shape.folded or INPUT in shape.layer.inputs or not count:
        return []
    first = placed.in_offset + 4 * shape.values * shape.in_passes
    return [
        InputRun(addresses.data_memory(instance) + first, 0, 0, 0, 1, count)
        for instance in bits.instances(placed.processors)
    ]


def fifo_runs(placed: Placed) -> tuple[InputRun, ...]:
    """What the FIFOs deliver to the first layer: one run for each quadrant with input channels."""
    runs = sorted(input_runs(placed), key=lambda run: run.address)
    ports: list[int] = []
    for quadrant in bits.quadrants(placed.processors):
        offset = cr.FIFO_DATA[quadrant].offset
        fast = placed.feed == FAST_FIFO
        ports.append(addresses.FAST_FIFO_DATA if fast else addresses.CNN_FIFO + offset)
    return tuple(replace(run, address=port, step=0) for run, port in zip(runs, ports, strict=True))


def fifo_words(
    runs: Sequence[InputRun], data: npt.NDArray[np.int8]
) -> list[tuple[int, npt.NDArray[np.uint32]]]:
    """Data register and words, in order, of every FIFO run for an int8 input."""
    flat = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    pack = {True: _planar_words, False: _interleaved_words}
    return [(run.address, pack[run.planar](run, flat)) for run in runs]


def _address(channel: Channel) -> int:
    return addresses.data_memory(channel.instance) + 4 * channel.word


def output_runs(layers: Iterable[Placed]) -> tuple[OutputRun, ...]:
    """How the outputs of ``layers`` are read back, one run per channel."""
    return tuple(
        OutputRun(
            _address(channel),
            channel.lane,
            channel.step,
            channel.count,
            channel.width,
        )
        for placed in layers
        for channel in output_channels(placed)
    )


def input_words(runs: Sequence[InputRun], data: npt.NDArray[np.int8]) -> dict[int, int]:
    """Memory words, by address, that the runs make of an int8 input."""
    flat = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    words: dict[int, int] = {}
    for run in runs:
        values = _planar_words(run, flat) if run.planar else _interleaved_words(run, flat)
        step = 1 if run.planar else run.step
        for number, value in enumerate(values.tolist()):
            words[run.address + 4 * step * number] = value
    return words


def _planar_words(run: InputRun, flat: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    padded = np.zeros(-(-run.pixels // 4) * 4, np.uint8)
    padded[: run.pixels] = flat[run.channel * run.pixels :][: run.pixels]
    return padded.view("<u4")


def _interleaved_words(run: InputRun, flat: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    lanes = np.zeros((run.pixels, LANES), np.uint8)
    for i in range(run.channels):
        start = (run.channel + i) * run.pixels
        lanes[:, run.lane + i] = flat[start : start + run.pixels]
    return lanes.reshape(-1).view("<u4")


def expected_blocks(
    runs: Sequence[OutputRun], values: npt.NDArray[np.int64]
) -> tuple[MemoryBlock, ...]:
    """Output ``values`` (in the order of ``runs``) as memory words and the bits that count."""
    address, word, mask = _expected_words(runs, values)
    if not len(address):
        return ()
    breaks = np.flatnonzero((np.diff(address) != 4) | (np.diff(mask) != 0)) + 1
    pieces = zip(
        *(np.split(array, breaks) for array in (address, word, mask)),
        strict=True,
    )
    return tuple(
        MemoryBlock(int(where[0]), what.astype(np.uint32), int(which[0]))
        for where, what, which in pieces
    )


def _expected_words(
    runs: Sequence[OutputRun], values: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Addresses in ascending order, words, masks."""
    places, parts, masks = [], [], []
    start = 0
    for run in runs:
        limit, shift = (0xFFFF_FFFF, 0) if run.width == 32 else (0xFF, 8 * run.lane)
        places.append(run.address + 4 * run.step * np.arange(run.count))
        parts.append((values[start : start + run.count] & limit) << shift)
        masks.append(np.full(run.count, limit << shift))
        start += run.count
    address, index = np.unique(np.concatenate(places), return_inverse=True)
    word, mask = np.zeros_like(address), np.zeros_like(address)
    np.bitwise_or.at(word, index, np.concatenate(parts))
    np.bitwise_or.at(mask, index, np.concatenate(masks))
    return address, word, mask
