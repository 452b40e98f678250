"""Execution of the configured layers on the memories, one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator import arithmetic, kernels, order
from max78k.simulator.accelerator.layer import Layer
from max78k.simulator.accelerator.memories import LANES, DataMemory, KernelMemory, NarrowMemory
from max78k.simulator.accelerator.output import Report, Writer, word_address

_QUADRANT = limits.PROCESSORS_PER_QUADRANT


class Machine:
    """The compute engine: reads and writes the memories as the layers' registers say.

    Findings (undefined operands, pointers out of range, sums that nobody adds) go to ``report``
    with the bus address concerned; the run goes on as the hardware would.
    """

    def __init__(
        self, data: DataMemory, kernel: KernelMemory, bias: NarrowMemory, report: Report
    ) -> None:
        self._data = data
        self._kernel = kernel
        self._bias = bias
        self._report = report

    def run(
        self,
        layers: Sequence[Layer],
        fifo: dict[int, list[int]] | None = None,
        streaming: bool = False,
        rounding: bool = False,
    ) -> None:
        """Execute ``layers`` in order.

        ``fifo`` holds the input words by quadrant where FIFOs feed the first layer. With
        ``streaming``, layers with a rollover take their input straight from the layer before; what
        passes between them never reaches the data memory as a whole and is kept in buffers of
        their own. ``rounding`` selects rounding average pooling.
        """
        source = self._data
        for layer, follower in zip(layers, [*layers, None][1:], strict=True):
            if fifo is not None and layer is layers[0]:
                source = self._fed(layer, fifo, streaming and layer.rollover > 0)
            target = self._data
            if streaming and follower is not None and follower.rollover:
                target = self._buffer(follower)
            shifted = streaming and layer.rollover > 0 and layer.number == 0
            self._execute(layer, source, target, rounding, int(shifted))
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

    def _execute(
        self, layer: Layer, source: DataMemory, target: DataMemory, rounding: bool, skip: int
    ) -> None:
        if not layer.processors:
            self._at_enable(layer, "no processor is enabled")
            return
        if not layer.possible:
            self._at_enable(layer, "sizes, pooling and padding leave nothing to compute")
            return
        reads = self._last_reads(layer) if source is target else None
        writer = Writer(layer, target, reads, self._report)
        if layer.kernel is None:
            operands = self._fetch(layer, source, None)
            writer.pass_through(self._prepare(layer, operands, rounding))
            return
        weights = kernels.weights(self._kernel, layer)
        operands = self._fetch(layer, source, weights)
        sums = self._convolve(layer, self._prepare(layer, operands, rounding), weights)
        defined = self._defined(layer)
        live = weights.any(axis=(1, 2, 3, 4)) & defined
        defined &= self._add_bias(layer, sums, live, skip)
        if layer.wide:
            writer.wide(sums, defined)
        else:
            values = arithmetic.scale(sums, layer.shift)
            writer.narrow(arithmetic.activate(values, layer.relu, layer.absolute), defined)

    def _last_reads(self, layer: Layer) -> NDArray[np.intp]:
        times = order.last_reads(layer)
        reads = np.full(len(self._data.words), -1, np.intp)
        for instance in {processor // LANES for processor in layer.processors}:
            words = (layer.read_pointer + np.arange(len(times))) % limits.INSTANCE_WORDS
            reads[instance * limits.INSTANCE_WORDS + words] = times
        return reads

    def _defined(self, layer: Layer) -> NDArray[np.bool_]:
        """Which outputs have all their kernels; reports a layer that lacks some.

        An output map that begins inside a word leaves up to three leading slots of each pass
        unused. The machine runs through them all the same; they need no kernels.
        """
        loaded = kernels.loaded(self._kernel, layer)
        defined: NDArray[np.bool_] = np.all(loaded, axis=1)
        slot = np.arange(layer.outputs) % layer.slots
        first = int(slot[defined].min()) if defined.any() else 0
        needed = slot >= (first if first < LANES else 0)
        needed[layer.surplus :] = False
        absent = np.argwhere(needed[:, None] & ~loaded)
        if len(absent):
            output, i = (int(v) for v in absent[0])
            processor = layer.processors[i]
            self._report(
                f"layer {layer.number}: the kernels of output {output} in processor {processor} "
                "were never loaded or do not exist",
                addresses.kernel_memory(processor),
            )
        return defined

    def _fetch(
        self, layer: Layer, memory: DataMemory, weights: NDArray[np.int8] | None
    ) -> NDArray[np.int8]:
        """Input as (operands, processors x passes, rows, columns)."""
        pixels = layer.rows * layer.columns
        count = pixels * layer.passes * layer.operands
        if layer.big_data:
            count = -(-pixels // LANES)
        shape = (layer.operands, len(layer.processors), layer.passes, pixels)
        values = np.empty(shape, np.int8)
        known = np.empty(shape, bool)
        for i, processor in enumerate(layer.processors):
            instance, lane = divmod(processor, LANES)
            words = self._read_range(layer, memory, instance, count)
            if layer.big_data:
                values[:, i] = memory.lanes[words].reshape(-1)[:pixels]
                known[:, i] = memory.written[words].reshape(-1)[:pixels]
                continue
            layout = (pixels, layer.passes, layer.operands)
            values[:, i] = memory.lanes[words, lane].reshape(layout).T
            known[:, i] = memory.written[words, lane].reshape(layout).T
        if weights is not None:  # what is multiplied by zero may be anything
            used: NDArray[np.bool_] = np.any(weights, axis=(0, 3, 4))
            known |= ~used[:, :, None]
        if not known.all():
            self._undefined(layer, known)
        return values.reshape(layer.operands, -1, layer.rows, layer.columns)

    def _read_range(
        self, layer: Layer, memory: DataMemory, instance: int, count: int
    ) -> slice | NDArray[np.intp]:
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

    def _undefined(self, layer: Layer, known: NDArray[np.bool_]) -> None:
        """Report the first unknown operand; ``known`` is (operands, processors, passes, pixels)."""
        operand, i, input_pass, pixel = (int(v) for v in np.argwhere(~known)[0])
        processor = layer.processors[i]
        word = pixel // LANES
        if not layer.big_data:
            word = (pixel * layer.passes + input_pass) * layer.operands + operand
        self._report(
            f"layer {layer.number} reads {int((~known).sum())} undefined values, the "
            f"first by processor {processor}",
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
        self, layer: Layer, x: NDArray[np.int8], weights: NDArray[np.int8]
    ) -> arithmetic.Int64:
        """Sums of the quadrants that the master listens to."""
        heard = np.array([p // _QUADRANT in layer.sources for p in layer.processors])
        if not heard.all():
            lost = layer.processors[int(np.argmin(heard))] // _QUADRANT
            self._report(
                f"layer {layer.number}: quadrant {lost} has processors enabled, but the master "
                "does not add its sums",
                addresses.layer_register(layer.master, cr.LCTL0.offset, layer.number),
            )
        weights = weights[:, heard].reshape(weights.shape[0], -1, *weights.shape[3:])
        x = x[np.repeat(heard, layer.passes)]
        after = layer.pad
        if layer.transposed:
            x = arithmetic.zero_stuff(x)
            after = (layer.pad[0] + 1, layer.pad[1] + 1)
        return arithmetic.convolve(x, weights, layer.pad, after)

    def _add_bias(
        self, layer: Layer, sums: arithmetic.Int64, live: NDArray[np.bool_], skip: int
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
            bias = self._bias.values[quadrant, entries].astype(np.int8).astype(np.int64)
            sums += limits.BIAS_UNIT * bias[:, None, None]
            defined &= known
        return defined

    def _at_enable(self, layer: Layer, text: str) -> None:
        address = addresses.layer_register(layer.master, cr.EN.offset, layer.number)
        self._report(f"layer {layer.number}: {text}", address)
