"""Writing a network and its placement as a description that the vendor's synthesizer reads, too.

The file holds structure and addresses. Weights, biases and output shifts are in the checkpoint;
kernel columns and bias positions have no key and are planned again by whoever reads the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from max78k.compiler.placement import FIFO, MEMORY, LayerPlacement, Placement
from max78k.errors import InputError
from max78k.files import write_text
from max78k.network import Activation, Cut, Eltwise, Layer, Network, Operation, Pool
from max78k.network.geometry import passes
from max78k.network.network import INPUT
from max78k.network.shapes import LayerShapes, infer

_ACTIVATION_WORDS = {Activation.RELU: "ReLU", Activation.ABS: "Abs", Activation.NONE: "None"}


def write_yaml(
    network: Network, placement: Placement, path: Path, *, dataset: str = "max78k"
) -> None:
    """Write ``network`` and ``placement`` as YAML, whole or not at all.

    ``arch`` is the network's name; give the checkpoint the same one. What the placement leaves
    open (None) is left out of the file.

    Raises:
        InputError: outputs in another order than their layers, at places that are not given.
    """
    write_text(Path(path), yaml_text(network, placement, dataset))


def yaml_text(network: Network, placement: Placement, dataset: str = "max78k") -> str:
    """The text that :func:`write_yaml` writes."""
    shapes = infer(network)
    unload = [] if _in_order(network) else list(_unload(network, placement, shapes))
    lines = [
        "---",
        f"# {network.name}: input {_shape(network.input_shape)}, minus {network.input_offset}",
    ]
    if network.average_rounds:
        lines.append("# Average pooling rounds: needs the option --avg-pool-rounding.")
    lines += [f"arch: {_word(network.name)}", f"dataset: {_word(dataset)}"]
    if placement.feed != (FIFO if network.layers[0].streaming else MEMORY):
        lines += ["# The vendor's synthesizer has options for this key.", f"feed: {placement.feed}"]
    lines += [*_buffers(network, placement, shapes), *unload, "", "layers:"]
    previous = INPUT
    for number, layer in enumerate(network.layers):
        place = placement.layers.get(layer.name, LayerPlacement())
        found = shapes[layer.name]
        lines.append(f"  # {number}: {_shape(found.input)} to {_shape(found.output)}")
        keys = dict(_keys(layer, found, previous))
        if number == 0:
            keys.update(_input_keys(layer, found))
        keys.update(_buffer_keys(network, layer, found))
        keys.update(_addresses(place))
        if number == 0:
            keys["data_format"] = placement.data_format
        if not unload and layer.name in network.outputs[:-1]:
            keys["output"] = "true"
        marks = ["  - ", *["    "] * (len(keys) - 1)]
        lines += [
            f"{mark}{key}: {value}" for mark, (key, value) in zip(marks, keys.items(), strict=True)
        ]
        previous = layer.name
    return "\n".join(lines) + "\n"


def _in_order(network: Network) -> bool:
    """True if the outputs follow each other as their layers do, and the last layer is one."""
    order = [layer.name for layer in network.layers if layer.name in network.outputs]
    return list(network.outputs) == order and order[-1] == network.layers[-1].name


def _unload(
    network: Network, placement: Placement, shapes: dict[str, LayerShapes]
) -> Iterator[str]:
    """The key `unload`, which names outputs in any order by their places."""
    yield "unload:"
    for name in network.outputs:
        place, shape = placement.layers.get(name, LayerPlacement()), shapes[name].output
        if place.output_processors is None or place.out_offset is None:
            raise InputError(
                "E-YAML-OUTPUT",
                f"network {network.name}: its outputs {', '.join(network.outputs)} are not in the "
                f"order of the layers, or the last layer {network.layers[-1].name} is none of "
                f"them, and the place of {name} is not given.",
                "remove what follows the last output, or plan the placement.",
            )
        size = _dimensions(shape[1:] or (1, 1))
        yield f"  - processors: 0x{place.output_processors:016x}"
        yield f"    offset: 0x{place.out_offset:04x}"
        yield f"    channels: {shape[0]}"
        yield f"    dim: {size}"
        yield f"    width: {network.layer(name).output_width}"
        yield f"    write_gap: {place.write_gap}"


def _buffers(
    network: Network, placement: Placement, shapes: dict[str, LayerShapes]
) -> Iterator[str]:
    """The key `data_buffer`; the place of a buffer is where its first writer writes."""
    if network.buffers:
        yield "data_buffer:"
    for buffer in network.buffers:
        yield f"  - name: {_word(buffer.name)}"
        yield f"    channels: {buffer.shape[0]}"
        yield f"    dim: {_dimensions(buffer.shape[1:])}"
        for layer in network.layers:
            place = placement.layers.get(layer.name, LayerPlacement())
            if layer.buffer == buffer.name and place.out_offset is not None:
                columns = (*buffer.shape, 1)[2]
                before = 4 * layer.buffer_row * columns * passes(buffer.shape[0])
                yield f"    offset: 0x{place.out_offset - before:04x}"
                yield f"    processors: 0x{place.output_processors or 0:016x}"
                break


def _input_keys(layer: Layer, shapes: LayerShapes) -> Iterator[tuple[str, Any]]:
    """The input's size: a checkpoint of weights alone does not have it."""
    if layer.inputs == (INPUT,) and layer.view is None and layer.cut is None and not layer.eltwise:
        yield "in_dim", _dimensions(shapes.input[1:])
        if layer.weight is None:
            yield "in_channels", shapes.input[0]


