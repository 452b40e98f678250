"""Joining a network description to weights: (Description, weights) -> (Network, Placement).

A description that names the processors of every layer is complete in the vendor's sense, and the
vendor's defaults fill what it leaves out. Otherwise whatever is missing is left to the allocator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from max78k.compiler.placement import Placement
from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.layer_weights import Int8Array, LayerWeights, weights_of
from max78k.formats.vendor_checkpoint import VendorCheckpoint
from max78k.formats.yaml_buffers import buffers_of, written_part
from max78k.formats.yaml_description import Description, LayerDescription
from max78k.formats.yaml_keys import NAME
from max78k.formats.yaml_places import placement_of, unloaded
from max78k.network import Activation, Cut, Layer, Network, Operation, Pool
from max78k.network.network import INPUT
from max78k.network.shapes import Shape, layer_shapes


def bind(
    description: Description,
    weights: Network | VendorCheckpoint | Sequence[LayerWeights],
    input_shape: Shape,
) -> tuple[Network, Placement]:
    """The network that ``description`` means with these weights, and its placement.

    Args:
        description: what :func:`max78k.formats.yaml_description.read_yaml` gives.
        weights: the n-th item belongs to the n-th layer that has weights. Of a network, its name,
            class names, input offset, rounding and notes are kept, too.
        input_shape: (channels, rows, columns) or (channels, length).

    Raises:
        InputError: the checkpoint's architecture has another name than the description's.
        RuleError: what cannot be built, with line and shapes.
    """
    layers = list(_layer_weights(description, weights))
    buffers = buffers_of(description)
    shapes = {INPUT: tuple(input_shape), **{buffer.name: buffer.shape for buffer in buffers}}
    binder = _Binder(description, layers, shapes)
    binder.names |= {buffer.name: buffer.name for buffer in buffers}
    for position in range(len(description.layers)):
        binder.add(position)
    if binder.next_weight != len(layers):
        raise RuleError([_count_error(description, binder)])
    network = Network(
        name=_network_name(description.arch),
        input_shape=tuple(input_shape),
        layers=tuple(binder.layers),
        outputs=_outputs(description, binder.layers),
        buffers=buffers,
    )
    placement = placement_of(description, binder.layers, binder.shapes)
    if regions := description.values.get("unload"):
        network = replace(network, outputs=unloaded(description, network, placement, regions))
    if isinstance(weights, Network):
        network = replace(
            network,
            name=weights.name,
            class_names=weights.class_names,
            input_offset=weights.input_offset,
            average_rounds=weights.average_rounds,
            notes=weights.notes,
        )
    return network, placement


def input_shape_of(
    description: Description, weights: Sequence[LayerWeights]
) -> tuple[int, ...] | None:
    """The input's shape as the first layer says it; None if its `in_dim` is not given."""
    first = description.layers[0]
    size = first.values.get("in_dim")
    if size is None:
        return None
    if "in_channels" in first.values:
        channels = int(first.values["in_channels"])
    elif first.operation is Operation.PASSTHROUGH or not weights:
        channels = int(first.values.get("processors", 0)).bit_count()
    else:
        weight = weights[0].weight
        channels = weight.shape[0 if first.operation is Operation.CONVTRANSPOSE2D else 1]
    if first.operation is Operation.LINEAR and first.values.get("flatten"):
        channels //= math.prod(size)
    operands = int(first.values.get("operands", 2)) if first.eltwise else 1
    return (channels * operands, *size) if channels else None


def _layer_weights(
    description: Description, weights: Network | VendorCheckpoint | Sequence[LayerWeights]
) -> Sequence[LayerWeights]:
    if isinstance(weights, Network):
        return weights_of(weights)
    if not isinstance(weights, VendorCheckpoint):
        return weights
    if weights.arch and weights.arch.lower() != description.arch.lower():
        raise InputError(
            "E-YAML-ARCH",
            f"{description.path} describes {description.arch}, the checkpoint {weights.arch}.",
            "use the description that belongs to this checkpoint.",
        )
    return weights.layers


def _error(
    description: Description,
    layer: LayerDescription,
    key: str,
    text: str,
    code: str = "E-YAML-UNSUPPORTED",
    hint: str = "",
) -> InputError:
    line = layer.line_of(key)
    return InputError(
        code, f"{description.path} line {line}: layer {layer.sequence}: {text}.", hint
    )


def _count_error(description: Description, binder: _Binder) -> Max78kError:
    return InputError(
        "E-YAML-WEIGHTS",
        f"{description.path} has {binder.next_weight} layers with weights, "
        f"the checkpoint has {len(binder.weights)}.",
        "use the description that belongs to this checkpoint.",
    )


def _network_name(arch: str) -> str:
    word = re.sub(r"[^A-Za-z0-9_.]", "_", arch)[:60]
    return word if NAME.fullmatch(word) and word != INPUT else f"net_{word}"


