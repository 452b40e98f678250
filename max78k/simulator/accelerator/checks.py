"""Registers that change no result in the model but stall or corrupt the accelerator when wrong.

Line-buffer limits, stream starts and frame sizes only decide *when* the machine moves data. They
follow from the shape registers, so that each is held against its formula (ai8x-synthesis,
``max7800x.py``) when a run starts; so are fields that must agree between quadrants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.simulator.accelerator.layer import Layer, LayerRegisters
from max78k.simulator.accelerator.output import Report

_MARKED_FLATTEN = 16  # steps from which a flatten is marked as such in POST
_BIG_DATA_BUFFER = 12  # words of a streaming CHW input
# Bits in which the quadrants may differ: whatever concerns one quadrant's processors or bias.
_OWN_BITS = {
    cr.LCTL0.name: cr.LCTL0.field("SOURCES").mask,
    cr.POST.name: cr.POST.field("BIAS_START").mask | cr.POST.field("BIAS_EN").mask,
    cr.EN.name: 0xFFFF_FFFF,
}
_ALL_BITS = 0xFFFF_FFFF
_EXISTING = {
    register.name: sum(field.mask for field in register.fields) or _ALL_BITS
    for register in cr.LAYER_REGISTERS
}


def check_run(
    registers: LayerRegisters,
    started: Sequence[int],
    layers: Sequence[Layer],
    fed: bool,
    report: Report,
) -> None:
    """Report what the registers of a run contradict; ``fed`` if FIFOs deliver its input."""
    for index, layer in enumerate(layers):
        place = addresses.layer_register(layer.master, 0, layer.number)
        for register, text in _layer_faults(registers, started, layers, index, fed):
            report(f"layer {layer.number}: {text}", place + register.offset)
    if fed and layers:
        for layer, text in _buffer_faults(layers):
            place = addresses.layer_register(layer.master, cr.FBUF.offset, layer.number)
            report(f"layer {layer.number}: {text}", place)
        first = layers[0]
        frame = _words(first)
        for quadrant in started:
            size = registers.frame_words(quadrant)
            if size != frame:
                report(
                    f"IFRM of quadrant {quadrant} is {size}, the input has {frame} words",
                    addresses.quadrant(quadrant) + cr.IFRM.offset,
                )


def _layer_faults(
    registers: LayerRegisters,
    started: Sequence[int],
    layers: Sequence[Layer],
    index: int,
    fed: bool,
) -> Iterator[tuple[Register, str]]:
    layer = layers[index]
    yield from _quadrant_faults(registers, started, layer)
    yield from _source_faults(registers, started, layer)
    if not cr.LCTL0.field("ALWAYS_5").get(registers.get(cr.LCTL0, layer.master, layer.number)):
        yield cr.LCTL0, "LCTL0 bit 5 is not set"
    yield from _field_faults(registers, layer)
    if layer.wide and (layer.relu or layer.absolute):
        yield cr.LCTL0, "32-bit output with an activation"
    expected = {cr.TPTR: _line_buffer(layers, index), **_stream(layers, index, fed)}
    for register, value in expected.items():
        word = registers.get(register, layer.master, layer.number)
        if word != value:
            yield register, f"{register.name} is 0x{word:X}, its shape asks for 0x{value:X}"


def _field_faults(registers: LayerRegisters, layer: Layer) -> Iterator[tuple[Register, str]]:
    """Fields of the master that follow from others."""
    if layer.flatten and layer.passes <= _MARKED_FLATTEN:
        yield cr.POST, f"POST marks a flatten, which {layer.passes} steps do not need"
    passes = layer.kernel is None
    post = cr.POST.unpack(registers.get(cr.POST, layer.master, layer.number))
    if (post["TIME_SLOTS"], post["PASS_1X1"]) != (passes, passes and layer.operands == 1):
        yield cr.POST, "POST contradicts what EN and ONED say of a pass-through layer"
    oned = cr.ONED.unpack(registers.get(cr.ONED, layer.master, layer.number))
    if oned["ELTWISE_CONV"] != (oned["ELTWISE"] and not passes):
        yield cr.ONED, "ONED contradicts EN on whether a convolution follows"
    short = layer.outputs % layer.slots and layer.outputs <= layer.surplus
    short = short and layer.rows * layer.columns > 1  # a flattened layer ends with its last output
    over = layer.outputs > layer.slots and not layer.pass_step
    if not passes and (short or over or layer.kernels % layer.passes):
        yield cr.MCNT, f"{layer.kernels} kernels do not fill the output slots"


def _source_faults(
    registers: LayerRegisters, started: Sequence[int], layer: Layer
) -> Iterator[tuple[Register, str]]:
    """Whose sums and bias the master waits for."""
    size = limits.PROCESSORS_PER_QUADRANT
    wanted = {p // size for p in layer.processors} | {quadrant for quadrant, _ in layer.bias}
    for quadrant in started:
        sources = cr.LCTL0.field("SOURCES").get(registers.get(cr.LCTL0, quadrant, layer.number))
        if quadrant != layer.master or layer.kernel is None:
            idle = sources
        else:
            idle = sources & ~sum(1 << q for q in wanted - {quadrant})
        if idle:
            yield cr.LCTL0, f"quadrant {quadrant} waits for sums that no quadrant has (0x{idle:X})"
        post = registers.get(cr.POST, quadrant, layer.number)
        bias = cr.POST.field("BIAS_EN").get(post)
        if bias and (layer.kernel is None or quadrant not in layer.sources):
            yield cr.POST, f"the bias of quadrant {quadrant} is enabled and not added"


def _quadrant_faults(
    registers: LayerRegisters, started: Sequence[int], layer: Layer
) -> Iterator[tuple[Register, str]]:
    number = layer.number
    for quadrant in range(limits.QUADRANTS):
        enables = cr.EN.unpack(registers.get(cr.EN, quadrant, number))
        if enables["PROCESSORS"] and quadrant not in started:
            yield cr.EN, f"quadrant {quadrant} has processors enabled but is not started"
    for quadrant in started:
        enables = cr.EN.unpack(registers.get(cr.EN, quadrant, number))
        wanted = enables["PROCESSORS"] if layer.kernel else 0
        if enables["KERNELS"] != wanted:
            yield cr.EN, f"EN of quadrant {quadrant} enables processors and kernels differently"
        for register in cr.LAYER_REGISTERS:
            ours = registers.get(register, quadrant, number)
            masters = registers.get(register, layer.master, number)
            if ours & ~_EXISTING[register.name]:
                text = f"{register.name} is 0x{ours:X}, which has bits that do not exist"
                yield register, f"quadrant {quadrant}: {text}"
            own = _OWN_BITS.get(register.name, 0)
            if register is cr.WPTR_BASE and layer.kernel is None:
                own = _ALL_BITS
            if (ours ^ masters) & ~own:
                yield register, f"{register.name} of quadrant {quadrant} differs from the master's"


def _word(register: Register, **values: int) -> int:
    """The named fields in place; values too large for their field spill over and match nothing."""
    return sum(value << register.field(name).lsb for name, value in values.items())


@dataclass(frozen=True)
class _Region:
    """Words of some data instances."""

    owner: int
    instances: frozenset[int]
    start: int
    stop: int

    def meets(self, other: _Region) -> bool:
        """Whether any word belongs to both."""
        shared = self.instances & other.instances
        return bool(shared) and self.start < other.stop and other.start < self.stop


def _buffer_faults(layers: Sequence[Layer]) -> Iterator[tuple[Layer, str]]:
    """Circular buffers of streaming layers that overlap, or the output of the last one."""
    streaming = [layer for layer in layers if layer.rollover]
    regions: list[_Region] = []
    for layer in streaming:
        instances = frozenset(p // limits.PROCESSORS_PER_INSTANCE for p in layer.processors)
        stop = layer.read_pointer + layer.rollover
        region = _Region(layer.number, instances, layer.read_pointer, stop)
        if stop > limits.INSTANCE_WORDS:
            yield layer, "the stream buffer runs past its data instance"
        for other in regions:
            if region.meets(other):
                text = f"the stream buffer overlaps that of layer {other.owner}"
                yield layer, text
        regions.append(region)
    if not streaming or not streaming[-1].possible:
        return
    last = streaming[-1]
    output = _output_region(last)
    for region in regions:
        if region.meets(output):
            text = f"the output overwrites the stream buffer of layer {region.owner}"
            yield last, text


def _output_region(layer: Layer) -> _Region:
    """Words that a convolution writes, the gaps between them included."""
    lanes = limits.PROCESSORS_PER_INSTANCE
    pointer = layer.write_pointers[layer.master]
    first, start = divmod(pointer, limits.INSTANCE_WORDS)
    groups = range(-(-min(layer.slots, max(layer.outputs, 1)) // lanes))
    instances = frozenset(first + group * layer.group_step for group in groups)
    pixels = layer.output_size[0] * layer.output_size[1]
    step = layer.pixel_step * (lanes if layer.wide else 1)
    return _Region(layer.number, instances, start, start + pixels * step)


def _words(layer: Layer) -> int:
    """Input words that a FIFO delivers."""
    pixels = layer.rows * layer.columns
    return -(-pixels // limits.PROCESSORS_PER_INSTANCE) if layer.big_data else pixels


def _streams(layers: Sequence[Layer], index: int) -> bool:
    """Whether a layer starts before its input is complete."""
    if index == 0:
        return layers[0].rollover > 0
    return layers[index].rollover > 0 or layers[index].stream_start > 0


def _lines(layer: Layer) -> int:
    """Entries of a processor's line buffer that the layer cycles through."""
    if layer.kernel is None:
        return 1
    width = layer.pooled[1]
    if layer.transposed:
        width = 2 * width
    return max(0, width + 2 * layer.pad[1] - layer.kernel[1]) + 1


