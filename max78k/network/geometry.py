"""The numbers of a layer as the accelerator sees it: passes, processors, rows, columns, kernel.

Depends on the network alone, not on its placement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from max78k.chip import limits
from max78k.network.network import INPUT, Layer, Network, Operation
from max78k.network.shapes import LayerShapes, Shape, infer


def passes(channels: int) -> int:
    """Passes needed for ``channels``: every pass takes up to 64 of them."""
    return -(-channels // limits.PROCESSORS)


def processors(channels: int) -> int:
    """Processors used in every pass; with more than one pass a multiple of 4."""
    count = -(-channels // max(passes(channels), 1))
    if channels > limits.PROCESSORS:
        count = min(-(-count // 4) * 4, limits.PROCESSORS)
    return count


@dataclass(frozen=True)
class Geometry:
    """One layer in the accelerator's terms.

    ``channels`` counts one operand before flattening; ``size``, ``pooled`` and ``out_size`` are
    (rows, columns) of the input, after pooling, and of the output; 1-D data have one column.

    ``widened``: a 1x1 kernel of or behind a streaming layer is run as the middle of a 3x3 kernel.
    ``folded``: a 1-D convolution that is dilated too far for the 1-D hardware is run as a 3x3 one
    on rows of ``dilation`` columns; ``size``, ``pooled`` and ``out_size`` are then those of the
    fold, ``values`` and ``out_values`` the numbers of values that count.
    ``whole``: channels, rows and columns of the data of which the layer reads a part.
    ``flattens``: the kernels are counted by output channel, pixel and pass, so that none are kept
    for output slots without a channel. Also true of a linear layer on one pixel, unless it pools
    or combines operands, or a pass-through layer reads it, which needs words that are all written.
    ``streams_out``: the output goes to a streaming layer, and never lies in memory as a whole.
    """

    index: int
    layer: Layer
    channels: int
    outputs: int
    size: tuple[int, int]
    pooled: tuple[int, int]
    out_size: tuple[int, int]
    flattens: bool
    values: int
    out_values: int
    whole: tuple[int, int, int]
    widened: bool = False
    folded: bool = False
    streams_out: bool = False

    @property
    def operands(self) -> int:
        """Element-wise operands; 1 without an element-wise operation."""
        return self.layer.operands

    @property
    def streaming(self) -> bool:
        """True if the layer starts before its input is complete."""
        return self.layer.streaming

    @property
    def convolves(self) -> bool:
        """True if the layer has kernels."""
        return self.layer.operation is not Operation.PASSTHROUGH

    @property
    def transposed(self) -> bool:
        """True for a transposed convolution."""
        return self.layer.operation is Operation.CONVTRANSPOSE2D

    @property
    def one_dimensional(self) -> bool:
        """True for a convolution that the hardware runs as a 1-D one."""
        return self.layer.operation is Operation.CONV1D and not self.folded

    @property
    def pointwise(self) -> bool:
        """True for a 1x1 convolution or a linear layer, flattening or not."""
        kinds = (Operation.CONV2D, Operation.LINEAR)
        return self.layer.operation in kinds and self.kernel == (1, 1)

    @property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the hardware kernel; a dilated 1-D kernel is filled with zeros."""
        weight = self.layer.weight
        if self.widened or self.folded:
            return (3, 3)
        if weight is None or weight.ndim < 3:
            return (1, 1)
        if self.one_dimensional:
            return ((int(weight.shape[2]) - 1) * self.layer.dilation + 1, 1)
        return (int(weight.shape[2]), int(weight.shape[3]))

    @property
    def taps(self) -> int:
        """Weights in one hardware kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns that the hardware adds at every edge."""
        if self.transposed:
            return (2 - self.layer.padding,) * 2
        if self.widened or self.folded:
            return (1, 1)
        if self.one_dimensional:
            return (self.layer.padding, 0)
        return (self.layer.padding,) * 2

    @property
    def pool_size(self) -> tuple[int, int]:
        """Pooling window, (1, 1) without pooling."""
        return self.layer.pool.size if self.layer.pool else (1, 1)

    @property
    def pools(self) -> bool:
        """True if the pooling window is larger than one pixel."""
        return self.pool_size != (1, 1)

    @property
    def in_passes(self) -> int:
        """Input passes: groups of up to 64 input channels."""
        return passes(self.channels)

    @property
    def in_processors(self) -> int:
        """Processors that read the input."""
        return processors(self.channels)

    @property
    def out_passes(self) -> int:
        """Output passes: groups of up to 64 output channels."""
        return passes(self.outputs)

    @property
    def out_processors(self) -> int:
        """Processors whose data memory receives the output."""
        return processors(self.outputs)

    @property
    def pixels(self) -> int:
        """Pixels of one input channel."""
        return self.size[0] * self.size[1]

    @property
    def first_channel(self) -> int:
        """The first channel that is read; 0 without a cut."""
        return self.layer.cut.channel if self.layer.cut else 0

    @property
    def skipped(self) -> int:
        """Values of a channel that are left out before the first one that is read."""
        return self.layer.cut.top * self.whole[2] if self.layer.cut else 0

    @property
    def whole_values(self) -> int:
        """Values of a channel, those that are left out included."""
        return self.whole[1] * self.whole[2]

    @property
    def skipped_words(self) -> int:
        """Words of HWC data in each instance before the first one that is read."""
        return self.skipped * self.in_passes * self.operands

    @property
    def rows_before(self) -> int:
        """Words in each instance of a buffer before those that the layer writes into it."""
        return self.layer.buffer_row * self.out_size[1] * self.out_passes

    @property
    def lead_words(self) -> int:
        """Words of each pass that a folded layer writes before its first value."""
        weight = self.layer.weight
        middle = self.folded and weight is not None and weight.shape[2] == limits.FOLDED_KERNEL
        return self.layer.dilation if middle else 0

    @property
    def out_pixels(self) -> int:
        """Pixels of one output channel."""
        return self.out_size[0] * self.out_size[1]

    @property
    def steps(self) -> int:
        """Words that a processor reads for one output pixel of a flattening layer; else passes."""
        return self.in_passes * (self.pixels if self.flattens else 1)

    @property
    def emulates_passes(self) -> bool:
        """True where the passes of an element-wise layer are run as further rows.

        The hardware combines passes and operands itself only for 2 passes of 2 operands.
        """
        passes_, operands = self.in_passes, self.operands
        return operands > 1 and passes_ > 1 and operands * passes_ != operands + passes_

    @property
    def may_be_planar(self) -> bool:
        """True if the input may be stored as CHW: an instance per channel, four pixels a word.

        The hardware reads such data in the first layer alone, in one pass.
        """
        return (
            self.index == 0
            and self.layer.inputs == (INPUT,)
            and self.layer.split == 1
            and self.layer.operation is Operation.CONV2D
            and self.whole[0] <= limits.INSTANCES
        )

    @property
    def out_words(self) -> int:
        """Words that one output takes in a data-memory instance, without gaps."""
        return self.out_pixels * self.out_passes * self.layer.output_width // 8


