"""Plans the placement of a network: processors, data memory, kernel columns, bias memory.

What the caller gives is kept to the bit; the rest is planned around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from max78k.chip import limits
from max78k.compiler import placement_rules, refusals
from max78k.compiler.groups import find_groups
from max78k.compiler.placed import is_complete
from max78k.compiler.placement import FAST_FIFO, FIFO, MEMORY, LayerPlacement, Placement
from max78k.compiler.processor_maps import InputForm, read_map
from max78k.compiler.search import search
from max78k.compiler.trial import Task, Trial
from max78k.network import rules
from max78k.network.geometry import Geometry, geometry
from max78k.network.network import INPUT, Network


def plan(network: Network, given: Placement | None = None, seconds: float = 5.0) -> Placement:
    """A complete placement that fits the chip.

    Args:
        network: the integer network.
        given: parts that are fixed; fields that are None, and layers that are missing, are planned.
        seconds: budget of the search for processors, counted in trials: the same network gives
            the same placement on every machine.

    Raises:
        RuleError: the network breaks rules of the chip, or it does not fit; the error names the
            memory, the numbers and what to change.
    """
    rules.require(network)
    if given is not None and is_complete(network, given):
        placement_rules.require(network, given)
        return given
    shapes = geometry(network)
    rows = given.layers if given else {}
    feed = given.feed if given else MEMORY
    formats = (given.data_format,) if rows and given else _data_formats(shapes, feed)
    attempts = []
    for data_format in formats:
        planar = data_format == "CHW"
        groups = find_groups(network, shapes, planar)
        task = Task(shapes, groups, rows, InputForm(planar, feed != MEMORY), _kinds(shapes))
        trial = search(task, seconds)
        attempts.append((task, trial))
        if not trial.cost.misfit:
            break
    else:
        task, trial = attempts[0]
        refusals.require_room(task, trial)
    data_format = "CHW" if task.planar else "HWC"
    placement = replace(given or Placement({}), layers=_rows(task, trial), data_format=data_format)
    placement_rules.require(network, placement)
    return placement


def _kinds(shapes: Sequence[Geometry]) -> dict[str, int]:
    """By name of each layer with kernels, a number that layers with the same kernels share.

    Kernels of nothing but zeros are not shared: they stand for weights that are not yet known, and
    what is found to fit with them must fit with any others.
    """
    numbers: dict[object, int] = {}
    result = {}
    for shape in shapes:
        layer, weight = shape.layer, shape.layer.weight
        if weight is not None:
            form = (
                layer.operation,
                layer.weight_bits,
                shape.kernel,
                shape.channels,
                shape.flattens,
            )
            own = "" if weight.any() else layer.name
            kind = (*form, weight.shape, weight.tobytes(), own)
            result[layer.name] = numbers.setdefault(kind, len(numbers))
    return result


def _data_formats(shapes: Sequence[Geometry], feed: str) -> tuple[str, ...]:
    """Formats of the network's input to try: CHW first where it takes half the words to load."""
    first = shapes[0]
    if feed == FAST_FIFO:
        return ("CHW",) if first.channels == 1 and first.may_be_planar else ("HWC",)
    if feed == FIFO and first.channels > limits.FIFO_PLANES:
        return ("HWC",)
    readers = [shape for shape in shapes if INPUT in shape.layer.inputs]
    if readers != [first] or not first.may_be_planar or first.in_passes > 1:
        return ("HWC",)
    planar = first.channels * -(-first.pixels // 4)
    few = 2 * planar <= first.pixels * -(-first.channels // limits.PROCESSORS_PER_INSTANCE)
    if few or (first.pixels > limits.INSTANCE_WORDS and not first.streaming):
        return ("CHW",)
    return ("HWC", "CHW")


def _rows(task: Task, trial: Trial) -> dict[str, LayerPlacement]:
    """Addresses of every layer: what is given, else what the trial found."""
    base, gaps, order = {}, {}, {}
    for group, word in zip(task.groups, trial.words, strict=True):
        for number, name in enumerate(group.names):
            base[name], gaps[name], order[name] = word + group.lead, group.gap, group.step * number
    rows = {}
    for shape in task.shapes:
        layer = shape.layer
        row = task.rows.get(layer.name, LayerPlacement())
        skipped = shape.skipped // 4 if _is_planar(task, shape) else shape.skipped_words
        word = base[layer.target] + order[layer.target]
        quadrant, start = trial.bias.get(layer.name, (None, None))
        rows[layer.name] = replace(
            row,
            processors=_first(row.processors, read_map(trial.maps, shape)),
            output_processors=_first(row.output_processors, trial.maps[layer.target]),
            in_offset=_first(row.in_offset, 4 * (base[layer.inputs[0]] + skipped)),
            out_offset=_first(row.out_offset, 4 * (word + shape.rows_before)),
            kernel_column=trial.columns.get(layer.name),
            bias_quadrant=quadrant,
            bias_start=start,
            write_gap=row.write_gap or gaps[layer.target],
        )
    return rows


def _is_planar(task: Task, shape: Geometry) -> bool:
    return task.planar and INPUT in shape.layer.inputs


def _first(given: int | None, planned: int) -> int:
    return planned if given is None else given
