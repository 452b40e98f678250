"""Does a placement fit the chip? Checked independently of how the placement was made.

Rules are listed in one table; a rule's docstring is the sentence that documentation shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from max78k.chip import limits
from max78k.compiler import bits, data_flow, kernels, memory, streaming
from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import FAST_FIFO, Placement
from max78k.errors import InputError, Max78kError, RuleError
from max78k.network import rules
from max78k.network.network import INPUT, Network

Problems = Iterator[tuple[str, str]]
_MASTER = "E-RULE-MASTER"
_OUTPUT_STEPS = 16  # a 4-bit field holds words per output pixel - 1


@dataclass(frozen=True)
class Rule:
    """A rule about the place of one layer or, with ``subjects`` 2, of every pair of layers.

    Where a ``basic`` rule is broken, the others are not looked at.
    """

    code: str
    find: Callable[..., Problems]
    subjects: int = 1
    basic: bool = False

    @property
    def doc(self) -> str:
        """The rule in one sentence."""
        return (self.find.__doc__ or "").strip()


RULES: list[Rule] = []


def _rule(
    code: str, subjects: int = 1, basic: bool = False
) -> Callable[[Callable[..., Problems]], Callable[..., Problems]]:
    def register(find: Callable[..., Problems]) -> Callable[..., Problems]:
        RULES.append(Rule(f"E-RULE-{code}", find, subjects, basic))
        return find

    return register


def check(network: Network, placement: Placement) -> list[Max78kError]:
    """Every broken rule of network and placement; an empty list if they can be assembled."""
    found = rules.check(network)
    if found:
        return found
    try:
        layers = place(network, placement)
    except InputError as error:
        return [error]
    for basic in (True, False):
        found = [e for rule in RULES if rule.basic is basic for e in _broken(rule, layers)]
        if found:
            return found
    return master(layers) or data_flow.check(network, layers)


def _broken(rule: Rule, layers: Sequence[Placed]) -> Iterator[Max78kError]:
    for subject in combinations(layers, rule.subjects):
        names = " and ".join(placed.layer.name for placed in subject)
        noun = "layer" if rule.subjects == 1 else "layers"
        for message, hint in rule.find(*subject):
            text = f"{noun} {names}: {message}."
            yield Max78kError(rule.code, text, hint and f"{hint}.")


def documented() -> list[tuple[str, str]]:
    """(code, sentence) of every rule about placements, for the documentation."""
    rows = [(rule.code, rule.doc) for rule in RULES]
    return [*rows, (_MASTER, (master.__doc__ or "").strip()), data_flow.FLOW, data_flow.OVERLAP]


def require(network: Network, placement: Placement) -> None:
    """Raise RuleError with all broken rules, if there are any."""
    violations = check(network, placement)
    if violations:
        raise RuleError(violations)


def master(layers: Sequence[Placed]) -> list[Max78kError]:
    """Quadrant 0 is used: it is the master of the others."""
    if layers[0].quadrants[0] == 0:
        return []
    text = f"no layer uses quadrant 0; used are {list(layers[0].quadrants)}."
    return [Max78kError(_MASTER, text, "a processor below 16 for some layer.")]


@_rule("PROCESSORS-IN", basic=True)
def processors_in(placed: Placed) -> Problems:
    """Every input channel of a pass has a processor of its own."""
    have, need = bits.count(placed.processors), placed.geometry.in_processors
    if have != need:
        text = f"{placed.geometry.channels} input channels need {need} processors"
        yield f"{text}, {bits.text(placed.processors)} has {have}", ""


@_rule("PROCESSORS-OUT", basic=True)
def processors_out(placed: Placed) -> Problems:
    """Every output channel of a pass has an output processor of its own."""
    have, need = bits.count(placed.output_processors), placed.geometry.out_processors
    if have != need:
        text = f"{placed.geometry.outputs} output channels need {need} output processors"
        yield f"{text}, {bits.text(placed.output_processors)} has {have}", ""


@_rule("PROCESSORS-ALIGN")
def processors_align(placed: Placed) -> Problems:
    """Several output passes, narrow weights, flattening: outputs start at a multiple of 4."""
    shape = placed.geometry
    narrow = shape.convolves and placed.layer.weight_bits < 8
    if placed.lead and (shape.out_passes > 1 or narrow or shape.flattens):
        lowest = bits.lowest(placed.output_processors)
        yield f"the first output processor is {lowest}", "a multiple of 4"


@_rule("PROCESSORS-GAPS")
def processors_gaps(placed: Placed) -> Problems:
    """The output processors of a layer that flattens are contiguous."""
    if placed.geometry.flattens and not bits.contiguous(placed.output_processors):
        yield f"output processors {bits.text(placed.output_processors)} have gaps", ""


@_rule("PASSTHROUGH-MAP")
def passthrough_map(placed: Placed) -> Problems:
    """A pass-through layer keeps data in their quadrant, packed from a multiple of 4 upward."""
    if placed.geometry.convolves:
        return
    for quadrant in range(limits.QUADRANTS):
        source = bits.of_quadrant(placed.processors, quadrant)
        target = bits.of_quadrant(placed.output_processors, quadrant)
        if bits.count(source) != bits.count(target):
            text = f"{bits.count(source)} inputs and {bits.count(target)} outputs"
            yield f"{text} in quadrant {quadrant}", "the same number in each quadrant"
        elif target and (bits.lowest(target) % 4 or not bits.contiguous(target)):
            yield f"output processors 0x{target:04x} of quadrant {quadrant} are not packed", ""


@_rule("CHW")
def planar_input(placed: Placed) -> Problems:
    """CHW input is for the first layer, a 2-D convolution, with one processor per four."""
    if not placed.planar:
        return
    if not placed.geometry.may_be_planar:
        yield "cannot read CHW data", "HWC"
    elif len(bits.instances(placed.processors)) != bits.count(placed.processors):
        yield f"processors {bits.text(placed.processors)} share data memory", "one of every four"
    elif placed.geometry.skipped % 4:
        text = f"leaves out {placed.geometry.skipped} values, four of which are a word"
        yield text, "HWC, or a multiple of 4"


@_rule("INPUT-LANES")
def input_lanes(placed: Placed) -> Problems:
    """Processors that share a data memory and read the network's HWC input are neighbours."""
    if INPUT not in placed.layer.inputs or placed.planar:
        return
    for instance in bits.instances(placed.processors):
        lanes = placed.processors >> 4 * instance & 0xF
        if not bits.contiguous(lanes):
            yield f"processors of data-memory instance {instance} have gaps", ""


