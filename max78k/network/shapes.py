"""Shapes of the data between layers: input, after pooling, output."""

from __future__ import annotations

import math
from dataclasses import dataclass

from max78k.errors import InputError
from max78k.network.network import INPUT, Layer, Network, Operation

Shape = tuple[int, ...]  # (channels, rows, columns) or (channels, length)


@dataclass(frozen=True)
class LayerShapes:
    """Shapes of one layer: one operand whole and as read, after pooling, the output."""

    whole: Shape
    input: Shape
    pooled: Shape
    output: Shape

    @property
    def flattens(self) -> bool:
        """True if the operation reads more than one pixel as channels (a linear layer)."""
        return len(self.output) == 1 and any(d > 1 for d in self.pooled[1:])


def infer(network: Network) -> dict[str, LayerShapes]:
    """Shapes of every layer, by name; raises InputError where two layers do not fit together.

    The output of a linear layer is ``(channels,)``; read by a later layer it counts as one pixel.
    """
    known: dict[str, Shape] = {INPUT: tuple(network.input_shape)}
    known |= {buffer.name: buffer.shape for buffer in network.buffers}
    result: dict[str, LayerShapes] = {}
    for layer in network.layers:
        shapes = layer_shapes(layer, [known[name] for name in layer.inputs])
        if layer.buffer is not None:
            _check_room(layer, shapes.output, known[layer.buffer])
        known[layer.name] = shapes.output
        result[layer.name] = shapes
    return result


def _check_room(layer: Layer, output: Shape, buffer: Shape) -> None:
    """The output must lie inside the buffer into which it goes."""
    rows = (*output, 1)[1]
    sized = (*output[:1], *buffer[1:2], *((*output, 1, 1)[2 : len(buffer)])) == buffer
    if not sized or not 0 <= layer.buffer_row <= buffer[1] - rows:
        text = f"its output {output} from row {layer.buffer_row} on is no part of the buffer"
        raise _mismatch(layer, f"{text} {layer.buffer} of {buffer}")


def layer_shapes(layer: Layer, sources: list[Shape]) -> LayerShapes:
    """Shapes of ``layer`` when its inputs have the shapes ``sources``."""
    whole = _combine(layer, sources)
    shape = _cut(layer, whole)
    pooled = _pool(layer, shape)
    return LayerShapes(whole, shape, pooled, _operate(layer, pooled))


def _combine(layer: Layer, sources: list[Shape]) -> Shape:
    sources = [_part(layer, source) for source in sources]
    first = sources[0]
    if any(source[1:] != first[1:] for source in sources):
        raise _mismatch(layer, f"its inputs have different sizes {sources}")
    if layer.eltwise is None:
        return (sum(source[0] for source in sources), *first[1:])
    if any(source[0] != first[0] for source in sources):
        raise _mismatch(layer, f"its operands have different channel counts {sources}")
    return first


def _cut(layer: Layer, shape: Shape) -> Shape:
    """Shape of the part of ``shape`` that the layer reads."""
    cut = layer.cut
    if cut is None:
        return shape
    channels, *size = shape
    kept = channels - cut.channel if cut.channels is None else cut.channels
    rows = (size or [1])[0] - cut.top - cut.bottom
    if min(cut.channel, cut.top, cut.bottom) < 0 or not 0 < kept <= channels - cut.channel:
        raise _mismatch(layer, f"it reads {kept} channels from number {cut.channel} of {shape}")
    if rows < 1:
        raise _mismatch(
            layer, f"cropping {cut.top} and {cut.bottom} rows leaves nothing of {shape}"
        )
    return (kept, rows, *size[1:]) if size else (kept,)


def _part(layer: Layer, source: Shape) -> Shape:
    """Shape of one operand, as the layer sees it, of a producer's shape ``source``."""
    channels, *size = source
    if channels % layer.split:
        raise _mismatch(layer, f"{channels} channels are not {layer.split} equal operands")
    if layer.view is None:
        return (channels // layer.split, *size)
    if math.prod(layer.view) != math.prod(size):
        raise _mismatch(layer, f"data of size {tuple(size)} cannot be seen as {layer.view}")
    return (channels // layer.split, *layer.view)


def _pool(layer: Layer, shape: Shape) -> Shape:
    pool = layer.pool
    if pool is None:
        return shape
    sizes = [
        (dimension + stride - size) // stride
        for dimension, size, stride in zip(shape[1:], pool.size, pool.stride, strict=False)
    ]
    if any(size < 1 for size in sizes):
        raise _mismatch(layer, f"pooling {pool.size} leaves nothing of {shape}")
    return (shape[0], *sizes)


def _operate(layer: Layer, shape: Shape) -> Shape:
    if layer.operation is Operation.PASSTHROUGH:
        return shape
    assert layer.weight is not None and layer.out_channels is not None
    channels = layer.out_channels
    if layer.operation is Operation.LINEAR:
        inputs = 1
        for dimension in shape:
            inputs *= dimension
        _expect(layer, "inputs", layer.weight.shape[1], inputs, shape)
        return (channels,)
    rank = 1 if layer.operation is Operation.CONV1D else 2
    if len(shape) == 1:
        shape = shape + (1,) * rank
    if len(shape) != rank + 1:
        raise _mismatch(layer, f"{layer.operation.value} cannot read data of shape {shape}")
    transposed = layer.operation is Operation.CONVTRANSPOSE2D
    _expect(layer, "channels", layer.weight.shape[0 if transposed else 1], shape[0], shape)
    sizes = []
    for dimension, kernel in zip(shape[1:], layer.weight.shape[2:], strict=True):
        if transposed:
            size = 2 * dimension + 2 - 2 * layer.padding
        else:
            size = dimension + 2 * layer.padding - layer.dilation * (kernel - 1)
        if size < 1:
            raise _mismatch(layer, f"the kernel is larger than the padded input {shape}")
        sizes.append(size)
    return (channels, *sizes)


def _expect(layer: Layer, what: str, weights: int, data: int, shape: Shape) -> None:
    if weights != data:
        raise _mismatch(layer, f"its weights take {weights} {what}, the data {shape} have {data}")


def _mismatch(layer: Layer, text: str) -> InputError:
    return InputError("E-NETWORK-SHAPE", f"layer {layer.name}: {text}.")