def _outputs(description: Description, layers: list[Layer]) -> tuple[str, ...]:
    last = len(layers) - 1
    return tuple(
        layer.name
        for position, layer in enumerate(layers)
        if position == last or description.layers[position].values.get("output")
    )


@dataclass
class _Binder:
    """Builds the layers in order; ``shapes`` holds the output shape of every producer."""

    description: Description
    weights: list[LayerWeights]
    shapes: dict[str, Shape]
    layers: list[Layer] = field(default_factory=list)
    names: dict[int | str, str] = field(default_factory=lambda: {-1: INPUT})
    sources: dict[str, LayerWeights] = field(default_factory=dict)
    next_weight: int = 0

    def add(self, position: int) -> None:
        entry = self.description.layers[position]
        taken = self.take_weights(entry)
        inputs = self.inputs(entry, position)
        name = self.name(entry, taken)
        data = tuple(self.shapes[source] for source in inputs)
        view = _view(entry, data[0][1:])
        pool = _pool(entry, len(view or data[0][1:]))
        split = _split(entry, inputs)
        layer = Layer(
            name=name,
            operation=entry.operation,
            inputs=inputs,
            activation=entry.values.get("activation", Activation.NONE),
            output_width=entry.values.get("output_width", 8),
            pool=pool,
            pool_first=entry.values.get("pool_first", True),
            eltwise=entry.eltwise,
            padding=entry.padding,
            dilation=entry.values.get("dilation", (1, 1))[0],
            split=split,
            view=view,
            cut=_cut(entry, sum(shape[0] for shape in data[: 1 if entry.eltwise else None])),
            streaming=entry.values.get("streaming", False),
        )
        if taken is not None:
            layer = self.with_weights(entry, layer, taken)
            self.sources[name] = taken
        try:
            shapes = layer_shapes(layer, list(data))
        except InputError as error:
            text = error.message.partition(": ")[2].rstrip(".")
            if taken is not None:
                text += f" (weights {taken.name} of shape {taken.weight.shape})"
            raise RuleError([self.fault(entry, "operation", text, "E-YAML-SHAPE")]) from error
        values_in = math.prod(shapes.input)
        if not entry.values.get("flatten") or entry.values.get("in_channels") != values_in:
            self.check_shape(entry, "in_channels", shapes.input[:1])
        self.check_shape(entry, "out_channels", shapes.output[:1])
        part = written_part(self.description, entry, inputs, shapes.output)
        if part is not None:
            layer = replace(layer, buffer=part[0], buffer_row=part[1])
        self.layers.append(layer)
        self.shapes[name] = shapes.output
        self.names[entry.sequence] = name
        if "name" in entry.values:
            self.names[entry.values["name"]] = name

    def fault(
        self, entry: LayerDescription, key: str, text: str, code: str, hint: str = ""
    ) -> InputError:
        return _error(self.description, entry, key, text, code, hint)

    def check_shape(self, entry: LayerDescription, key: str, found: tuple[int, ...]) -> None:
        """A dimension given by hand must be the one that the data have."""
        if key not in entry.values:
            return
        value = entry.values[key]
        asked = value if isinstance(value, tuple) else (value,)
        if _without_ones(asked) != _without_ones(found):
            text = f"`{key}` {asked} asks to see data of {found} as another shape"
            raise RuleError([self.fault(entry, key, text, "E-YAML-UNSUPPORTED")])

    def inputs(self, entry: LayerDescription, position: int) -> tuple[str, ...]:
        given = entry.values.get("in_sequences")
        previous = self.layers[-1].target if position else INPUT
        inputs = (previous,) if given is None else tuple(self.names[item] for item in given)
        operands = entry.values.get("operands", 2) if entry.eltwise else len(inputs)
        if len(inputs) not in (1, operands):
            text = f"{operands} operands of {', '.join(inputs)}"
            hint = "name one layer for each operand in `in_sequences`, or one for all."
            raise RuleError([self.fault(entry, "operands", text, "E-YAML-CONFLICT", hint)])
        return inputs

    def name(self, entry: LayerDescription, taken: LayerWeights | None) -> str:
        """The name given, else that of the weights, else one made of the sequence number."""
        if "name" in entry.values:
            return str(entry.values["name"])
        used = {layer.name for layer in self.layers} | set(self.shapes)
        used.update(str(item.values.get("name")) for item in self.description.layers)
        used.update((INPUT, *(f"layer{item.sequence}" for item in self.description.layers)))
        if taken is not None and NAME.fullmatch(taken.name) and taken.name not in used:
            return taken.name
        return f"layer{entry.sequence}"

    def take_weights(self, entry: LayerDescription) -> LayerWeights | None:
        if entry.operation is Operation.PASSTHROUGH:
            return None
        if "weight_source" in entry.values:
            source = self.names.get(entry.values["weight_source"])
            if source not in self.sources:
                text = "`weight_source` is no earlier layer with weights"
                fault = self.fault(entry, "weight_source", text, "E-YAML-SEQUENCE")
                raise RuleError([fault])
            return self.sources[source]
        if self.next_weight == len(self.weights):
            text = f"no weights left: the checkpoint has {len(self.weights)} layers"
            hint = "use the checkpoint that belongs to this description."
            raise RuleError([self.fault(entry, "operation", text, "E-YAML-WEIGHTS", hint)])
        self.next_weight += 1
        return self.weights[self.next_weight - 1]

    def with_weights(self, entry: LayerDescription, layer: Layer, taken: LayerWeights) -> Layer:
        bits = entry.values.get("quantization", taken.weight_bits)
        if bits != taken.weight_bits:
            text = f"`quantization` {bits}, but {taken.name} has {taken.weight_bits}-bit weights"
            raise RuleError([self.fault(entry, "quantization", text, "E-YAML-WEIGHTS")])
        operation, weight = _shaped(entry, layer.operation, taken.weight)
        expected = entry.kernel if operation is not Operation.LINEAR else ()
        kernel_axes = weight.shape[2:]
        if kernel_axes != expected:
            text = f"kernel size {_size(expected)}, but {taken.name} has shape {weight.shape}"
            raise RuleError([self.fault(entry, "kernel_size", text, "E-YAML-WEIGHTS")])
        shift = entry.values.get("output_shift", taken.output_shift)
        result = replace(
            layer,
            operation=operation,
            weight=weight,
            bias=taken.bias,
            weight_bits=bits,
            output_shift=shift or 0,
        )
        if taken.bias is not None and taken.bias.shape != (result.out_channels,):
            text = f"{taken.name} has biases of shape {taken.bias.shape}, weights {weight.shape}"
            raise RuleError([self.fault(entry, "operation", text, "E-YAML-WEIGHTS")])
        return result


