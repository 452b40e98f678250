"""What the chip can run: one small function per rule, listed in one table.

A rule's docstring is the sentence that the generated documentation shows. A rule yields
(message, hint) for every place where a network breaks it. Limits are those of
:mod:`max78k.chip.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from max78k.chip import limits
from max78k.errors import InputError, Max78kError, RuleError
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Activation, Layer, Network, Operation

Problems = Iterator[tuple[str, str]]
Find = Callable[..., Problems]

FORM = "form"  # looks at a layer's own fields, before shapes are computed from them
LAYER = "layer"  # looks at one layer's geometry
NETWORK = "network"  # looks at the whole network

_RANKS = {
    Operation.CONV2D: 4,
    Operation.CONVTRANSPOSE2D: 4,
    Operation.CONV1D: 3,
    Operation.LINEAR: 2,
}


@dataclass(frozen=True)
class Rule:
    """A rule of the chip: stable code, what it looks at, and the check."""

    code: str
    scope: str
    find: Find

    @property
    def doc(self) -> str:
        """The rule in one sentence."""
        return (self.find.__doc__ or "").strip()


RULES: list[Rule] = []


def _rule(code: str, scope: str = LAYER) -> Callable[[Find], Find]:
    def register(find: Find) -> Find:
        RULES.append(Rule(f"E-RULE-{code}", scope, find))
        return find

    return register


def check(network: Network) -> list[Max78kError]:
    """Every broken rule of the chip; an empty list if the network can be mapped."""
    found = [error for layer in network.layers for error in _broken(FORM, layer.name, layer)]
    if found:
        return found
    try:
        shapes = geometry(network)
    except InputError as error:
        return [error]
    found += _broken(NETWORK, "", network, shapes)
    for shape in shapes:
        found += _broken(LAYER, shape.layer.name, shape)
    return found


def require(network: Network) -> None:
    """Raise RuleError with all broken rules, if there are any."""
    violations = check(network)
    if violations:
        raise RuleError(violations)


def _broken(scope: str, name: str, *subject: object) -> list[Max78kError]:
    prefix = f"layer {name}: " if name else ""
    return [
        Max78kError(rule.code, f"{prefix}{message}.", hint and f"{hint}.")
        for rule in RULES
        if rule.scope == scope
        for message, hint in rule.find(*subject)
    ]


@_rule("WEIGHT-SHAPE", FORM)
def weight_shape(layer: Layer) -> Problems:
    """Weights and biases are int8 arrays of the operation's rank; pass-through has none."""
    rank = _RANKS.get(layer.operation)
    if rank is None:
        if layer.weight is not None or layer.bias is not None:
            yield "a pass-through layer has weights or a bias", "remove them"
        return
    weight, bias = layer.weight, layer.bias
    if weight is None or weight.dtype != np.int8 or weight.ndim != rank or not weight.size:
        yield f"{layer.operation.value} needs int8 weights with {rank} dimensions", ""
    elif bias is not None and (bias.dtype != np.int8 or bias.shape != (layer.out_channels,)):
        yield f"the bias is {bias.dtype} {bias.shape}, not int8 ({layer.out_channels},)", ""


@_rule("WEIGHT-BITS", FORM)
def weight_bits(layer: Layer) -> Problems:
    """Weights have 1, 2, 4 or 8 bits, two's complement, and stay inside that range."""
    if layer.weight_bits not in limits.WEIGHT_BITS:
        yield f"weights of {layer.weight_bits} bits", "1, 2, 4 or 8"
    elif layer.weight is not None and layer.weight.size:
        half = 1 << (layer.weight_bits - 1)
        low, high = int(layer.weight.min()), int(layer.weight.max())
        if low < -half or high >= half:
            span = f"{-half}...{half - 1}"
            yield f"weights {low}...{high} do not fit {layer.weight_bits} bits ({span})", ""


