"""Processor maps of all tensors, from a choice of one number per group.

A choice is the group's first processor, or one of two others: ``FOLLOW``, where a pass-through
layer's output lies in the same place as its input, and ``SPREAD``, where the channels are dealt
out to the quadrants, so that a pass-through layer has less to do in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.groups import ALONE, Group
from max78k.compiler.placement import LayerPlacement
from max78k.network.geometry import Geometry, processors
from max78k.network.network import INPUT

Maps = dict[str, int]
Rows = dict[str, LayerPlacement]
Choice = dict[Group, int]

FOLLOW = -1
SPREAD = -2
_LANES = limits.PROCESSORS_PER_INSTANCE
_QUADRANT = limits.PROCESSORS_PER_QUADRANT


@dataclass(frozen=True)
class InputForm:
    """How the network's input comes in: ``planar`` is CHW, ``fed`` is through FIFOs."""

    planar: bool = False
    fed: bool = False

    def map(self, channels: int, first: int) -> int:
        """Processors of ``channels``, from processor ``first`` on where there is a choice.

        FIFO n reaches the first four processors of quadrant n, and one of them with CHW data.
        """
        step = _LANES if self.planar else 1
        places = range(first, first + step * channels, step)
        reached = [p for p in range(limits.PROCESSORS) if p % _QUADRANT < _LANES and not p % step]
        if self.fed and channels <= len(reached):
            return sum(1 << p for p in reached[:channels])
        return sum(1 << p for p in places)


def options(group: Group, shapes: Sequence[Geometry], form: InputForm) -> tuple[int, ...]:
    """All choices for a group, the usual one first."""
    if form.fed and INPUT in group.names:
        return (0,)
    planar = form.planar
    span = group.span
    if planar and INPUT in group.names:
        span = _LANES * (span - 1) + 1
    places = tuple(range(0, limits.PROCESSORS - span + 1, _LANES))
    makers = [shapes[t.born] for t in group.tensors if t.born >= 0]
    if any(not maker.convolves for maker in makers):
        places = (FOLLOW, *places)
    readers = (s for s in shapes if not s.convolves and set(s.layer.inputs) <= set(group.names))
    kept = group.born < 0 and INPUT not in group.names  # a buffer, which any layer may write
    moved = not kept and all(not maker.convolves for maker in makers) and any(readers)
    if moved and group.kind == ALONE and not planar and FOLLOW not in places:
        places += (SPREAD,)
    return places


def processor_maps(
    groups: Sequence[Group],
    shapes: Sequence[Geometry],
    rows: Rows,
    readers: dict[tuple[str, ...], int],
    choice: Choice,
    form: InputForm,
) -> Maps:
    """Processor map of every tensor; what is given in ``rows`` and ``readers`` comes first."""
    maps: Maps = {}
    for group in groups:
        given = readers.get(group.names)
        if given is not None:
            maps |= group.split(given)
        else:
            maps |= _group_maps(group, shapes, rows, choice[group], maps)
        if INPUT in group.names and (form.planar or form.fed) and given is None:
            maps[INPUT] = form.map(group.tensors[0].channels, max(choice[group], 0))
        for name in group.names:
            row = rows.get(name)
            if row is not None and row.output_processors is not None:
                maps[name] = row.output_processors
    return maps


def given_readers(
    groups: Sequence[Group], shapes: Sequence[Geometry], rows: Rows
) -> dict[tuple[str, ...], int]:
    """By names of a group, the given processors of a layer that reads the whole group."""
    names = {group.names for group in groups}
    result: dict[tuple[str, ...], int] = {}
    for shape in shapes:
        row = rows.get(shape.layer.name)
        if shape.layer.cut is not None and shape.layer.cut.of_channels:
            continue
        if shape.layer.inputs in names and row is not None and row.processors is not None:
            result.setdefault(shape.layer.inputs, row.processors)
    return result


def _group_maps(
    group: Group, shapes: Sequence[Geometry], rows: Rows, first: int, known: Maps
) -> Maps:
    if first == SPREAD:
        return {group.names[0]: spread(group.tensors[0].channels)}
    if first == FOLLOW:
        for tensor, start in zip(group.tensors, group.starts, strict=True):
            if tensor.born < 0 or shapes[tensor.born].convolves:
                continue
            sources = shapes[tensor.born].layer.inputs
            if all(name in known for name in sources):
                row = rows.get(tensor.name)
                planned = read_map(known, shapes[tensor.born])
                source = row.processors if row and row.processors else planned
                if len(group.tensors) == 1:
                    return {tensor.name: packed(source)}
                last = (limits.PROCESSORS - group.span) // _LANES * _LANES
                return group.maps(min(max(0, bits.lowest(packed(source)) - start), last))
    return group.maps(max(first, 0))


def union(maps: Maps, names: Sequence[str]) -> int:
    """Processors of several tensors."""
    result = 0
    for name in names:
        result |= maps[name]
    return result


def read_map(maps: Maps, shape: Geometry) -> int:
    """Processors that a layer reads: those of its inputs, or of the channels that it wants."""
    whole = union(maps, shape.layer.inputs)
    if shape.layer.cut is None or not shape.layer.cut.of_channels:
        return whole
    wanted = bits.members(whole)[shape.first_channel :][: shape.channels]
    return sum(1 << n for n in wanted)


def packed(processor_map: int) -> int:
    """Where a pass-through layer puts the data that it reads from ``processor_map``."""
    result = 0
    for quadrant in bits.quadrants(processor_map):
        own = bits.of_quadrant(processor_map, quadrant)
        count = bits.count(own)
        first = min(bits.lowest(own), _QUADRANT - count) // _LANES * _LANES
        result |= bits.block(quadrant * _QUADRANT + first, count)
    return result


def spread(channels: int) -> int:
    """A map of the processors of ``channels``, dealt out to the quadrants in words of four."""
    count = processors(channels)
    words, rest = divmod(count, _LANES)
    result, quadrants = 0, limits.QUADRANTS
    total = words + (rest > 0)
    for quadrant in range(quadrants):
        own = total // quadrants + (quadrant < total % quadrants)
        result |= bits.block(quadrant * _QUADRANT, own * _LANES)
    excess = total * _LANES - count
    for _ in range(excess):
        result &= ~(1 << bits.highest(result))
    return result