def _shaped(
    entry: LayerDescription, operation: Operation, weight: Int8Array
) -> tuple[Operation, Int8Array]:
    """The operation and the weights in its axis order.

    A linear layer that does not flatten is a 1x1 convolution on one pixel, and a 1x1 convolution
    that flattens is a linear layer; checkpoints hold either with or without the kernel's axes.
    """
    flattens = entry.values.get("flatten", False)
    if operation is Operation.LINEAR or (flattens and operation is Operation.CONV2D):
        if weight.ndim > 2 and math.prod(weight.shape[2:]) == 1:
            weight = weight.reshape(weight.shape[:2])
        return Operation.LINEAR, weight
    if operation is Operation.CONV2D and weight.ndim == 2:
        return operation, weight[:, :, np.newaxis, np.newaxis]
    return operation, weight


def _split(entry: LayerDescription, inputs: tuple[str, ...]) -> int:
    """Operands that one producer delivers together."""
    operands = int(entry.values.get("operands", 2)) if entry.eltwise else 1
    return operands if len(inputs) == 1 else 1


def _cut(entry: LayerDescription, channels: int) -> Cut | None:
    """The part of its inputs, ``channels`` in all, that the layer reads; None for all of them."""
    values = entry.values
    top, bottom = entry.crop
    skip = values.get("in_channel_skip", 0)
    count = values.get("in_channels")
    alone = entry.eltwise is None or len(values.get("in_sequences", ())) > 1
    if not alone or count is None or count > channels - skip:
        count = None  # of one producer for all operands, or too many: the shapes decide
    if not skip and count == channels:
        count = None
    cut = Cut(skip, count, top, bottom)
    return None if cut == Cut() else cut


def _view(entry: LayerDescription, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """The size as which the layer sees data of ``size``; None for their own.

    A 1-D convolution sees data of one column as 1-D.
    """
    asked: tuple[int, ...] = entry.values.get("in_dim", size)
    cropped = sum(entry.crop)
    if size and asked == (size[0] - cropped, *size[1:]):  # the size that is left
        asked = size
    if entry.operation is Operation.CONV1D and asked[1:] == (1,):
        asked = asked[:1]
    elif _without_ones(asked) == _without_ones(size):
        asked = size
    return asked if asked != size else None


def _size(kernel: tuple[int, ...]) -> str:
    return "x".join(map(str, kernel)) or "none"


def _pool(entry: LayerDescription, axes: int) -> Pool | None:
    values = entry.values
    kind = "max" if "max_pool" in values or "avg_pool" not in values else "avg"
    size = values.get(f"{kind}_pool", (1, 1))
    stride = values.get("pool_stride", (1, 1))
    if axes == 1:  # 1-D data: the first numbers count
        size, stride = (size[0], 1), (stride[0], 1)
    if size == (1, 1) and stride == (1, 1):
        return None
    return Pool(kind, size, stride)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