@_rule("STREAM-FIFO")
def stream_fifo(placed: Placed) -> Problems:
    """A streaming layer needs an input that comes through a FIFO."""
    if placed.geometry.streaming and not placed.fed:
        yield "streams, but the input is written to data memory", "feed the input by FIFO"


@_rule("FIFO-INPUT")
def fifo_input(placed: Placed) -> Problems:
    """FIFOs feed the first layer alone: 16 HWC or 4 CHW channels; the fast FIFO 4 or 1."""
    if not placed.fed:
        return
    shape = placed.geometry
    reads = INPUT in shape.layer.inputs
    if reads != (shape.index == 0):
        yield f"{'reads' if reads else 'does not read'} the input", "input for the first layer"
    elif reads and shape.layer.cut is not None:
        yield "reads a part of what FIFOs deliver", "all of it, or an input in data memory"
    elif reads and shape.flattens and shape.pixels > 1:
        yield "flattens what FIFOs deliver", "an input in data memory"
    elif reads and shape.folded and shape.pixels > shape.values:
        text = f"reads {shape.pixels - shape.values} pixels behind those that FIFOs deliver"
        yield text, "an input in data memory, or a smaller dilation"
    elif shape.index == 0:
        fast = placed.feed == FAST_FIFO
        most = limits.FIFO_PLANES if placed.planar else limits.FIFO_CHANNELS
        most = most // limits.QUADRANTS if fast else most
        if shape.channels > most or shape.operands > 1:
            way = "the fast FIFO" if fast else "FIFOs"
            text = f"{shape.channels} channels of {shape.operands} operands through {way}"
            yield text, f"at most {most} channels in {'CHW' if placed.planar else 'HWC'}"


