"""Where a layer's results go: write pointers, passes, time slots and byte lanes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.simulator.accelerator import order
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import LANES, DataMemory

Report = Callable[[str, int], None]

_INSTANCE_SHIFT = 13  # write pointers count words: 1 << 13 to an instance
_WORD_MASK = (1 << _INSTANCE_SHIFT) - 1


def word_address(instance: int, word: int) -> int:
    """Bus address of a data word."""
    return addresses.data_memory(instance % limits.INSTANCES) + 4 * (word & _WORD_MASK)


class Writer:
    """Writes one layer's output to a memory.

    Pointers out of range, and input overwritten before it has been read, go to ``report``.
    ``last_reads`` tells for every word of the memory when the layer last reads it (-1: never); it
    is None where the layer reads another memory. Outputs of a convolution that are not ``defined``
    leave undefined bytes behind.
    """

    def __init__(
        self,
        layer: Layer,
        memory: DataMemory,
        last_reads: NDArray[np.intp] | None,
        report: Report,
    ) -> None:
        self._layer = layer
        self._memory = memory
        self._last_reads = last_reads
        self._times = order.writes(layer)
        self._report = report

    def narrow(self, values: NDArray[np.int8], defined: NDArray[np.bool_]) -> None:
        """8-bit output (outputs, rows, columns)."""
        pixels = np.arange(values[0].size) * self._layer.pixel_step
        for outputs, words in self._groups(len(values), pixels):
            self._put(words, values[outputs].reshape(-1, pixels.size), defined[outputs])

    def wide(self, values: NDArray[np.int64], defined: NDArray[np.bool_]) -> None:
        """32-bit output (outputs, rows, columns): a word for each of the four lanes."""
        pixels = np.arange(values[0].size) * self._layer.pixel_step * LANES
        for outputs, words in self._groups(len(values), pixels):
            for lane, output in enumerate(range(outputs.start, outputs.stop)):
                places = (words + lane) % len(self._memory.words)
                self._memory.words[places] = values[output].reshape(-1).astype(np.uint32)
                self._memory.written[places] = defined[output]

    def _groups(
        self, outputs: int, pixels: NDArray[np.intp]
    ) -> Iterator[tuple[slice, NDArray[np.intp]]]:
        """Runs of up to four outputs that share a data instance, and their words.

        The last pass comes first: where the kernel counter runs on past the last pass, the surplus
        falls on the first pass of the next pixel, which the machine writes later.
        """
        layer = self._layer
        base = layer.write_pointers[layer.master]
        for first in reversed(range(0, outputs, layer.slots)):
            stop = min(first + layer.slots, outputs)
            offsets = pixels + first // layer.slots * layer.pass_step
            for group, start in enumerate(range(first, stop, LANES)):
                pointer = base + (group * layer.group_step << _INSTANCE_SHIFT)
                yield slice(start, min(start + LANES, stop)), self._words(pointer, offsets)

    def pass_through(self, values: NDArray[np.int8]) -> None:
        """8-bit output (processors x passes, rows, columns): each quadrant packs its processors."""
        layer = self._layer
        values = values.reshape(len(layer.processors), layer.passes, -1)
        quadrants = np.array(layer.processors) // limits.PROCESSORS_PER_QUADRANT
        pixels = np.arange(values.shape[2]) * layer.output_passes
        for quadrant in np.unique(quadrants):
            part = values[quadrants == quadrant][: LANES * layer.time_slots]
            for start in range(0, len(part), LANES):
                pointer = layer.write_pointers[quadrant] + start // LANES * layer.time_slot_step
                lanes = part[start : start + LANES]
                for output_pass in range(min(layer.passes, layer.output_passes)):
                    words = self._words(pointer, (pixels + output_pass) * layer.pixel_step)
                    self._put(words, lanes[:, output_pass], np.ones(len(lanes), bool))

    def _words(self, pointer: int, offsets: NDArray[np.intp]) -> NDArray[np.intp]:
        """Indices into the memory's words of a write pointer plus offsets."""
        instance, word = pointer >> _INSTANCE_SHIFT, pointer & _WORD_MASK
        size = self._memory.words_per_instance
        if instance >= limits.INSTANCES or word + int(offsets.max()) >= size:
            self._report(
                f"layer {self._layer.number} writes past the end of data instance {instance}",
                word_address(instance, word),
            )
        words = (instance * size + word + offsets) % len(self._memory.words)
        if self._last_reads is not None and (self._last_reads[words] > self._times).any():
            self._report(
                f"layer {self._layer.number} overwrites its own input before it is read",
                word_address(instance, word),
            )
        return words

    def _put(
        self, words: NDArray[np.intp], values: NDArray[np.int8], defined: NDArray[np.bool_]
    ) -> None:
        """``values`` (up to four lanes, pixels) into the low lanes of ``words``.

        What the other lanes of these words hold afterwards is not public: they become undefined.
        """
        lanes = np.arange(len(values))
        self._memory.lanes[words[:, None], lanes] = values.T
        self._memory.written[words] = False
        self._memory.written[words[:, None], lanes] = defined
