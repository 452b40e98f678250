"""What a network description says about places: addresses, and regions to unload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.placement import FIFO, MEMORY, LayerPlacement, Placement
from max78k.errors import InputError, Max78kError, RuleError
from max78k.formats.yaml_buffers import buffer_rows, output_place
from max78k.formats.yaml_description import Description, Region
from max78k.network import Layer, Network
from max78k.network.network import INPUT
from max78k.network.shapes import Shape, infer


def placement_of(
    description: Description, layers: Sequence[Layer], shapes: Mapping[str, Shape]
) -> Placement:
    """Addresses that the description gives; where it names all processors, with the defaults.

    Args:
        description: the file.
        layers: its layers in order.
        shapes: output shapes of the layers and shapes of the buffers, by name.
    """
    placed: dict[str, LayerPlacement] = {}
    complete = description.is_placed
    buffers = buffer_rows(description)
    offsets: dict[str, int | None] = {INPUT: 0}
    offsets |= {name: row.out_offset for name, row in buffers.items()}
    for position, (entry, layer) in enumerate(zip(description.layers, layers, strict=True)):
        values = entry.values
        part = output_place(description, layer, shapes) or LayerPlacement(
            out_offset=0 if complete else None
        )
        out_offset = values.get("out_offset", part.out_offset)
        known = complete and not (layer.cut and layer.cut.top)
        in_offset = values.get("in_offset", offsets[layer.inputs[0]] if known else None)
        offsets[layer.name] = out_offset
        output = values.get("output_processors", part.output_processors)
        if position + 1 == len(layers):
            output = description.values.get("output_map", output)
        if output is None and complete:
            output = _default_output(description, position, shapes[layer.name][0])
        quadrants = values.get("bias_group", ())
        placed[layer.name] = LayerPlacement(
            processors=values.get("processors"),
            output_processors=output,
            in_offset=in_offset,
            out_offset=out_offset,
            bias_quadrant=quadrants[0] if len(quadrants) == 1 else None,
            bias_quadrants=quadrants if len(quadrants) > 1 else (),
            write_gap=values.get("write_gap", 0),
        )
    streams = any(layer.streaming for layer in layers)
    return Placement(
        placed | buffers,
        data_format=description.layers[0].values.get("data_format", "HWC"),
        feed=description.values.get("feed", FIFO if streams else MEMORY),
    )


def _default_output(description: Description, position: int, channels: int) -> int:
    """The next layer's processors; behind the last layer the lowest ones of a pass."""
    if position + 1 < len(description.layers):
        return int(description.layers[position + 1].values["processors"])
    passes = -(-channels // limits.PROCESSORS)
    slots = -(-channels // passes)
    if passes > 1:
        slots = min(-(-slots // 4) * 4, limits.PROCESSORS)
    return (1 << slots) - 1


def unloaded(
    description: Description,
    network: Network,
    placement: Placement,
    regions: Sequence[Region],
) -> tuple[str, ...]:
    """Layers whose outputs lie in the regions of `unload`, in that order.

    Raises:
        RuleError: regions in which no layer's whole output lies; all of them.
    """
    shapes = infer(network)
    found: list[str] = []
    errors: list[Max78kError] = []
    for region in regions:
        for layer in reversed(network.layers):  # what was written last lies there
            place = placement.layers[layer.name]
            if _is_at(region, layer, place, shapes[layer.name].output) and layer.name not in found:
                found.append(layer.name)
                break
        else:
            errors.append(_no_output(description, region))
    if errors:
        raise RuleError(errors)
    return tuple(found)


def _is_at(region: Region, layer: Layer, place: LayerPlacement, shape: Shape) -> bool:
    """True if the region is the layer's whole output."""
    values = region.values
    size = tuple(n for n in shape[1:] if n != 1)
    return (
        values["processors"] == place.output_processors
        and values["offset"] == place.out_offset
        and values["channels"] == shape[0]
        and tuple(n for n in values["dim"] if n != 1) == size
        and values.get("width", layer.output_width) == layer.output_width
        and values.get("write_gap", place.write_gap) == place.write_gap
    )


def _no_output(description: Description, region: Region) -> InputError:
    values = region.values
    return InputError(
        "E-YAML-UNLOAD",
        f"{description.path} line {region.line}: no layer writes its {values['channels']} output "
        f"channels of {'x'.join(map(str, values['dim']))} to offset 0x{values['offset']:04x} of "
        f"processors {bits.text(values['processors'])}.",
        "`output_processors`, `out_offset` and channels of a layer.",
    )
