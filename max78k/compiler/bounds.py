"""What every placement of a network needs at least, wherever its tensors lie.

A bound above the size of a memory proves that the network does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from max78k.chip import limits
from max78k.compiler import bits, spaces
from max78k.compiler.groups import STACKED
from max78k.compiler.processor_maps import options
from max78k.compiler.trial import Task, kernel_items
from max78k.network.geometry import Geometry, processors

Item = tuple[spaces.Columns, Geometry]
Held = tuple[str, int, int]  # what lies in data memory: name, words, instances that it takes


def wanted(task: Task) -> list[Item]:
    """Kernel columns of every layer with kernels at its smallest: outputs in a row from lane 0.

    Layers with the same kernels count once.
    """
    reads = [bits.block(0, shape.in_processors) for shape in task.shapes]
    writes = [bits.block(0, shape.out_processors) for shape in task.shapes]
    items = {item.name: item for item in kernel_items(task, reads, writes)}
    unique: dict[object, Item] = {}
    for shape in task.shapes:
        if shape.convolves:
            item = items[shape.layer.name]
            unique.setdefault((item.same, item.processors), (item, shape))
    return list(unique.values())


def columns_read(task: Task, names: Sequence[str]) -> int:
    """Kernel columns of all layers that read some of the tensors ``names``."""
    return sum(item.count for item, shape in wanted(task) if set(names) & set(shape.layer.inputs))


def least_columns(task: Task, counts: Mapping[str, int] | None = None) -> int:
    """Columns that some processor holds at least; ``counts`` by layer instead of the real ones.

    Three bounds: all kernels spread evenly; the layers that read one tensor; the layers so wide
    that wherever they lie they use the two processors in the middle.
    """
    rows = [
        (item.count if counts is None else counts[item.name], bits.count(item.processors), shape)
        for item, shape in wanted(task)
    ]
    area = sum(count * width for count, width, _ in rows)
    bounds = [-(-area // limits.PROCESSORS)]
    for name in {name for _, _, shape in rows for name in shape.layer.inputs}:
        bounds.append(_stacked([n for n, _, shape in rows if name in shape.layer.inputs]))
    solid = _solid(task)
    wide = limits.PROCESSORS // 2
    bounds.append(
        _stacked([n for n, width, s in rows if width > wide and s.layer.inputs[0] in solid])
    )
    return max(bounds)


def _solid(task: Task) -> set[str]:
    """Tensors whose readers use processors without gaps in every placement."""
    if any(row.processors or row.output_processors for row in task.rows.values()):
        return set()  # what is given may have gaps
    return {
        name
        for group in task.groups
        if group.kind != STACKED and min(options(group, task.shapes, task.form)) >= 0
        for name in group.names
        if not ((task.planar or task.form.fed) and group.born < 0)
    }


def _stacked(counts: list[int]) -> int:
    """End of columns one upon the other, each from an aligned start, the best one on top."""
    waste = [-count % limits.KERNEL_ALIGNMENT for count in counts]
    return sum(counts) + sum(waste) - max(waste, default=0)


def least_words(task: Task) -> tuple[int, str, list[Held]]:
    """Words that some data-memory instance holds at least, the layer meanwhile, and what it holds.

    Two bounds: all data spread evenly; what takes more than half of the instances, and therefore
    has one in common.
    """
    worst: tuple[int, str, list[Held]] = (0, "", [])
    for shape in task.shapes:
        held = _held(task, shape.index)
        total = sum(words * instances for _, words, instances in held)
        wide = sum(words for _, words, instances in held if 2 * instances > limits.INSTANCES)
        words = max(-(-total // limits.INSTANCES), wide)
        if words > worst[0]:
            worst = words, shape.layer.name, held
    return worst


def _held(task: Task, index: int) -> list[Held]:
    """What lies in data memory while layer ``index`` runs."""
    held = []
    for group in task.groups:
        if group.kind != STACKED:
            if group.since <= index <= group.dies:
                held.append((" and ".join(group.names), group.words, _instances(group.span)))
            continue
        for tensor in group.tensors:
            if tensor.since <= index <= tensor.dies:
                count = _instances(processors(tensor.channels))
                held.append((tensor.name, tensor.words, count))
    return held


def _instances(channels: int) -> int:
    return -(-channels // limits.PROCESSORS_PER_INSTANCE)
