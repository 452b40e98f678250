"""From the simplified float graph to the chip's layers with float weights, or to refusals."""

from __future__ import annotations

from dataclasses import dataclass, replace

from max78k.chip import limits
from max78k.imports.float_graph import FloatArray, Graph, Kind, Node, Sizes, Window, usable_name
from max78k.imports.kernels import chip_kernel
from max78k.imports.refusals import check_node
from max78k.network import Activation, Eltwise, Operation, Pool
from max78k.network.network import INPUT
from max78k.network.shapes import Shape

_OPERATIONS = {0: Operation.LINEAR, 1: Operation.CONV1D, 2: Operation.CONV2D}
_ELTWISE = {Kind.ADD: Eltwise.ADD, Kind.SUB: Eltwise.SUB}


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """A layer as :class:`max78k.network.Layer`, with real weights and biases.

    ``limit``: the outputs are clipped to -limit...limit. ``scale`` and ``weight_scale`` are steps
    that a quantized model gives, ``origin`` its name for the layer.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    shape: Shape
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    activation: Activation = Activation.NONE
    pool: Pool | None = None
    eltwise: Eltwise | None = None
    padding: int = 0
    dilation: int = 1
    limit: float | None = None
    scale: float | None = None
    weight_scale: float | None = None
    origin: str = ""
    wide: bool = False


@dataclass(frozen=True)
class FloatModel:
    """Layers in execution order; ``outputs`` and ``input_shape`` as in a Network."""

    name: str
    input_shape: Shape
    layers: tuple[FloatLayer, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]
    tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """What a layer can read without another layer before it: joined, combined or pooled data."""

    inputs: tuple[str, ...]
    shape: Shape
    pool: Pool | None = None
    eltwise: Eltwise | None = None
    origin: str = ""
    scale: float | None = None
    name: str = ""

    @property
    def plain(self) -> bool:
        """True for the output of one layer, or the input."""
        return self.pool is None and len(self.inputs) == 1


def lower(graph: Graph) -> FloatModel:
    """The layers of a simplified graph.

    Raises:
        RuleError: with every node that cannot be mapped.
    """
    for node in graph.nodes.values():
        check_node(graph, node)
    graph.require()
    lowering = _Lowering(graph)
    for node in list(graph.nodes.values()):
        lowering.visit(node)
    outputs = tuple(lowering.plain(name) for name in graph.outputs)
    layers = tuple(replace(x, wide=_is_wide(x, outputs, lowering.layers)) for x in lowering.layers)
    return FloatModel(
        graph.name, graph.input_shape, layers, outputs, tuple(graph.notes), tuple(graph.tail)
    )


def _is_wide(layer: FloatLayer, outputs: tuple[str, ...], layers: list[FloatLayer]) -> bool:
    """Scores leave the chip in 32 bits: nothing is lost before the comparison of classes."""
    read = any(layer.name in other.inputs for other in layers)
    scores = layer.operation is Operation.LINEAR and layer.activation is Activation.NONE
    return layer.name in outputs and scores and not read and layer.limit is None


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[FloatLayer] = []
        self._names: set[str] = set()
        self._sources = {INPUT: _Source((INPUT,), graph.input_shape)}

    def visit(self, node: Node) -> None:
        """Turn one node into a layer, or into a source for the layers after it."""
        if node.kind in (Kind.CONV, Kind.CONVTRANSPOSE, Kind.LINEAR):
            self._weighted(node)
        elif node.kind is Kind.POOL:
            self._pool(node)
        elif node.kind is Kind.CONCAT:
            names = [name for x in node.inputs for name in self._parts(x)]
            self._keep(node, _Source(tuple(names), node.shape))
        elif node.kind in _ELTWISE:
            names = [self.plain(name) for name in node.inputs]
            source = _Source(tuple(names), node.shape, eltwise=_ELTWISE[node.kind])
            self._keep(node, source)
        else:
            assert node.kind is Kind.RESHAPE, node.kind
            self._sources[node.name] = self._sources[node.inputs[0]]

    def plain(self, name: str) -> str:
        """The layer whose output is that of node ``name``; a pass-through layer if need be."""
        source = self._sources[name]
        if source.plain:
            return source.inputs[0]
        layer = FloatLayer(
            name=self._name(source.name or name),
            operation=Operation.PASSTHROUGH,
            inputs=source.inputs,
            shape=source.shape,
            pool=source.pool,
            eltwise=source.eltwise,
            scale=source.scale,
            origin=source.origin,
        )
        self.layers.append(layer)
        self._sources[name] = _Source((layer.name,), source.shape)
        return layer.name

    def _parts(self, name: str) -> tuple[str, ...]:
        """Layers whose joined channels are node ``name``."""
        source = self._sources[name]
        return (self.plain(name),) if source.pool or source.eltwise else source.inputs

    def _keep(self, node: Node, source: _Source) -> None:
        """Offer joined or combined data to the one layer that reads them, else make a layer."""
        source = replace(source, name=node.name, origin=node.origin, scale=node.scale)
        self._sources[node.name] = source
        reader = self.graph.only_reader(node.name)
        if source.eltwise and not (reader and _combines(reader, source)):
            self.plain(node.name)

    def _pool(self, node: Node) -> None:
        source = self._sources[node.inputs[0]]
        if source.pool or source.eltwise:
            self.plain(node.inputs[0])
            source = self._sources[node.inputs[0]]
        assert node.window is not None
        pool = Pool(node.function, _pair(node.window.size), _one_stride(node, node.window))
        self._sources[node.name] = replace(
            source,
            shape=node.shape,
            pool=pool,
            name=node.name,
            origin=node.origin,
        )

    def _weighted(self, node: Node) -> None:
        source = self._sources[node.inputs[0]]
        flattens = node.kind is Kind.LINEAR and any(n > 1 for n in source.shape[1:])
        if source.pool and (flattens or _decimates(node)):
            self.plain(node.inputs[0])  # a flattening layer does not pool, and no layer twice
            source = self._sources[node.inputs[0]]
        assert node.weight is not None
        operation, weight, pool = Operation.LINEAR, node.weight, source.pool
        padding = dilation = 1
        if node.window is None:
            padding = 0
        elif node.kind is Kind.CONVTRANSPOSE:
            operation, padding = Operation.CONVTRANSPOSE2D, node.window.before[0]
        else:
            operation = _OPERATIONS[len(node.window.size)]
            dilation = node.window.dilation[0]
            weight, padding = chip_kernel(weight, node.window)
            if _decimates(node):
                pool = Pool("max", (1, 1), _pair(node.window.stride))
        layer = FloatLayer(
            name=self._name(node.name),
            operation=operation,
            inputs=source.inputs,
            shape=node.shape,
            weight=weight,
            bias=node.bias,
            activation=Activation(node.function or "none"),
            pool=pool,
            eltwise=source.eltwise,
            padding=padding,
            dilation=dilation,
            limit=node.limit,
            scale=node.scale,
            weight_scale=node.weight_scale,
            origin=node.origin,
        )
        self.layers.append(layer)
        self._sources[node.name] = _Source((layer.name,), node.shape)

    def _name(self, text: str) -> str:
        name = usable_name(text, self._names, "layer")
        self._names.add(name)
        return name


def _combines(reader: Node, source: _Source) -> bool:
    """True if the layer of ``reader`` can combine the operands itself, before it convolves."""
    passes = -(-source.shape[0] // limits.PROCESSORS)
    small = passes == 1 or (passes == 2 and len(source.inputs) == 2)
    plane = len(source.shape) == 3 and not _decimates(reader)
    return reader.kind is Kind.CONV and small and plane


def _decimates(node: Node) -> bool:
    """True for a 1x1 convolution with a stride: it reads every n-th pixel, as pooling of 1x1."""
    return node.window is not None and node.kind is Kind.CONV and max(node.window.stride) > 1


def _one_stride(node: Node, window: Window) -> tuple[int, int]:
    """The chip has one stride for both axes; that of an axis with one output does not matter."""
    if len(set(window.stride)) == 1:
        return _pair(window.stride)
    steps = (step for step, n in zip(window.stride, node.shape[1:], strict=True) if n > 1)
    stride = next(steps, 1)
    return stride, stride


def _pair(sizes: Sizes) -> tuple[int, int]:
    return (sizes[0], sizes[1]) if len(sizes) > 1 else (sizes[0], 1)
