"""Plans the placement of a network: processors, data memory, kernel columns, bias memory.

What the caller gives is kept to the bit; the rest is planned around it. Processor choices are
tried in the order of a short list (fewest quadrants first); the first that fits wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from max78k.chip import limits
from max78k.compiler import bits, placement_rules, spaces
from max78k.compiler.groups import INTERLEAVED, Group, find_groups
from max78k.compiler.kernels import column_count
from max78k.compiler.placed import has_bias, is_complete, place
from max78k.compiler.placement import MEMORY, LayerPlacement, Placement
from max78k.errors import RuleError
from max78k.network import rules
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Network

Maps = dict[str, int]
_BYTES_LANE = 4  # processors to a word


def plan(network: Network, given: Placement | None = None) -> Placement:
    """A complete placement that fits the chip.

    Args:
        network: the integer network.
        given: parts that are fixed; fields that are None, and layers that are missing, are planned.

    Raises:
        RuleError: the network breaks rules of the chip, or it does not fit; the error names the
            layer, the numbers and what to change.
    """
    rules.require(network)
    if given is not None and is_complete(network, given):
        placement_rules.require(network, given)
        return given
    shapes = geometry(network)
    data_format = given.data_format if given else _data_format(shapes)
    rows = given.layers if given else {}
    groups = find_groups(network, shapes, data_format == "CHW")
    failure: RuleError | None = None
    for choose in (_lowest, _balanced, _alternating):
        firsts = choose(groups, shapes)
        try:
            maps = _maps(groups, shapes, rows, firsts, data_format)
            feed = given.feed if given else MEMORY
            placement = Placement(_rows(network, shapes, groups, maps, rows), data_format, feed)
            return _complete(network, placement, groups, rows)
        except RuleError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _data_format(shapes: Sequence[Geometry]) -> str:
    """CHW where it takes fewer words to load, or where the input does not fit otherwise."""
    first = shapes[0]
    readers = [shape for shape in shapes if INPUT in shape.layer.inputs]
    if readers != [first] or not first.may_be_planar or first.in_passes > 1:
        return "HWC"
    fewer = first.channels * -(-first.pixels // 4) < first.pixels * -(-first.channels // 4)
    small = first.channels <= _BYTES_LANE
    return "CHW" if (fewer and small) or first.pixels > limits.INSTANCE_WORDS else "HWC"


def _lowest(groups: Sequence[Group], shapes: Sequence[Geometry]) -> dict[Group, int]:
    """Every group from processor 0 upward: the fewest quadrants."""
    return dict.fromkeys(groups, 0)


def _balanced(groups: Sequence[Group], shapes: Sequence[Geometry]) -> dict[Group, int]:
    """Spread over the processors so that the fullest kernel memory is as empty as possible."""
    load = [0] * limits.PROCESSORS
    columns = {group: _columns_read(group, shapes) for group in groups}
    result = {}
    for group in sorted(groups, key=lambda group: (-group.span, -columns[group])):
        result[group] = min(
            range(0, limits.PROCESSORS - group.span + 1, _BYTES_LANE),
            key=lambda first, span=group.span: max(load[first : first + span]),  # type: ignore[misc]
        )
        for n in range(result[group], result[group] + group.span):
            load[n] += columns[group]
    return result


def _alternating(groups: Sequence[Group], shapes: Sequence[Geometry]) -> dict[Group, int]:
    """From the bottom and from the top in turn: neighbouring layers share little data memory."""
    last = limits.PROCESSORS
    return {
        group: (last - group.span) // _BYTES_LANE * _BYTES_LANE if number % 2 else 0
        for number, group in enumerate(groups)
    }


def _columns_read(group: Group, shapes: Sequence[Geometry]) -> int:
    """Kernel columns of all layers that read the group."""
    total = 0
    for shape in shapes:
        if shape.convolves and set(shape.layer.inputs) & set(group.names):
            slots = shape.outputs
            if not shape.flattens:
                slots = shape.out_processors * shape.out_passes
            total += column_count(slots * shape.steps, shape.taps, shape.layer.weight_bits)
    return total


def _maps(
    groups: Sequence[Group],
    shapes: Sequence[Geometry],
    rows: dict[str, LayerPlacement],
    firsts: dict[Group, int],
    data_format: str,
) -> Maps:
    """Processor map of every tensor; what is given or fixed by a pass-through layer comes first."""
    maps: Maps = {}
    for group in groups:
        maps |= _group_maps(group, shapes, rows, firsts[group], maps)
        if INPUT in group.names and data_format == "CHW" and not _given_reader(group, shapes, rows):
            channels = group.tensors[0].channels
            maps[INPUT] = sum(1 << _BYTES_LANE * n for n in range(channels))
        for name in group.names:
            row = rows.get(name)
            if row is not None and row.output_processors is not None:
                maps[name] = row.output_processors
    return maps


def _given_reader(
    group: Group, shapes: Sequence[Geometry], rows: dict[str, LayerPlacement]
) -> int | None:
    """The given processors of a layer that reads the whole group."""
    for shape in shapes:
        row = rows.get(shape.layer.name)
        if shape.layer.inputs == group.names and row is not None and row.processors is not None:
            return row.processors
    return None


def _group_maps(
    group: Group,
    shapes: Sequence[Geometry],
    rows: dict[str, LayerPlacement],
    first: int,
    known: Maps,
) -> Maps:
    given = _given_reader(group, shapes, rows)
    if given is not None:
        return group.split(given)
    for tensor, start in zip(group.tensors, group.starts, strict=True):
        if tensor.born < 0 or shapes[tensor.born].convolves:
            continue
        sources = shapes[tensor.born].layer.inputs
        if all(name in known for name in sources):
            row = rows.get(tensor.name)
            packed = _packed(row.processors if row and row.processors else _union(known, sources))
            if len(group.tensors) == 1:
                return {tensor.name: packed}
            return group.maps(max(0, bits.lowest(packed) - start))
    return group.maps(first)


def _union(maps: Maps, names: Sequence[str]) -> int:
    result = 0
    for name in names:
        result |= maps[name]
    return result


def _packed(processor_map: int) -> int:
    """Where a pass-through layer puts the data that it reads from ``processor_map``."""
    result = 0
    for quadrant in bits.quadrants(processor_map):
        own = bits.of_quadrant(processor_map, quadrant)
        count = bits.count(own)
        first = min(bits.lowest(own), limits.PROCESSORS_PER_QUADRANT - count)
        first = first // _BYTES_LANE * _BYTES_LANE
        result |= bits.block(quadrant * limits.PROCESSORS_PER_QUADRANT + first, count)
    return result


def _rows(
    network: Network,
    shapes: Sequence[Geometry],
    groups: Sequence[Group],
    maps: Maps,
    given: dict[str, LayerPlacement],
) -> dict[str, LayerPlacement]:
    """Rows with processors and write gaps; what is planned later is still None."""
    gaps = {name: group.gap for group in groups for name in group.names}
    result = {}
    for shape in shapes:
        name = shape.layer.name
        row = given.get(name, LayerPlacement())
        row = replace(row, write_gap=row.write_gap or gaps[name])
        if row.processors is None:
            row = replace(row, processors=_union(maps, shape.layer.inputs))
        if row.output_processors is None:
            row = replace(row, output_processors=maps[name])
        result[name] = row
    return result


def _complete(
    network: Network,
    placement: Placement,
    groups: Sequence[Group],
    given: dict[str, LayerPlacement],
) -> Placement:
    """Plan data offsets, kernel columns and bias entries, and check the whole."""
    draft = {
        name: LayerPlacement(row.processors, row.output_processors, 0, 0, 0, 0, 0, row.write_gap)
        for name, row in placement.layers.items()
    }
    layers = place(network, replace(placement, layers=draft))
    offsets = spaces.data_offsets(groups, layers, given)
    columns = spaces.kernel_columns(layers, given)
    biases = spaces.bias_places(layers, given)
    base = {name: offsets[group] for group in groups for name in group.names}
    order = {
        name: number if group.kind == INTERLEAVED else 0
        for group in groups
        for number, name in enumerate(group.names)
    }
    rows = {}
    for placed in layers:
        name, source = placed.layer.name, placed.layer.inputs[0]
        row = placement.layers[name]
        quadrant, start = biases.get(name, (None, None))
        rows[name] = replace(
            row,
            in_offset=base[source] if row.in_offset is None else row.in_offset,
            out_offset=base[name] + 4 * order[name] if row.out_offset is None else row.out_offset,
            kernel_column=columns.get(name),
            bias_quadrant=quadrant if has_bias(placed.layer) else None,
            bias_start=start if has_bias(placed.layer) else None,
        )
    complete = replace(placement, layers=rows)
    placement_rules.require(network, complete)
    return complete