@_rule("FIFO-PROCESSORS")
def fifo_processors(placed: Placed) -> Problems:
    """FIFO n feeds processors 16 n to 16 n + 3, of CHW data processor 16 n; the fast FIFO as 0."""
    if not placed.fed or placed.geometry.index:
        return
    lanes = 1 if placed.planar else (1 << limits.PROCESSORS_PER_INSTANCE) - 1
    fifos = 1 if placed.feed == FAST_FIFO else limits.QUADRANTS
    reached = sum(lanes << limits.PROCESSORS_PER_QUADRANT * n for n in range(fifos))
    if placed.processors & ~reached:
        text = f"processors {bits.text(placed.processors)} are not all behind a FIFO"
        yield text, f"some of {bits.text(reached)}"


@_rule("STREAM-FIELDS")
def stream_fields(placed: Placed) -> Problems:
    """Starts and steps of streaming layers fit their register fields."""
    for what, value, largest in streaming.fields_too_small(placed):
        yield f"{what} {value}", f"at most {largest}: smaller rows or pooling windows"


@_rule("STREAM-OUTPUT")
def stream_output(placed: Placed) -> Problems:
    """The last streaming layer does not write into its own rolling buffer."""
    last = placed.geometry.streaming and not placed.geometry.streams_out
    if last and _collide(placed, placed, memory.output_span(placed)):
        yield f"writes into its buffer at in_offset {placed.in_offset}", "another out_offset"


@_rule("STREAM-FLOW", subjects=2)
def stream_flow(first: Placed, second: Placed) -> Problems:
    """What a layer streams to the next one is written to the buffer that this one reads."""
    if not first.geometry.streams_out or second.geometry.index != first.geometry.index + 1:
        return
    if memory.output_channels(first) != memory.input_channels(second):
        text = f"writes to byte {first.out_offset} of {bits.text(first.output_processors)}"
        other = f"{second.in_offset} of {bits.text(second.processors)}"
        yield f"the first {text}, the second reads {other}", "the same place, without a write gap"


@_rule("STREAM-OVERLAP", subjects=2)
def stream_overlap(first: Placed, second: Placed) -> Problems:
    """Rolling buffers and the last streaming layer's output do not overlap in an instance."""
    if not (first.geometry.streaming and second.geometry.streaming):
        return
    shared = set(bits.instances(first.processors)) & set(bits.instances(second.processors))
    (a, a_end), (b, b_end) = memory.input_span(first), memory.input_span(second)
    if shared and a < b_end and b < a_end:
        yield f"buffers {a}...{a_end - 1} and {b}...{b_end - 1} overlap", "other in_offsets"
    elif _collide(first, second, memory.output_span(second)):
        yield f"the output at {second.out_offset} lies in the buffer at {a}", "another out_offset"


def _collide(reader: Placed, writer: Placed, span: tuple[int, int]) -> bool:
    """True if ``writer``'s output meets the input of ``reader`` in an instance."""
    instances = set(bits.instances(reader.processors)) & set(
        bits.instances(writer.output_processors)
    )
    start, stop = memory.input_span(reader)
    return bool(instances) and span[0] < stop and start < span[1]


@_rule("OFFSETS")
def offsets(placed: Placed) -> Problems:
    """Byte offsets are multiples of 4, and data end inside their 32 KiB instance."""
    start, end = _loaded(placed)
    ends = (
        ("in_offset", placed.in_offset, placed.in_offset - start, end),
        ("out_offset", placed.out_offset, placed.lead_bytes, memory.output_span(placed)[1]),
    )
    for what, offset, least, stop in ends:
        if offset < least or offset % 4:
            yield f"{what} {offset}", f"a multiple of 4 from {least} on"
        elif stop > limits.INSTANCE_BYTES:
            yield f"{what} {offset}: data end at {stop} of {limits.INSTANCE_BYTES}", ""


