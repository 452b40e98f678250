"""Execution of the configured layers on the memories, one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator import arithmetic, order
from max78k.simulator.accelerator.kernels import LayerKernels
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import LANES, DataMemory, KernelMemory, NarrowMemory
from max78k.simulator.accelerator.output import (
    Destinations,
    Finding,
    Report,
    Words,
    destinations,
    word_address,
)

_QUADRANT = limits.PROCESSORS_PER_QUADRANT


@dataclass(frozen=True)
class Modes:
    """What the master's control register says of a whole run.

    Attributes:
        streaming: layers with a rollover take their input straight from the layer before.
        rounding: average pooling rounds.
        exclusive_or: 1-bit weights invert the data instead of multiplying them.
    """

    streaming: bool = False
    rounding: bool = False
    exclusive_or: bool = False


class Machine:
    """The compute engine: reads and writes the memories as the layers' registers say.

    Findings (undefined operands, pointers out of range, sums that nobody adds) go to ``report``
    with the bus address concerned; the run goes on as the hardware would. What depends on the
    registers and the kernels alone is kept from run to run, per layer.
    """

    def __init__(
        self, data: DataMemory, kernel: KernelMemory, bias: NarrowMemory, report: Report
    ) -> None:
        self._data = data
        self._kernel = kernel
        self._bias = bias
        self._report = report
        self._kernels: dict[int, tuple[object, LayerKernels]] = {}
        self._destinations: dict[int, tuple[object, Destinations]] = {}

    def run(self, layers: Sequence[Layer], fifo: dict[int, list[int]] | None, modes: Modes) -> None:
        """Execute ``layers`` in order.

        ``fifo`` holds the input words by quadrant where FIFOs feed the first layer. What passes
        between streaming layers never reaches the data memory as a whole and is kept in buffers
        of their own.
        """
        source = self._data
        source.unread[:] = 0
        for layer, follower in zip(layers, [*layers, None][1:], strict=True):
            if fifo is not None and layer is layers[0]:
                source = self._fed(layer, fifo, modes.streaming and layer.rollover > 0)
            target = self._data
            if modes.streaming and follower is not None and follower.rollover:
                target = self._buffer(follower)
            self._execute(layer, source, target, modes)
            source = target

    def _buffer(self, layer: Layer) -> DataMemory:
        """Room for the whole input of a streaming layer; none if its padding leaves nothing."""
        pixels = max(layer.rows, 0) * max(layer.columns, 0) * layer.passes * layer.operands
        return DataMemory(limits.INSTANCE_WORDS + pixels)

    def _fed(self, layer: Layer, fifo: dict[int, list[int]], buffered: bool) -> DataMemory:
        """Memory that holds what came through the FIFOs: FIFO n fills instance 4 n."""
        memory = self._buffer(layer) if buffered else self._data
        for quadrant, words in fifo.items():
            instance = quadrant * _QUADRANT // LANES
            start = instance * memory.words_per_instance + layer.read_pointer
            stop = min(start + len(words), len(memory.words))
            memory.words[start:stop] = np.array(words[: stop - start], np.uint32)
            memory.written[start:stop] = True
        return memory

    def _execute(self, layer: Layer, source: DataMemory, target: DataMemory, modes: Modes) -> None:
        if not layer.processors:
            self._at_enable(layer, "no processor is enabled")
            return
        if not layer.possible:
            self._at_enable(layer, "sizes, pooling and padding leave nothing to compute")
            return
        places = self._places(layer, source, target)
        if layer.kernel is None:
            values = self._prepare(layer, self._fetch(layer, source, None), modes.rounding)
            result = values.reshape(len(values), -1)
            self._store(layer, places, target, result, np.ones(len(result), bool))
            return
        kernels = self._layer_kernels(layer, modes)
        operands = self._fetch(layer, source, kernels.used)
        sums = self._convolve(layer, self._prepare(layer, operands, modes.rounding), kernels)
        skip = int(modes.streaming and layer.rollover > 0 and layer.number == 0)
        defined = kernels.defined & self._add_bias(layer, sums, kernels.live, skip)
        if layer.wide:
            self._store(layer, places, target, sums.reshape(len(sums), -1), defined)
            return
        values = arithmetic.activate(
            arithmetic.scale(sums, layer.shift), layer.relu, layer.absolute
        )
        self._store(layer, places, target, values.reshape(len(values), -1), defined)

    def _store(
        self,
        layer: Layer,
        places: Destinations,
        target: DataMemory,
        values: NDArray[np.signedinteger[Any]],
        defined: NDArray[np.bool_],
    ) -> None:
        lost = places.store(target, values, defined)
        if lost:
            self._report(
                f"layer {layer.number} overwrites results of layer {lost - 1} that no layer has "
                "read",
                addresses.layer_register(layer.master, cr.WPTR_BASE.offset, layer.number),
            )

    def _places(self, layer: Layer, source: DataMemory, target: DataMemory) -> Destinations:
        key = (layer, target.words_per_instance, source is target)
        known, places = self._destinations.get(layer.number, (None, Destinations(0, False)))
        if known != key:
            reads = self._last_reads(layer) if source is target else None
            places = destinations(layer, target.words_per_instance, reads)
            self._destinations[layer.number] = key, places
        self._tell(places.findings)
        return places

    def _layer_kernels(self, layer: Layer, modes: Modes) -> LayerKernels:
        key = (layer, self._kernel.version, modes.exclusive_or)
        known, kernels = self._kernels.get(layer.number, (None, None))
        if kernels is None or known != key:
            kernels = LayerKernels(self._kernel, layer, modes.exclusive_or)
            self._kernels[layer.number] = key, kernels
        self._tell(kernels.findings)
        return kernels

    def _tell(self, findings: list[Finding]) -> None:
        for text, address in findings:
            self._report(text, address)

    def _last_reads(self, layer: Layer) -> NDArray[np.intp]:
        times = order.last_reads(layer)
        reads = np.full(len(self._data.words), -1, np.intp)
        for instance in {processor // LANES for processor in layer.processors}:
            words = (layer.read_pointer + np.arange(len(times))) % limits.INSTANCE_WORDS
            reads[instance * limits.INSTANCE_WORDS + words] = times
        return reads

    def _fetch(
        self, layer: Layer, memory: DataMemory, used: NDArray[np.bool_] | None
    ) -> NDArray[np.int8]:
        """Input as (operands, processors x passes, rows, columns).

        Undefined values are reported where they are ``used`` (processors, passes); None stands
        for everywhere. What is multiplied by zero may be anything.
        """
        pixels = layer.rows * layer.columns
        shape = (layer.operands, len(layer.processors), layer.passes, pixels)
        values = np.empty(shape, np.int8)
        unknown: list[tuple[slice, NDArray[np.bool_]]] = []
        makers: set[int] = set()
        count = -(-pixels // LANES) if layer.big_data else pixels * layer.passes * layer.operands
        for instance, chosen, lanes in _instances(layer):
            words = self._read_range(layer, memory, instance, count)
            values[:, chosen] = _operands(layer, memory.lanes[words], lanes)
            makers.update(np.flatnonzero(np.bincount(memory.unread[words])).tolist())
            if not memory.written[words][:, lanes].all():
                known = np.empty_like(values[:, chosen], bool)
                known[:] = _operands(layer, memory.written[words], lanes)
                unknown.append((chosen, ~known))
        memory.taken(makers)
        if unknown:
            self._undefined(layer, unknown, used)
        return values.reshape(layer.operands, -1, layer.rows, layer.columns)

    def _read_range(self, layer: Layer, memory: DataMemory, instance: int, count: int) -> Words:
        size = memory.words_per_instance
        if layer.read_pointer + count <= size:
            start = instance * size + layer.read_pointer
            return slice(start, start + count)
        self._report(
            f"layer {layer.number} reads {count} words from word {layer.read_pointer}, past the "
            f"end of data instance {instance}",
            word_address(instance, layer.read_pointer),
        )
        return instance * size + (layer.read_pointer + np.arange(count)) % size

    def _undefined(
        self,
        layer: Layer,
        parts: list[tuple[slice, NDArray[np.bool_]]],
        used: NDArray[np.bool_] | None,
    ) -> None:
        """Report undefined values that are used.

        ``parts`` has, for some of the processors, which of their (operands, processors, passes,
        pixels) are not known.
        """
        count = 0
        first: tuple[int, ...] | None = None
        for chosen, unknown in parts:
            if used is not None:
                unknown &= used[chosen, :, None]
            found = np.argwhere(unknown)
            count += len(found)
            if len(found) and first is None:
                operand, i, input_pass, pixel = (int(v) for v in found[0])
                first = operand, chosen.start + i, input_pass, pixel
        if first is None:
            return
        operand, i, input_pass, pixel = first
        processor = layer.processors[i]
        word = pixel // LANES
        if not layer.big_data:
            word = (pixel * layer.passes + input_pass) * layer.operands + operand
        self._report(
            f"layer {layer.number} reads {count} undefined values, the first by processor "
            f"{processor}",
            word_address(processor // LANES, layer.read_pointer + word),
        )

    def _prepare(self, layer: Layer, x: NDArray[np.int8], rounding: bool) -> NDArray[np.int8]:
        """Pooling and the element-wise stage; (operands, channels, ...) to (channels, ...)."""

        def pool(values: NDArray[np.int8]) -> NDArray[np.int8]:
            if not layer.pools:
                return values
            if layer.max_pool:
                return arithmetic.max_pool(values, layer.pool, layer.stride)
            return arithmetic.average_pool(values, layer.pool, layer.stride, rounding)

        if layer.operands == 1:
            return pool(x[0])
        if layer.pool_first:
            return arithmetic.elementwise(pool(x), layer.function)
        return pool(arithmetic.elementwise(x, layer.function))

    def _convolve(
        self, layer: Layer, x: NDArray[np.int8], kernels: LayerKernels
    ) -> arithmetic.Sums:
        """Sums of the quadrants that the master listens to."""
        if not kernels.heard.all():
            lost = layer.processors[int(np.argmin(kernels.heard)) // layer.passes] // _QUADRANT
            self._report(
                f"layer {layer.number}: quadrant {lost} has processors enabled, but the master "
                "does not add its sums",
                addresses.layer_register(layer.master, cr.LCTL0.offset, layer.number),
            )
            x = x[kernels.heard]
        after = layer.pad
        if layer.transposed:
            x = arithmetic.zero_stuff(x)
            after = (layer.pad[0] + 1, layer.pad[1] + 1)
        return kernels.kernels.convolve(x, layer.pad, after)

    def _add_bias(
        self, layer: Layer, sums: arithmetic.Sums, live: NDArray[np.bool_], skip: int
    ) -> NDArray[np.bool_]:
        """Add the bias of each output slot; ``skip`` entries lie before the first.

        Returns which outputs have a defined bias. Only for those that are ``live``, having some
        kernel other than zero, is it an error if they have none: channel counts that do not fill
        the last pass leave padding without bias.
        """
        defined = np.ones(len(sums), bool)
        for quadrant, start in layer.bias:
            entries = start + skip + np.arange(len(sums))
            inside = entries < limits.BIAS_BYTES_PER_QUADRANT
            entries %= limits.BIAS_BYTES_PER_QUADRANT
            known = self._bias.written[quadrant, entries] & inside
            absent = np.flatnonzero(live & ~known)
            if len(absent):
                self._report(
                    f"layer {layer.number}: the bias of output {absent[0]} was never loaded into "
                    f"quadrant {quadrant} or does not fit there",
                    addresses.bias_memory(quadrant) + 4 * int(entries[absent[0]]),
                )
            bias = self._bias.values[quadrant, entries].astype(np.int8).astype(sums.dtype)
            sums += sums.dtype.type(limits.BIAS_UNIT) * bias[:, None, None]
            defined &= known
        return defined

    def _at_enable(self, layer: Layer, text: str) -> None:
        address = addresses.layer_register(layer.master, cr.EN.offset, layer.number)
        self._report(f"layer {layer.number}: {text}", address)


def _instances(layer: Layer) -> list[tuple[int, slice, slice | list[int]]]:
    """Data instance, places among the layer's processors and byte lanes of those that share it."""
    result: list[tuple[int, slice, slice | list[int]]] = []
    processors = layer.processors
    start = 0
    for stop in range(1, len(processors) + 1):
        instance = processors[start] // LANES
        if stop == len(processors) or processors[stop] // LANES != instance:
            numbers = [p % LANES for p in processors[start:stop]]
            even = numbers[-1] - numbers[0] == len(numbers) - 1
            lanes = slice(numbers[0], numbers[-1] + 1) if even else numbers
            result.append((instance, slice(start, stop), lanes))
            start = stop
    return result


def _operands(layer: Layer, words: NDArray[Any], lanes: slice | list[int]) -> NDArray[Any]:
    """Bytes of some words as (operands, lanes, passes, pixels), or one row for CHW data."""
    pixels = layer.rows * layer.columns
    if layer.big_data:
        return words.reshape(-1)[:pixels]
    shaped = words.reshape(pixels, layer.passes, layer.operands, LANES)
    chosen: NDArray[Any] = shaped[..., lanes].transpose(2, 3, 1, 0)
    return chosen