@_rule("POOL-SIZE", FORM)
def pool_size(layer: Layer) -> Problems:
    """Pooling is max or average with a window of 1-16 on either axis."""
    if layer.pool is None:
        return
    if layer.pool.kind not in ("max", "avg"):
        yield f"pooling {layer.pool.kind!r}", "max or avg"
    if not all(1 <= size <= limits.POOL_SIZE for size in layer.pool.size):
        yield f"pooling window {layer.pool.size}", f"1-{limits.POOL_SIZE} on either axis"


@_rule("POOL-STRIDE", FORM)
def pool_stride(layer: Layer) -> Problems:
    """The pooling stride is 1-16 and the same on both axes (1-D data: on the first)."""
    if layer.pool is None:
        return
    rows, columns = layer.pool.stride
    if not (1 <= rows <= limits.POOL_STRIDE and 1 <= columns <= limits.POOL_STRIDE):
        yield f"pooling stride {layer.pool.stride}", f"1-{limits.POOL_STRIDE}"


@_rule("OPERANDS", FORM)
def operands(layer: Layer) -> Problems:
    """An element-wise operation has 2-16 operands; every layer has at least one input."""
    count = layer.operands
    if len(layer.inputs) < 1:
        yield "no input", ""
    elif layer.split < 1 or (layer.split > 1 and layer.eltwise is None):
        yield f"inputs cut into {layer.split} operands", "1 without an element-wise operation"
    elif layer.eltwise is not None and not 2 <= count <= limits.ELTWISE_OPERANDS:
        yield f"{layer.eltwise.value} of {count} operands", f"2-{limits.ELTWISE_OPERANDS}"


@_rule("PADDING", FORM)
def padding(layer: Layer) -> Problems:
    """Padding is 0, 1 or 2 and smaller than the kernel; linear and pass-through have none."""
    allowed = limits.PADDING
    if layer.operation in (Operation.LINEAR, Operation.PASSTHROUGH):
        allowed = 0
    elif layer.weight is not None and layer.weight.ndim > 2:
        allowed = min(allowed, (layer.weight.shape[2] - 1) * layer.dilation)
    if not 0 <= layer.padding <= allowed:
        yield f"padding {layer.padding}", f"at most {allowed} here"


@_rule("DILATION", FORM)
def dilation(layer: Layer) -> Problems:
    """Only 1-D convolutions dilate; past 9 values with 2-3 taps, without padding or pooling."""
    if layer.dilation == 1:
        return
    if layer.dilation < 1 or layer.operation is not Operation.CONV1D:
        yield f"dilation {layer.dilation} of {layer.operation.value}", "dilation 1"
    elif layer.weight is not None and layer.weight.ndim == 3:
        taps = layer.weight.shape[2]
        span = (taps - 1) * layer.dilation + 1
        plain = not (layer.padding or layer.pool or layer.eltwise or layer.streaming)
        if span > limits.CONV1D_KERNEL and not (plain and taps <= limits.FOLDED_KERNEL):
            hint = (
                f"at most {limits.CONV1D_KERNEL}, or {limits.FOLDED_KERNEL} taps in a layer that "
                "does not pad, pool, stream or work element-wise; a pass-through layer can pool"
            )
            yield f"kernel and dilation {layer.dilation} span {span} values", hint


@_rule("OUTPUT-WIDTH", FORM)
def output_width(layer: Layer) -> Problems:
    """Outputs have 8 bits, or 32 after a convolution or linear layer without activation."""
    if layer.output_width not in (8, 32):
        yield f"outputs of {layer.output_width} bits", "8 or 32"
    elif layer.output_width == 32:
        if layer.operation is Operation.PASSTHROUGH:
            yield "a pass-through layer has 8-bit outputs", ""
        elif layer.activation is not Activation.NONE:
            hint = "8-bit outputs, or no activation"
            yield f"activation {layer.activation.value} with 32-bit outputs", hint


@_rule("SHIFT", FORM)
def output_shift(layer: Layer) -> Problems:
    """The output shift plus 8 minus the weight bits lies in -15...15."""
    if abs(layer.register_shift) > limits.SHIFT and layer.operation is not Operation.PASSTHROUGH:
        low = -limits.SHIFT - 8 + layer.weight_bits
        hint = f"{low}...{low + 2 * limits.SHIFT} with {layer.weight_bits}-bit weights"
        yield f"output shift {layer.output_shift}", hint