def _loaded(placed: Placed) -> tuple[int, int]:
    """First byte of the input and the one after its last, with what is loaded but not read."""
    start, end = memory.input_span(placed)
    if INPUT in placed.layer.inputs and placed.layer.cut is not None:
        words = [word for x in memory.loaded_channels(placed) for word in x.words().tolist()]
        start, end = min(start, 4 * min(words)), max(end, 4 * max(words) + 4)
    return start, end


@_rule("WRITE-GAP")
def write_gap(placed: Placed) -> Problems:
    """Output passes times (write gap + 1) are at most 16."""
    passes = placed.geometry.out_passes if placed.geometry.convolves else 1
    if placed.write_gap < 0 or passes * (placed.write_gap + 1) > _OUTPUT_STEPS:
        yield f"write gap {placed.write_gap} in {passes} output passes", "a smaller gap"


@_rule("KERNEL-SPACE")
def kernel_space(placed: Placed) -> Problems:
    """Kernels start at a multiple of 4 and end inside the 768 columns of a processor."""
    if not placed.geometry.convolves:
        return
    column, count = placed.kernel_column, kernels.layer_columns(placed)
    if column < 0 or column % limits.KERNEL_ALIGNMENT:
        yield f"kernels start in column {column}", f"a multiple of {limits.KERNEL_ALIGNMENT}"
    if column + count > limits.KERNEL_COLUMNS:
        text = f"kernels take columns {column}...{column + count - 1}"
        yield text, f"a processor has {limits.KERNEL_COLUMNS}"


@_rule("BIAS-SPACE")
def bias_space(placed: Placed) -> Problems:
    """A bias lies inside the 512 entries of a quadrant that the network uses."""
    if placed.bias_quadrant is None:
        return
    start, stop = _bias_span(placed)
    if placed.bias_quadrant not in placed.quadrants:
        yield f"bias in quadrant {placed.bias_quadrant}, used are {placed.quadrants}", ""
    if start < 0 or stop > limits.BIAS_BYTES_PER_QUADRANT:
        text = f"bias entries {start}...{stop - 1}"
        yield text, f"a quadrant has {limits.BIAS_BYTES_PER_QUADRANT}"


def _bias_span(placed: Placed) -> tuple[int, int]:
    """First entry of a layer's bias and the one after the last, leading empty ones included."""
    return placed.bias_start, placed.bias_start + placed.bias_entries


@_rule("KERNEL-OVERLAP", subjects=2)
def kernel_overlap(first: Placed, second: Placed) -> Problems:
    """Two layers share kernel columns only if the kernels are the same or of empty slots."""
    if not (first.geometry.convolves and second.geometry.convolves):
        return
    shared = first.processors & second.processors
    a, b = (kernels.content_column(x) for x in (first, second))
    ends = [x.kernel_column + kernels.layer_columns(x) for x in (first, second)]
    if shared and a < ends[1] and b < ends[0] and not _same_kernels(first, second):
        span = f"{max(a, b)}...{min(ends) - 1}"
        yield f"both use kernel columns {span} of processor {bits.lowest(shared)}", ""


def _same_kernels(first: Placed, second: Placed) -> bool:
    if (first.kernel_column, first.processors) != (second.kernel_column, second.processors):
        return False
    images = [kernels.pack(kernels.kernel_list(x), x.layer.weight_bits) for x in (first, second)]
    return np.array_equal(images[0], images[1])


@_rule("BIAS-OVERLAP", subjects=2)
def bias_overlap(first: Placed, second: Placed) -> Problems:
    """Two layers share no bias entries."""
    if first.bias_quadrant is None or first.bias_quadrant != second.bias_quadrant:
        return
    (a, a_end), (b, b_end) = _bias_span(first), _bias_span(second)
    if a < b_end and b < a_end:
        span = f"{max(a, b)}...{min(a_end, b_end) - 1}"
        yield f"both use bias entries {span} of quadrant {first.bias_quadrant}", ""
