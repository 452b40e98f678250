"""Networks drawn from the chip's rules: what they compute, and what of their place is given.

Most have any layers in any order, so far as the rules allow; some begin with streaming layers, some
are fed by FIFO. Given is the way of the input, its format, and gaps between words of an output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from max78k.chip import limits
from max78k.compiler.lowering import lower
from max78k.compiler.placement import FAST_FIFO, FIFO, LayerPlacement, Placement
from max78k.errors import Max78kError
from max78k.network import Activation, Cut, Eltwise, Layer, Network, Operation, Pool, rules
from max78k.network.geometry import geometry
from max78k.network.network import INPUT
from max78k.network.shapes import Shape, layer_shapes

Int8Array = NDArray[np.int8]
_LARGEST = 700  # values of a channel: what the reference and the model do in milliseconds


@dataclass(frozen=True)
class Drawn:
    """A network and what is given of its placement, if anything is."""

    network: Network
    given: Placement | None = None


@dataclass
class Draw:
    """A network being drawn, layer by layer.

    ``shapes`` has all data so far, ``outputs`` what is an output though it is read, ``closed`` what
    no further layer may read. ``fed``: a FIFO delivers the input to the first layer.
    """

    rng: np.random.Generator
    shapes: dict[str, Shape] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    outputs: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    fed: bool = False

    def one_of(self, *choices: Any) -> Any:
        """One of several, all as likely."""
        return choices[int(self.rng.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        """A whole number in low...high."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def values(self, bits: int, *shape: int) -> Int8Array:
        """Two's complement numbers of ``bits`` bits."""
        half = 1 << (bits - 1)
        return self.rng.integers(-half, half, shape).astype(np.int8)

    def bits(self) -> int:
        """Bits of a weight."""
        return int(self.one_of(8, 8, 4, 2, 1))

    def channels(self) -> int:
        """Mostly few, sometimes more than a pass holds."""
        return int(self.one_of(self.number(1, 16), self.number(1, 64), self.number(60, 150)))

    def add(self, operation: Operation, sources: tuple[str, ...], **fields: Any) -> bool:
        """Add a layer if its shapes are possible and its data small enough."""
        layer = Layer(f"L{len(self.layers)}", operation, sources, **fields)
        try:
            shape = layer_shapes(layer, [self.shapes[name] for name in sources]).output
        except Max78kError:
            return False
        if math.prod(shape[1:]) > _LARGEST:
            return False
        self.layers.append(layer)
        self.shapes[layer.name] = shape
        if self.chance(0.1) and not layer.streaming:
            self.outputs.add(layer.name)
        else:
            self.outputs.discard(layer.name)
        return True

    def undo(self) -> None:
        """Take the last layer away."""
        self.shapes.pop(self.layers.pop().name)


def draw(seed: int, number: int) -> Drawn:
    """Random network ``number`` of a seed, inside the rules of the chip."""
    draws = Draw(np.random.default_rng([seed, number]))
    kind = draws.number(1, 10)
    if kind == 1:
        return _streaming(draws)
    draws.fed = kind == 2
    few = draws.one_of(1, draws.number(2, 4), draws.number(5, limits.FIFO_CHANNELS))
    channels = few if draws.fed else draws.channels()
    sides = (draws.number(1, 24) for _ in range(draws.one_of(1, 2, 2, 2)))
    draws.shapes[INPUT] = (channels, *sides)
    _fill(draws, draws.number(1, 7))
    if not draws.layers:
        draws.shapes = {INPUT: (3, 5, 4)}
        _convolution(draws, (INPUT,), plain=True)
    network = _network(draws)
    if draws.fed:
        return Drawn(network, _feed(draws, network))
    return Drawn(network, _gaps(draws, network) if draws.chance(0.15) else None)