def _line_buffer(layers: Sequence[Layer], index: int) -> int:
    """TPTR."""
    layer = layers[index]
    later = index > 0 and _streams(layers, index)
    if layer.kernel is not None and (
        layer.one_dimensional or (layer.kernel == (1, 1) and not later)
    ):
        if not layer.flatten:
            return 0
        return _word(cr.TPTR, START=layer.passes - 1, MAX=2 * layer.passes - 1)
    start = sum(_lines(other) * other.passes for other in layers[:index]) if later else 0
    return _word(cr.TPTR, START=start, MAX=start + _lines(layer) - 1)


def _stream(layers: Sequence[Layer], index: int, fed: bool) -> dict[Register, int]:
    """STRM0, STRM1 and FBUF."""
    layer = layers[index]
    rows, columns = layer.pool
    step = columns * layer.operands
    if not _streams(layers, index):
        start = _words(layer) * rows if fed and index == 0 else 0
        return {cr.STRM0: start, cr.STRM1: 0, cr.FBUF: 0}
    if index == 0:
        start = ((rows - 1) * layer.columns + columns) * rows
        delta = {
            "DELTA1": (layer.stride - 1) * layer.operands,
            "DELTA2": (rows - 1) * layer.columns * layer.operands,
        }
    else:
        before = layers[index - 1]
        width = before.pooled[1] + 2 * before.pad[1]
        kernel = before.kernel or (1, 1)
        start = width * (kernel[0] - 1 + rows - 1) + kernel[1] - 1 + columns + 2
        delta = {
            "DELTA1": layer.stride * layer.operands,
            "DELTA2": (layer.stride - 1) * width + step,
        }
    involved = sum(other.passes for other in layers[:index])
    buffer = start + (rows - 1) * layer.columns + max(layer.stride, columns)
    buffer = -(-buffer // layer.passes) * layer.passes
    return {
        cr.STRM0: start,
        cr.STRM1: _word(cr.STRM1, INVOL=involved, **delta),
        cr.FBUF: _BIG_DATA_BUFFER if layer.big_data else buffer,
    }
