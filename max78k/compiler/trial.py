"""One choice of processors for a network, and what it costs.

A trial is computed without looking at single words of memory, thousands of times in a search; what
comes out of the search is checked by :mod:`max78k.compiler.placement_rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from max78k.chip import limits
from max78k.compiler import bits, spaces
from max78k.compiler.groups import STACKED, Group
from max78k.compiler.kernels import column_count
from max78k.compiler.placed import has_bias
from max78k.compiler.processor_maps import (
    Choice,
    InputForm,
    Maps,
    Rows,
    given_readers,
    processor_maps,
    read_map,
)
from max78k.network.geometry import Geometry
from max78k.network.network import INPUT

_LANES = limits.PROCESSORS_PER_INSTANCE
_WRONG = 1_000_000  # cost of a pass-through layer whose data would have to change quadrants


class Cost(NamedTuple):
    """What a trial costs; less is better, what comes first counts first.

    ``misfit`` is 0 for what fits the chip; ``cycles`` are those of the pass-through layers, which
    alone depend on the processors.
    """

    misfit: int
    cycles: int
    kernels: int
    data: int
    quadrants: int


@dataclass(frozen=True)
class Task:
    """A network to be placed: what stays the same in all trials.

    ``kinds`` has a number for each layer with kernels, the same for layers with the same kernels.
    """

    shapes: Sequence[Geometry]
    groups: Sequence[Group]
    rows: Rows
    form: InputForm
    kinds: dict[str, int]

    @property
    def planar(self) -> bool:
        """True for CHW input."""
        return self.form.planar

    @cached_property
    def readers(self) -> dict[tuple[str, ...], int]:
        """Groups that a layer with given processors reads as a whole."""
        return given_readers(self.groups, self.shapes, self.rows)

    def settles(self, group: Group) -> bool:
        """True if what is given says where all tensors of the group lie."""
        rows = [self.rows.get(name) for name in group.names]
        outputs = all(row is not None and row.output_processors is not None for row in rows)
        return outputs or group.names in self.readers

    @cached_property
    def together(self) -> list[list[int]]:
        """For every group, the numbers of the others that are alive at the same time."""
        return [
            [
                number
                for number, other in enumerate(self.groups)
                if other != group and other.since <= group.dies and group.since <= other.dies
            ]
            for group in self.groups
        ]

    @cached_property
    def fixed_columns(self) -> dict[str, int]:
        """Kernel columns that are given."""
        return {
            name: row.kernel_column
            for name, row in self.rows.items()
            if row.kernel_column is not None and name in self.kinds
        }

    @cached_property
    def fixed_bias(self) -> dict[str, tuple[int, int]]:
        """Bias places that are given."""
        return {
            name: (row.bias_quadrant or 0, row.bias_start)
            for name, row in self.rows.items()
            if row.bias_start is not None
        }

    @cached_property
    def fixed_words(self) -> dict[int, int]:
        """First word of the groups whose offset is given, by number."""
        fixed: dict[int, int] = {}
        for number, group in enumerate(self.groups):
            for order, name in enumerate(group.names):
                row = self.rows.get(name)
                if row is not None and row.out_offset is not None:
                    first = row.out_offset // 4 - group.step * order
                    fixed.setdefault(number, first - group.lead)
            for shape in self.shapes:
                row = self.rows.get(shape.layer.name)
                if row is not None and row.in_offset is not None:
                    if shape.layer.inputs[0] in group.names:
                        skipped = shape.skipped_words
                        if self.planar and shape.layer.inputs == (INPUT,):
                            skipped = shape.skipped // 4
                        fixed.setdefault(number, row.in_offset // 4 - group.lead - skipped)
        return fixed


@dataclass(frozen=True)
class Trial:
    """Maps and places that follow from one choice."""

    cost: Cost
    choice: Choice
    maps: Maps
    columns: dict[str, int]
    words: list[int]
    bias: dict[str, tuple[int, int]]


def attempt(
    task: Task, choice: Choice, worst: Cost | None = None, exact: bool = False
) -> Trial | None:
    """The trial of a choice; None as soon as it is clear that it costs no less than ``worst``.

    With ``exact``, all orders of a few layers and groups are tried.
    """
    maps = processor_maps(task.groups, task.shapes, task.rows, task.readers, choice, task.form)
    reads, writes = _layer_maps(task, maps)
    wrong = _WRONG * _moved(task, reads, writes)
    used = 0
    for processor_map in (*reads, *writes):
        used |= processor_map
    quadrants = bits.quadrants(used)
    wrong += 0 if used & 0xFFFF else _WRONG
    cycles = sum(_pass_through(s, reads[s.index]) for s in task.shapes if not s.convolves)
    columns, end = spaces.pack_columns(kernel_items(task, reads, writes), task.fixed_columns, exact)
    wrong += 64 * max(0, end - limits.KERNEL_COLUMNS)
    if worst is not None and (wrong, cycles, end) > worst[:3]:
        return None
    bias, entries = spaces.pack_bias(bias_items(task, writes), quadrants, task.fixed_bias)
    wrong += max(0, entries - limits.BIAS_BYTES_PER_QUADRANT)
    blocks = [block(group, task, maps) for group in task.groups]
    words, data = spaces.pack_data(blocks, task.together, task.fixed_words, exact)
    wrong += max(0, data - limits.INSTANCE_WORDS)
    cost = Cost(wrong, cycles, end, data, len(quadrants))
    if worst is not None and cost >= worst:
        return None
    return Trial(cost, choice, maps, columns, words, bias)


def _layer_maps(task: Task, maps: Maps) -> tuple[list[int], list[int]]:
    reads, writes = [], []
    for shape in task.shapes:
        row = task.rows.get(shape.layer.name)
        given_in = row.processors if row else None
        given_out = row.output_processors if row else None
        reads.append(read_map(maps, shape) if given_in is None else given_in)
        writes.append(maps[shape.layer.target] if given_out is None else given_out)
    return reads, writes


def _moved(task: Task, reads: list[int], writes: list[int]) -> int:
    """Pass-through layers whose output is not packed in the quadrants of the input."""
    count = 0
    for shape in task.shapes:
        if shape.convolves:
            continue
        for quadrant in range(limits.QUADRANTS):
            source = bits.of_quadrant(reads[shape.index], quadrant)
            target = bits.of_quadrant(writes[shape.index], quadrant)
            loose = target and (bits.lowest(target) % _LANES or not bits.contiguous(target))
            if loose or bits.count(source) != bits.count(target):
                count += 1
                break
    return count


def _pass_through(shape: Geometry, processors: int) -> int:
    """Cycles that depend on the processors: words that a quadrant moves for one pixel."""
    most = max(bits.count(bits.of_quadrant(processors, q)) for q in range(limits.QUADRANTS))
    return shape.out_pixels * shape.steps * -(-most // _LANES)


def kernel_items(task: Task, reads: Sequence[int], writes: Sequence[int]) -> list[spaces.Columns]:
    """Kernel columns that the layers want."""
    return [
        spaces.Columns(
            shape.layer.name,
            reads[shape.index],
            _columns(shape, writes[shape.index]),
            (task.kinds[shape.layer.name], writes[shape.index]),
        )
        for shape in task.shapes
        if shape.convolves
    ]


@lru_cache(maxsize=4096)
def _columns(shape: Geometry, output: int) -> int:
    """As :func:`max78k.compiler.kernels.layer_columns`, from the output processors alone."""
    lead = bits.lowest(output) % _LANES
    if shape.flattens:
        count = (lead * shape.out_passes + shape.outputs) * shape.steps
    else:
        slots = 1 + bits.highest(output) - bits.lowest(output) + lead
        count = slots * shape.out_passes * shape.in_passes
    return column_count(count, shape.taps, shape.layer.weight_bits)


def bias_items(task: Task, writes: Sequence[int]) -> list[spaces.Entries]:
    """Bias entries that the layers want, those of unused slots included."""
    items = []
    for shape in task.shapes:
        if not has_bias(shape.layer):
            continue
        output = writes[shape.index]
        lead = bits.lowest(output) % _LANES
        count = lead * shape.out_passes + shape.outputs
        if not shape.flattens:
            slots = 1 + bits.highest(output) - bits.lowest(output) + lead
            count = slots * shape.out_passes
        row = task.rows.get(shape.layer.name)
        count += int(shape.streaming and shape.index == 0)  # which reads its bias one entry late
        allowed = row.bias_quadrants if row else ()
        if row is not None and row.bias_quadrant is not None:
            allowed = (row.bias_quadrant,)
        items.append(spaces.Entries(shape.layer.name, count, shape.flattens, allowed))
    return items


def block(group: Group, task: Task, maps: Maps) -> spaces.Block:
    """Data memory of a group, and when and where it is taken.

    The parts of a stacked group lie in instances of their own, each from its own first write on.
    """
    parts = []
    for tensor in group.tensors:
        target = maps[tensor.name]
        kept = tensor.born < 0 and tensor.name != INPUT
        if kept or (tensor.born >= 0 and task.shapes[tensor.born].convolves):
            low = bits.lowest(target)
            target = bits.block(low, bits.highest(target) - low + 1)  # gaps are written, too
        parts.append((_instances(target), tensor.since, tensor.dies))
    if group.kind != STACKED:
        taken = 0
        for instances, _, _ in parts:
            taken |= instances
        parts = [(taken, group.since, group.dies)]
    rows = [(tensor.words, task.rows.get(tensor.name)) for tensor in group.tensors]
    words = (n * (row.write_gap + 1) for n, row in rows if row is not None)
    return spaces.Block(max(group.words, *words, 0), tuple(parts))


@lru_cache(maxsize=4096)
def _instances(processor_map: int) -> int:
    """16-bit map of the data-memory instances."""
    return sum(1 << instance for instance in bits.instances(processor_map))