def _fill(draw: Draw, wanted: int) -> None:
    """Add layers that keep the rules, up to ``wanted`` in all."""
    for _ in range(8 * wanted):
        if len(draw.layers) >= wanted:
            return
        before = len(draw.layers)
        _step(draw)
        if len(draw.layers) == before:
            continue
        layer = draw.layers[-1]
        convolves = layer.operation not in (Operation.LINEAR, Operation.PASSTHROUGH)
        whole = layer.operands == 1 and layer.cut is None and convolves and layer.dilation == 1
        loose = draw.fed and not before and not whole
        if loose or rules.check(lower(_network(draw))):
            draw.undo()
        elif draw.fed:  # the first layer alone reads the input
            draw.closed.add(INPUT)


def _streaming(draw: Draw) -> Drawn:
    """A chain whose first layers stream, with anything behind them."""
    planar = draw.chance(0.4)
    most = limits.FIFO_PLANES if planar else limits.FIFO_CHANNELS
    draw.shapes[INPUT] = (draw.number(1, most), draw.number(10, 26), draw.number(10, 26))
    for left in reversed(range(draw.number(1, 4))):
        _stream(draw, last=not left)
    while draw.layers and rules.check(_network(draw)):
        draw.undo()
    if not draw.layers:
        weight = draw.values(8, 4, draw.shapes[INPUT][0], 3, 3)
        draw.add(Operation.CONV2D, (INPUT,), weight=weight, padding=1, streaming=True)
    draw.closed = {INPUT, *(layer.name for layer in draw.layers[:-1])}
    _fill(draw, len(draw.layers) + draw.number(0, 3))
    network = _network(draw)
    return Drawn(network, Placement({}, "CHW" if planar else "HWC", FIFO))


def _stream(draw: Draw, last: bool) -> None:
    """One streaming layer behind the last one; the last of them needs padding."""
    source = draw.layers[-1].name if draw.layers else INPUT
    inputs, outputs, bits = draw.shapes[source][0], draw.one_of(3, 8, 30, 64, 70), draw.bits()
    size, stride = draw.one_of(1, 3), draw.number(1, 2)
    window = (draw.number(1, 2), draw.number(1, 2))
    pools = source != INPUT and draw.chance(0.5)
    fields = _kernel_fields(draw, outputs, inputs * size * size, bits) | {
        "output_width": 8,
        "padding": 0 if size == 1 else 1 if last else draw.number(0, 1),
        "pool": Pool(draw.one_of("max", "avg"), window, (stride, stride)) if pools else None,
    }
    weight = draw.values(bits, outputs, inputs, size, size)
    draw.add(Operation.CONV2D, (source,), weight=weight, streaming=True, **fields)


def _feed(draw: Draw, network: Network) -> Placement:
    """A FIFO that can feed the network's input."""
    first, shape = network.layers[0], network.input_shape
    planes = first.operation is Operation.CONV2D and first.cut is None
    if planes and shape[0] <= limits.FIFO_PLANES and draw.chance(0.5):
        return Placement({}, "CHW", FAST_FIFO if shape[0] == 1 else FIFO)
    fast = shape[0] <= limits.PROCESSORS_PER_INSTANCE and draw.chance(0.5)
    return Placement({}, "HWC", FAST_FIFO if fast else FIFO)


