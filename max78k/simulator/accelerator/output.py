"""Where a layer's results go: write pointers, passes, time slots and byte lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.simulator.accelerator import order
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import LANES, DataMemory

Report = Callable[[str, int], None]
Finding = tuple[str, int]  # message and bus address
Words = slice | NDArray[np.intp]  # indices into a memory's words

_INSTANCE_SHIFT = 13  # write pointers count words: 1 << 13 to an instance
_WORD_MASK = (1 << _INSTANCE_SHIFT) - 1


def word_address(instance: int, word: int) -> int:
    """Bus address of a data word."""
    return addresses.data_memory(instance % limits.INSTANCES) + 4 * (word & _WORD_MASK)


@dataclass
class Destinations:
    """All places that a layer writes, in the order of the writes.

    ``parts`` pairs rows of the result (outputs of a convolution; processor by processor and pass
    by pass for a pass-through layer) with the words that take them: up to four rows with their
    pixels' words, or one row of 32-bit values. ``findings`` tells of pointers out of range and of
    input that is overwritten before it has been read.
    """

    layer: int
    wide: bool
    parts: list[tuple[slice, Words]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def store(
        self, memory: DataMemory, values: NDArray[np.signedinteger], defined: NDArray[np.bool_]
    ) -> int:
        """Write ``values`` (rows, pixels); rows that are not ``defined`` leave undefined bytes.

        Returns one more than the number of another layer whose unread result is overwritten, or 0.

        What the other lanes of a word with fewer than four 8-bit rows hold afterwards is not
        public: they become undefined.
        """
        every = bool(defined.all())
        words32 = values.astype(np.uint32) if self.wide else None
        lost, own = 0, self.layer + 1
        for rows, words in self.parts:
            before = memory.unread[words]
            if before.any():
                lost = max(lost, int(before[before != own].max(initial=0)))
            memory.unread[words] = own
            if words32 is not None:
                memory.words[words] = words32[rows.start]
                memory.written[words] = every or defined[rows.start]
                continue
            part = values[rows]
            lanes = len(part)
            memory.lanes[words, :lanes] = part.T
            memory.written[words, :lanes] = every or defined[rows]
            if lanes < LANES:
                memory.written[words, lanes:] = False
        return lost


def destinations(
    layer: Layer, words_per_instance: int, last_reads: NDArray[np.intp] | None
) -> Destinations:
    """Where the layer writes in a memory of so many words per instance.

    ``last_reads`` tells for every word of the memory when the layer last reads it (-1: never); it
    is None where the layer reads another memory.
    """
    wide = layer.wide and layer.kernel is not None
    result = Destinations(layer.number, wide)
    times = order.writes(layer)
    places = _pass_through(layer) if layer.kernel is None else _convolution(layer)
    for rows, pointer, offsets in places:
        words = _words(layer, pointer, offsets, words_per_instance, result.findings)
        for lane in range(rows.stop - rows.start) if wide else (0,):
            taken = slice(rows.start + lane, rows.start + lane + 1) if wide else rows
            lane_words = (words + lane) % (words_per_instance * limits.INSTANCES)
            _hazard(layer, pointer, lane_words, times, last_reads, result.findings)
            result.parts.append((taken, _compact(lane_words)))
    return result


_Place = tuple[slice, int, NDArray[np.intp]]  # rows, write pointer, word offsets of the pixels


def _convolution(layer: Layer) -> Iterator[_Place]:
    """Runs of up to four outputs that share a data instance.

    The last pass comes first: where the kernel counter runs on past the last pass, the surplus
    falls on the first pass of the next pixel, which the machine writes later.
    """
    rows, columns = layer.output_size
    step = layer.pixel_step * (LANES if layer.wide else 1)
    pixels = np.arange(rows * columns, dtype=np.intp) * step
    base = layer.write_pointers[layer.master]
    for first in reversed(range(0, layer.outputs, layer.slots)):
        stop = min(first + layer.slots, layer.outputs)
        offsets = pixels + first // layer.slots * layer.pass_step
        for group, start in enumerate(range(first, stop, LANES)):
            pointer = base + (group * layer.group_step << _INSTANCE_SHIFT)
            yield slice(start, min(start + LANES, stop)), pointer, offsets


def _pass_through(layer: Layer) -> Iterator[_Place]:
    """Each quadrant packs its processors; a row of the result is processor x passes + pass."""
    rows, columns = layer.output_size
    pixels = np.arange(rows * columns, dtype=np.intp) * layer.output_passes
    quadrants = [p // limits.PROCESSORS_PER_QUADRANT for p in layer.processors]
    for quadrant in sorted(set(quadrants)):
        first, count = quadrants.index(quadrant), quadrants.count(quadrant)
        count = min(count, LANES * layer.time_slots)
        for group, start in enumerate(range(0, count, LANES)):
            pointer = layer.write_pointers[quadrant] + group * layer.time_slot_step
            stop = min(start + LANES, count)
            for output_pass in range(min(layer.passes, layer.output_passes)):
                taken = slice(
                    (first + start) * layer.passes + output_pass,
                    (first + stop - 1) * layer.passes + output_pass + 1,
                    layer.passes,
                )
                yield taken, pointer, (pixels + output_pass) * layer.pixel_step


def _words(
    layer: Layer, pointer: int, offsets: NDArray[np.intp], size: int, findings: list[Finding]
) -> NDArray[np.intp]:
    """Indices into the memory's words of a write pointer plus offsets."""
    instance, word = pointer >> _INSTANCE_SHIFT, pointer & _WORD_MASK
    if instance >= limits.INSTANCES or word + int(offsets[-1]) >= size:
        text = f"layer {layer.number} writes past the end of data instance {instance}"
        findings.append((text, word_address(instance, word)))
    return (instance * size + word + offsets) % (size * limits.INSTANCES)


def _hazard(
    layer: Layer,
    pointer: int,
    words: NDArray[np.intp],
    times: NDArray[np.intp],
    last_reads: NDArray[np.intp] | None,
    findings: list[Finding],
) -> None:
    if last_reads is not None and (last_reads[words] > times).any():
        place = word_address(pointer >> _INSTANCE_SHIFT, pointer & _WORD_MASK)
        text = f"layer {layer.number} overwrites its own input before it is read"
        findings.append((text, place))


def _compact(words: NDArray[np.intp]) -> Words:
    """The same indices as a slice where they rise evenly, which is most of the time."""
    if len(words) == 1:
        return slice(int(words[0]), int(words[0]) + 1)
    step = int(words[1] - words[0])
    if step > 0 and int(words[-1] - words[0]) == step * (len(words) - 1):
        return slice(int(words[0]), int(words[-1]) + 1, step)
    return words