def _buffer_keys(network: Network, layer: Layer, shapes: LayerShapes) -> Iterator[tuple[str, Any]]:
    """What a layer has to do with buffers."""
    if set(layer.inputs) & set(network.buffer_names):
        yield "in_dim", _dimensions(shapes.input[1:])
        yield "in_channels", shapes.input[0]
    if layer.buffer is None:
        return
    size = next(buffer.shape[1] for buffer in network.buffers if buffer.name == layer.buffer)
    rows = (*shapes.output, 1)[1]
    if _shifts(layer):
        yield "buffer_shift", size - rows
    elif layer.buffer_row + rows == size:
        yield "buffer_insert", rows
    else:
        raise InputError(
            "E-YAML-BUFFER",
            f"layer {layer.name} writes rows {layer.buffer_row}...{layer.buffer_row + rows - 1} of "
            f"buffer {layer.buffer}, which has {size}.",
            "in a YAML, a layer shifts a buffer or writes to its end.",
        )


def _shifts(layer: Layer) -> bool:
    """True if the layer copies a buffer into itself, from its first row on."""
    cut = layer.cut
    only_top = cut is not None and cut.top > 0 and cut.bottom == 0 and not cut.of_channels
    copies = layer.operation is Operation.PASSTHROUGH and layer.pool is None
    return copies and only_top and layer.buffer_row == 0 and layer.inputs == (layer.buffer,)


def _keys(layer: Layer, shapes: LayerShapes, previous: str) -> Iterator[tuple[str, Any]]:
    """Structure of one layer."""
    yield "name", _word(layer.name)
    if layer.inputs != (previous,):
        sources = [_word(name) if name != INPUT else "-1" for name in layer.inputs]
        yield "in_sequences", f"[{', '.join(sources)}]"
    if layer.view is not None:
        yield "in_dim", _dimensions(layer.view)
    if layer.cut is not None and not _shifts(layer):
        yield from _cut(layer.cut, shapes)
    if layer.streaming:
        yield "streaming", "true"
    if layer.eltwise is not None and layer.operation is Operation.PASSTHROUGH:
        yield "operation", layer.eltwise.value
    else:
        yield "operation", layer.operation.value
    if layer.eltwise is not None:
        yield from _eltwise(layer, layer.eltwise)
    if layer.pool is not None:
        yield from _pool(layer.pool, len(shapes.input) - 1)
    if layer.weight is not None:
        yield from _operation(layer, shapes)
    if layer.activation is not Activation.NONE or layer.weight is not None:
        yield "activate", _ACTIVATION_WORDS[layer.activation]
    if layer.output_width != 8:
        yield "output_width", layer.output_width


def _cut(cut: Cut, shapes: LayerShapes) -> Iterator[tuple[str, Any]]:
    if cut.of_channels:
        yield "in_channel_skip", cut.channel
        yield "in_channels", shapes.input[0]
    if cut.top or cut.bottom:
        yield "in_crop", f"[{cut.top}, {cut.bottom}]"


def _eltwise(layer: Layer, function: Eltwise) -> Iterator[tuple[str, Any]]:
    if layer.operation is not Operation.PASSTHROUGH:
        yield "eltwise", function.value
    yield "operands", layer.operands
    if not layer.pool_first:
        yield "pool_first", "false"


def _pool(pool: Pool, axes: int) -> Iterator[tuple[str, Any]]:
    if pool.size != (1, 1) or pool.kind == "avg":
        yield f"{pool.kind}_pool", _pair(pool.size, axes)
    yield "pool_stride", _pair(pool.stride, axes)


def _operation(layer: Layer, shapes: LayerShapes) -> Iterator[tuple[str, Any]]:
    assert layer.weight is not None
    if layer.operation is Operation.LINEAR:
        if shapes.flattens:
            yield "flatten", "true"
    else:
        yield "kernel_size", "x".join(map(str, layer.weight.shape[2:]))
        yield "pad", layer.padding
        if layer.dilation != 1:
            yield "dilation", layer.dilation
    yield "quantization", layer.weight_bits


def _addresses(place: LayerPlacement) -> Iterator[tuple[str, str]]:
    for key, value, form in (
        ("processors", place.processors, "0x{:016x}"),
        ("output_processors", place.output_processors, "0x{:016x}"),
        ("in_offset", place.in_offset, "0x{:04x}"),
        ("out_offset", place.out_offset, "0x{:04x}"),
        ("write_gap", place.write_gap or None, "{}"),
        ("bias_group", place.bias_quadrant, "{}"),
    ):
        if value is not None:
            yield key, form.format(value)


def _pair(pair: tuple[int, int], axes: int) -> str:
    return str(pair[0]) if axes == 1 or pair[0] == pair[1] else f"[{pair[0]}, {pair[1]}]"


def _dimensions(view: tuple[int, ...]) -> str:
    return str(view[0]) if len(view) == 1 else f"[{view[0]}, {view[1]}]"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _word(text: str) -> str:
    """``text`` so that YAML reads the same text back: quoted where it looks like something else."""
    try:
        plain = yaml.safe_load(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text)