def _gaps(draw: Draw, network: Network) -> Placement:
    """Gaps in outputs that no layer reads."""
    lowered = lower(network)
    read = {name for layer in lowered.layers for name in layer.inputs}
    rows = {}
    for shape in geometry(lowered):
        passes = shape.out_passes if shape.convolves else 1
        most = min(16 // passes, limits.INSTANCE_WORDS // max(shape.out_words, 1)) - 1
        if shape.layer.name not in read and most > 0:
            rows[shape.layer.name] = LayerPlacement(write_gap=draw.number(1, min(most, 5)))
    return Placement(rows)


def _network(draw: Draw) -> Network:
    """All layers that nobody reads are outputs, and those that were drawn."""
    read = {name for layer in draw.layers for name in layer.inputs} - draw.outputs
    outputs = tuple(layer.name for layer in draw.layers if layer.name not in read)
    rounds = len(draw.shapes[INPUT]) % 2 == 1
    shape = draw.shapes[INPUT]
    return Network("random", shape, tuple(draw.layers), outputs, average_rounds=rounds)


def _step(draw: Draw) -> None:
    """One more layer, mostly behind the last one."""
    wide = {layer.name for layer in draw.layers if layer.output_width == 32}
    names = [name for name in draw.shapes if name not in wide | draw.closed]
    if not names:
        return
    source = names[-1] if draw.chance(0.7) else draw.one_of(*names)
    shape = draw.shapes[source]
    alike = [name for name in names if draw.shapes[name] == shape]
    level = [name for name in names if draw.shapes[name][1:] == shape[1:]]
    if draw.chance(0.25) and len(names) > 1:
        parts = tuple(draw.one_of(*alike) for _ in range(draw.number(2, 3)))
        draw.one_of(_pass_through, _convolution)(draw, parts, draw.one_of(*Eltwise))
    elif draw.chance(0.25) and len(level) > 1:
        parts = tuple(dict.fromkeys(draw.one_of(*level) for _ in range(draw.number(2, 3))))
        draw.one_of(_pass_through, _convolution)(draw, parts)
    elif draw.chance(0.1) and shape[0] > 1:
        draw.one_of(_pass_through, _convolution)(draw, (source,), draw.one_of(*Eltwise))
    else:
        kinds = (_convolution, _convolution, _convolution, _transposed, _linear, _pass_through)
        draw.one_of(*kinds)(draw, (source,))


def _kernel_fields(draw: Draw, outputs: int, fan_in: int, bits: int) -> dict[str, Any]:
    """Bias, shift, activation and width of a layer with kernels."""
    narrow = 2 * (bits == 1)
    shift = min(7, -round(math.log2(max(fan_in, 1)) / 2) + draw.number(-1, 2) + narrow)
    fields: dict[str, Any] = {
        "weight_bits": bits,
        "bias": draw.values(8, outputs) if draw.chance(0.6) else None,
        "output_shift": max(shift, bits - 20),
        "activation": draw.one_of(*Activation),
    }
    if draw.chance(0.1):
        fields |= {"output_width": 32, "activation": Activation.NONE}
    return fields


def _pool(draw: Draw, shape: Shape) -> Pool | None:
    """None as often as not; sizes that the data have room for."""
    if len(shape) < 2 or draw.chance(0.5):
        return None
    stride = draw.number(1, draw.one_of(2, 4))
    sizes = [draw.number(1, min(n, draw.one_of(2, 5, 16))) for n in shape[1:]]
    size, strides = (*sizes, 1)[:2], (stride, stride if len(sizes) > 1 else 1)
    return Pool(draw.one_of("max", "avg"), (size[0], size[1]), strides)


def _seen(draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None) -> dict[str, Any]:
    """How a layer sees its sources: cut into operands, in another size, in part."""
    shape, fields = draw.shapes[sources[0]], dict[str, Any]()
    if eltwise and len(sources) == 1:
        parts = [n for n in range(2, limits.ELTWISE_OPERANDS + 1) if shape[0] % n == 0]
        fields["split"] = draw.one_of(*parts) if parts else 2
    if len(shape) > 1 and draw.chance(0.12):
        fields["view"] = draw.one_of(*_sizes(math.prod(shape[1:])))
    if draw.chance(0.12):
        rows = (fields.get("view") or shape[1:] or (1,))[0]
        total = shape[0] if eltwise else sum(draw.shapes[name][0] for name in sources)
        first, top = draw.number(0, total - 1), draw.number(0, (rows - 1) // 2)
        channels = draw.number(1, total - first)
        cuts = Cut(first, channels), Cut(top=top, bottom=draw.number(0, rows - 1 - top))
        fields["cut"] = draw.one_of(*cuts)
    return fields


def _sizes(pixels: int) -> list[tuple[int, ...]]:
    """Sizes of that many pixels."""
    planes = [(n, pixels // n) for n in range(1, pixels + 1) if pixels % n == 0]
    return [(pixels,), *planes]


def _read(
    draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None, seen: dict[str, Any]
) -> Shape | None:
    """Shape of what a layer reads; None if it cannot read that."""
    probe = Layer("probe", Operation.PASSTHROUGH, sources, eltwise=eltwise, **seen)
    try:
        return layer_shapes(probe, [draw.shapes[name] for name in sources]).input
    except Max78kError:
        return None


def _convolution(
    draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None = None, plain: bool = False
) -> None:
    seen = {} if plain else _seen(draw, sources, eltwise)
    shape = _read(draw, sources, eltwise, seen)
    if shape is None:
        return
    outputs, bits = draw.channels(), draw.bits()
    fields: dict[str, Any] = {"eltwise": eltwise, "pool": _pool(draw, shape), **seen}
    fields["pool_first"] = eltwise is None or draw.chance(0.5)
    operation = Operation.CONV1D if len(shape) == 2 else Operation.CONV2D
    if operation is Operation.CONV1D:
        size = draw.number(1, 9)
        fields["dilation"] = draw.one_of(1, 1, 2) if size <= 4 else 1
        kernel: tuple[int, ...] = (size,)
        room = (size - 1) * fields["dilation"]
        if size in (2, 3) and draw.chance(0.2):  # too far for the 1-D hardware
            fields |= {"dilation": draw.number(5, 12), "pool": None}
            room = 0
    else:
        size = draw.one_of(1, 3, 3)
        kernel, room = (size, size), size - 1
    fields["padding"] = draw.number(0, min(2, room))
    fan_in = shape[0] * math.prod(kernel)
    weight = draw.values(bits, outputs, shape[0], *kernel)
    fields |= _kernel_fields(draw, outputs, fan_in, bits)
    draw.add(operation, sources, weight=weight, **fields)


def _transposed(draw: Draw, sources: tuple[str, ...]) -> None:
    seen = _seen(draw, sources, None)
    shape = _read(draw, sources, None, seen)
    if shape is None:
        return
    outputs, bits = draw.number(1, 70), draw.bits()
    weight = draw.values(bits, shape[0], outputs, 3, 3)
    fields = seen | _kernel_fields(draw, outputs, 3 * shape[0], bits)
    pool, padding = _pool(draw, shape), draw.number(0, 2)
    draw.add(
        Operation.CONVTRANSPOSE2D, sources, weight=weight, pool=pool, padding=padding, **fields
    )


def _linear(draw: Draw, sources: tuple[str, ...]) -> None:
    seen = _seen(draw, sources, None)
    shape = _read(draw, sources, None, seen)
    if shape is None:
        return
    pool = _pool(draw, shape) if draw.chance(0.3) else None
    probe = Layer("probe", Operation.PASSTHROUGH, sources, pool=pool)
    inputs = math.prod(layer_shapes(probe, [shape]).pooled)
    outputs, bits = draw.number(1, 110), draw.bits()
    fields = seen | _kernel_fields(draw, outputs, inputs, bits)
    weight = draw.values(bits, outputs, inputs)
    draw.add(Operation.LINEAR, sources, weight=weight, pool=pool, **fields)


def _pass_through(draw: Draw, sources: tuple[str, ...], eltwise: Eltwise | None = None) -> None:
    seen = _seen(draw, sources, eltwise)
    shape = _read(draw, sources, eltwise, seen)
    if shape is None:
        return
    first = eltwise is None or draw.chance(0.5)
    draw.add(
        Operation.PASSTHROUGH, sources, pool=_pool(draw, shape), eltwise=eltwise, pool_first=first,
        **seen,
    )  # fmt: skip