@_rule("PASSTHROUGH", FORM)
def passthrough(layer: Layer) -> Problems:
    """A pass-through layer neither activates nor shifts."""
    if layer.operation is Operation.PASSTHROUGH:
        if layer.activation is not Activation.NONE:
            yield f"activation {layer.activation.value} in a pass-through layer", ""
        if layer.output_shift:
            yield f"output shift {layer.output_shift} in a pass-through layer", ""


@_rule("POOL-ORDER", FORM)
def pool_order(layer: Layer) -> Problems:
    """Pooling after an element-wise operation takes two operands at most."""
    if layer.eltwise and layer.pool and not layer.pool_first and layer.operands > 2:
        yield f"pooling after combining {layer.operands} operands", "pool first"


@_rule("LAYERS", NETWORK)
def layers(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """A network has at most 32 layers."""
    if len(shapes) > limits.LAYERS:
        yield f"{len(shapes)} layers", f"at most {limits.LAYERS}"


@_rule("INPUT-SHAPE", NETWORK)
def input_shape(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """The input has channels and one or two dimensions, none of them 0."""
    shape = network.input_shape
    if len(shape) not in (2, 3) or min(shape) < 1:
        yield f"input shape {tuple(shape)}", "(channels, rows, columns) or (channels, length)"


@_rule("WIDE-READ", NETWORK)
def wide_read(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """A 32-bit output is an output of the network, never the input of a layer."""
    wide = {layer.name for layer in network.layers if layer.output_width == 32}
    for layer in network.layers:
        for name in wide.intersection(layer.inputs):
            yield f"layer {layer.name} reads the 32-bit output of layer {name}", "8-bit outputs"


@_rule("KERNEL-BYTES", NETWORK)
def kernel_bytes(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """All weights together take at most 442,368 bytes."""
    if network.weight_bytes > limits.KERNEL_BYTES:
        over = f"{network.weight_bytes} bytes of weights, the chip holds {limits.KERNEL_BYTES}"
        yield over, "fewer channels or fewer bits per weight"


@_rule("BIAS-BYTES", NETWORK)
def bias_bytes(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """All biases together take at most 2048 bytes."""
    total = sum(x.bias.size for x in network.layers if x.bias is not None and np.any(x.bias))
    if total > limits.BIAS_BYTES:
        yield f"{total} biases, the chip holds {limits.BIAS_BYTES}", "layers without bias"


@_rule("STREAM-ORDER", NETWORK)
def stream_order(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """The streaming layers are the first ones, at most 8, each reading the one before it alone."""
    count = sum(shape.streaming for shape in shapes)
    if count > limits.STREAMING_LAYERS:
        yield f"{count} streaming layers", f"at most {limits.STREAMING_LAYERS}"
    previous = INPUT
    for shape in shapes:
        name = shape.layer.name
        if shape.streaming:
            if shape.index >= count:
                yield f"layer {name} streams behind a layer that does not", "stream the first ones"
            readers = [layer.name for layer in network.layers if previous in layer.inputs]
            if shape.layer.inputs != (previous,) or readers != [name]:
                yield f"layer {name} streams {previous}, which it must read alone", "no branches"
            if previous in network.outputs:
                yield f"{previous} streams into layer {name} and is an output", "a later output"
        previous = name


@_rule("STREAM-PADDING", NETWORK)
def stream_padding(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """The last streaming layer has padding, and no streaming layer flattens."""
    streaming = [shape for shape in shapes if shape.streaming]
    if streaming and not any(streaming[-1].padding):
        name = streaming[-1].layer.name
        yield f"layer {name}, the last streaming one, has no padding", "padding 1 or 2"
    for shape in streaming:
        if shape.flattens:
            yield f"layer {shape.layer.name} streams and flattens", "a flattening layer behind it"


@_rule("BUFFER", NETWORK)
def buffer(network: Network, shapes: tuple[Geometry, ...]) -> Problems:
    """A buffer is read alone; 8-bit outputs of layers that are not folded are written into it."""
    for shape in shapes:
        layer = shape.layer
        kept = set(layer.inputs) & set(network.buffer_names)
        if kept and (len(layer.inputs) > 1 or layer.split > 1):
            yield f"layer {layer.name} joins buffer {min(kept)} with other data", "a copy of it"
        if any(other.buffer and other.name in layer.inputs for other in network.layers):
            yield f"layer {layer.name} reads a layer that writes into a buffer", "the buffer"
        if network.buffers and shape.streaming:
            yield f"layer {layer.name} streams in a network with buffers", "no streaming"
        if layer.buffer and (layer.output_width != 8 or shape.folded):
            what = "32-bit" if layer.output_width != 8 else "widely dilated"
            yield f"layer {layer.name} writes {what} data into buffer {layer.buffer}", "a copy"
        if layer.buffer and layer.name in network.outputs:
            yield f"layer {layer.name}, an output, writes into buffer {layer.buffer}", "a copy"


@_rule("CUT")
def cut(shape: Geometry) -> Problems:
    """A part of the channels is read of up to 64; no cut of what streams or holds all operands."""
    layer = shape.layer
    if layer.cut is None:
        return
    if shape.streaming or layer.split > 1:
        what = "streaming data" if shape.streaming else "data that hold all operands"
        yield f"reads a part of {what}", "all of the data"
    elif layer.cut.of_channels and shape.whole[0] > limits.PROCESSORS:
        text = f"reads {shape.channels} of {shape.whole[0]} channels, which lie in several passes"
        yield text, f"a part of up to {limits.PROCESSORS} channels"


@_rule("CONV1D-ELTWISE")
def conv1d_eltwise(shape: Geometry) -> Problems:
    """A 1-D convolution combines no operands; a transposed one does not either."""
    if shape.layer.eltwise and (shape.one_dimensional or shape.transposed):
        hint = "a pass-through layer for the element-wise operation"
        yield f"{shape.layer.eltwise.value} before {shape.layer.operation.value}", hint


@_rule("CHANNELS")
def channels(shape: Geometry) -> Problems:
    """A layer has 1-1024 input and 1-1024 output channels."""
    for what, count in (("input", shape.channels), ("output", shape.outputs)):
        if not 1 <= count <= limits.CHANNELS:
            yield f"{count} {what} channels", f"at most {limits.CHANNELS}"


@_rule("KERNEL-SIZE")
def kernel_size(shape: Geometry) -> Problems:
    """Kernels: 1x1 or 3x3 (2-D), 1-9 (1-D), 3x3 (transposed)."""
    operation, kernel = shape.layer.operation, shape.kernel
    if shape.folded:
        return
    if operation is Operation.CONV2D and kernel not in limits.CONV2D_KERNELS:
        yield f"kernel {kernel[0]}x{kernel[1]}", "1x1 or 3x3"
    elif operation is Operation.CONVTRANSPOSE2D and kernel != (3, 3):
        yield f"kernel {kernel[0]}x{kernel[1]}", "3x3"
    elif operation is Operation.CONV1D and kernel[0] > limits.CONV1D_KERNEL:
        yield f"kernel {kernel[0]}", f"1-{limits.CONV1D_KERNEL}"


@_rule("DIMENSION")
def dimension(shape: Geometry) -> Problems:
    """Rows and columns, and the padded size as the hardware counts it, are at most 1023."""
    if shape.flattens:
        return
    zoom = 2 if shape.transposed else 1
    passes = shape.in_passes if shape.emulates_passes else 1
    for what, size, pad, times in (
        ("rows", shape.size[0], shape.padding[0], zoom * passes),
        ("columns", shape.size[1], shape.padding[1], zoom),
    ):
        if max(size, size * times - 1 + 2 * pad) > limits.DIMENSION:
            yield f"{size} {what}, padding {pad}", f"at most {limits.DIMENSION} in all"


@_rule("FRAME")
def frame(shape: Geometry) -> Problems:
    """Rows times columns times input passes stay below 2**21."""
    if shape.pixels * shape.in_passes >= limits.FRAME:
        yield f"{shape.size} in {shape.in_passes} passes", f"below {limits.FRAME} in all"


@_rule("POOL-AXES")
def pool_axes(shape: Geometry) -> Problems:
    """Both axes share one pooling stride; 1-D data pool along their length alone."""
    pool = shape.layer.pool
    if pool is None:
        return
    if shape.size[1] == 1:
        if pool.size[1] != 1:
            yield f"window {pool.size} on data of one column", "1 as the second number"
    elif pool.stride[0] != pool.stride[1]:
        yield f"strides {pool.stride}", "the same stride on both axes"


@_rule("POOL-CHANNELS")
def pool_channels(shape: Geometry) -> Problems:
    """A pass-through layer pools more than 64 channels only down to one pixel."""
    if shape.convolves or not (shape.pools or shape.pooled != shape.size):
        return
    if shape.in_passes > 1 and shape.pooled != (1, 1):
        hint = "pool in the next convolution, or split the channels"
        yield f"pooling {shape.channels} channels to {shape.pooled}", hint


@_rule("FLATTEN-POOL")
def flatten_pool(shape: Geometry) -> Problems:
    """A flattening linear layer does not pool and combines no operands."""
    if shape.flattens and (shape.layer.pool or shape.layer.eltwise):
        yield "pooling or an element-wise operation in a flattening layer", "a layer before it"


@_rule("FLATTEN-STEPS")
def flatten_steps(shape: Geometry) -> Problems:
    """A flattened input has at most 256 pixels times passes, and 16384 values in all."""
    if not shape.flattens:
        return
    values = shape.pixels * shape.channels
    if shape.steps > limits.FLATTEN_STEPS or values > limits.FLATTEN_INPUTS:
        text = f"{shape.pixels} pixels in {shape.in_passes} passes, {values} values"
        yield text, f"at most {limits.FLATTEN_STEPS} steps, {limits.FLATTEN_INPUTS} values"


@_rule("BIAS-CHANNELS")
def bias_channels(shape: Geometry) -> Problems:
    """A layer with bias has at most 512 outputs: its bias lies in one quadrant."""
    bias = shape.layer.bias
    if bias is not None and np.any(bias) and shape.outputs > limits.BIAS_CHANNELS:
        yield f"{shape.outputs} outputs with bias", f"at most {limits.BIAS_CHANNELS}, or no bias"


@_rule("ELTWISE-PASSES")
def eltwise_passes(shape: Geometry) -> Problems:
    """More than 64 channels in more than 2 operands or passes: no pooling, no convolution."""
    if shape.emulates_passes and (shape.convolves or shape.layer.pool):
        text = f"{shape.operands} operands in {shape.in_passes} passes with pooling or convolution"
        yield text, "a pass-through layer for the element-wise operation"


@_rule("DATA-INPUT")
def data_input(shape: Geometry) -> Problems:
    """A layer's input fits the 32 KiB of each data-memory instance that holds it."""
    words = 0 if shape.streaming else shape.pixels * shape.in_passes * shape.operands
    if not shape.streaming and INPUT in shape.layer.inputs and shape.may_be_planar:
        words = -(-shape.pixels // 4)
    if words > limits.INSTANCE_WORDS:
        have = f"{4 * words} bytes, an instance has {limits.INSTANCE_BYTES}"
        yield f"the input takes {have}", "smaller pictures or fewer channels"


@_rule("DATA-OUTPUT")
def data_output(shape: Geometry) -> Problems:
    """A layer's output fits the 32 KiB of each data-memory instance that receives it."""
    if shape.out_words > limits.INSTANCE_WORDS and not shape.streams_out:
        have = f"{4 * shape.out_words} bytes, an instance has {limits.INSTANCE_BYTES}"
        yield f"the output takes {have}", "pool earlier, or fewer output channels"


@_rule("CONCAT-INPUT")
def concat_input(shape: Geometry) -> Problems:
    """The network's input is not a part of a concatenation."""
    layer = shape.layer
    if layer.eltwise is None and len(layer.inputs) > 1 and INPUT in layer.inputs:
        yield "the network's input is joined with other data", "a pass-through layer on the input"