def geometry(network: Network) -> tuple[Geometry, ...]:
    """Geometry of all layers in order; raises InputError where layers do not fit together."""
    shapes = infer(network)
    streaming = [False, *(layer.streaming for layer in network.layers), False]
    movers = [layer for layer in network.layers if layer.operation is Operation.PASSTHROUGH]
    moved = {name for layer in movers for name in layer.inputs}
    result = []
    for index, layer in enumerate(network.layers):
        shape = _of_layer(index, layer, shapes[layer.name])
        unit = layer.operation is Operation.CONV2D and shape.kernel == (1, 1)
        shape = replace(
            shape,
            widened=unit and (streaming[index] or streaming[index + 1]),
            streams_out=streaming[index + 2],
            flattens=shape.flattens or (_is_plain_linear(layer) and layer.target not in moved),
        )
        result.append(_fold(shape) if _folds(layer) else shape)
    return tuple(result)


def _is_plain_linear(layer: Layer) -> bool:
    """True for a linear layer that neither pools nor combines operands."""
    return layer.operation is Operation.LINEAR and layer.pool is None and layer.eltwise is None


def _folds(layer: Layer) -> bool:
    """True if the kernel spans more values than the 1-D hardware takes."""
    if layer.operation is not Operation.CONV1D or layer.weight is None:
        return False
    taps = int(layer.weight.shape[2])
    span = (taps - 1) * layer.dilation + 1
    return span > limits.CONV1D_KERNEL and taps <= limits.FOLDED_KERNEL


def _fold(shape: Geometry) -> Geometry:
    """A dilated 1-D layer as the 3x3 convolution that the hardware runs."""
    columns = shape.layer.dilation
    size = (-(-shape.size[0] // columns), columns)
    return replace(shape, size=size, pooled=size, out_size=size, folded=True)


def _of_layer(index: int, layer: Layer, shapes: LayerShapes) -> Geometry:
    size, out_size = _plane(shapes.input), _plane(shapes.output)
    whole = _plane(shapes.whole)
    return Geometry(
        index=index,
        layer=layer,
        channels=shapes.input[0],
        outputs=shapes.output[0],
        size=size,
        pooled=_plane(shapes.pooled),
        out_size=out_size,
        flattens=shapes.flattens,
        values=size[0] * size[1],
        out_values=out_size[0] * out_size[1],
        whole=(shapes.whole[0], *whole),
    )


def _plane(shape: Shape) -> tuple[int, int]:
    rows, columns = (*shape[1:], 1, 1)[:2]
    return rows, columns
