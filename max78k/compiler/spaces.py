"""Finds room: data-memory offsets, kernel columns, bias entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from max78k.chip import limits
from max78k.compiler import bits, kernels
from max78k.compiler.groups import INTERLEAVED, Group
from max78k.compiler.placed import Placed
from max78k.compiler.placement import LayerPlacement
from max78k.errors import Max78kError, RuleError

Rows = dict[str, LayerPlacement]
BoolArray = npt.NDArray[np.bool_]


def data_offsets(
    groups: Sequence[Group], layers: Sequence[Placed], given: Rows
) -> dict[Group, int]:
    """Byte offset of every group; raises RuleError where no choice fits.

    Groups that are alive at the same time in the same instance do not overlap. Three policies are
    tried: each as low as possible; from both ends in turn, which always fits a chain whose
    neighbours fit together; the largest first.
    """
    fixed = _given_offsets(groups, layers, given)
    free = [group for group in groups if group not in fixed]
    used = {group: _instances(group, layers) for group in groups}
    policies: tuple[tuple[Iterable[Group], bool], ...] = (
        (free, False),
        (free, True),
        (sorted(free, key=lambda group: -group.words), False),
    )
    missing = free[0] if free else None
    for order, alternate in policies:
        result = dict(fixed)
        for number, group in enumerate(order):
            offset = _room(group, result, used, from_top=alternate and number % 2 == 1)
            if offset is None:
                missing = group
                break
            result[group] = offset
        else:
            return result
    assert missing is not None
    raise _data_refusal(missing, groups, used)


def _data_refusal(group: Group, groups: Sequence[Group], used: dict[Group, set[int]]) -> RuleError:
    others = [x for x in groups if x != group and _conflict(group, x, used)]
    parts = ", ".join(f"{' and '.join(x.names)} {4 * x.words}" for x in others)
    return _refusal(
        "DATA-FIT",
        f"{' and '.join(group.names)} takes {4 * group.words} bytes of each data-memory instance "
        f"beside {parts}; an instance has {limits.INSTANCE_BYTES}",
        "pool earlier, smaller pictures, or fewer channels.",
    )


def _given_offsets(
    groups: Sequence[Group], layers: Sequence[Placed], given: Rows
) -> dict[Group, int]:
    fixed: dict[Group, int] = {}
    for group in groups:
        for number, name in enumerate(group.names):
            row = given.get(name)
            if row is not None and row.out_offset is not None:
                step = 4 * number if group.kind == INTERLEAVED else 0
                fixed.setdefault(group, row.out_offset - step)
        for placed in layers:
            row = given.get(placed.layer.name)
            if row is not None and row.in_offset is not None:
                if placed.layer.inputs[0] in group.names:
                    fixed.setdefault(group, row.in_offset)
    return fixed


def _instances(group: Group, layers: Sequence[Placed]) -> set[int]:
    """Data-memory instances that hold the group, all that its writers and readers touch."""
    touched = 0
    for placed in layers:
        if placed.layer.name in group.names:
            touched |= placed.output_processors
        if set(placed.layer.inputs) & set(group.names):
            touched |= placed.processors
    return set(bits.instances(touched))


def _conflict(a: Group, b: Group, used: dict[Group, set[int]]) -> bool:
    return a.born <= b.dies and b.born <= a.dies and bool(used[a] & used[b])


def _room(
    group: Group, placed: dict[Group, int], used: dict[Group, set[int]], from_top: bool
) -> int | None:
    """Lowest (or highest) byte offset at which ``group`` meets no other living group."""
    size = 4 * group.words
    spans = [(at, at + 4 * x.words) for x, at in placed.items() if _conflict(group, x, used)]
    if from_top:
        candidates = [limits.INSTANCE_BYTES - size, *(start - size for start, _ in spans)]
        candidates.sort(reverse=True)
    else:
        candidates = sorted([0, *(stop for _, stop in spans)])
    for offset in candidates:
        fits = 0 <= offset and offset + size <= limits.INSTANCE_BYTES
        if fits and all(offset + size <= start or stop <= offset for start, stop in spans):
            return offset
    return None


def kernel_columns(layers: Sequence[Placed], given: Rows) -> dict[str, int]:
    """First kernel column of every layer with kernels, by name; raises RuleError.

    Layers on all 64 processors come first, then the longest; each takes the lowest free columns.
    """
    used = np.zeros((limits.PROCESSORS, limits.KERNEL_COLUMNS), bool)
    result: dict[str, int] = {}
    free = []
    for placed in layers:
        if not placed.geometry.convolves:
            continue
        row = given.get(placed.layer.name)
        if row is None or row.kernel_column is None:
            free.append(placed)
            continue
        result[placed.layer.name] = row.kernel_column
        stop = row.kernel_column + kernels.layer_columns(placed)
        used[bits.members(placed.processors), max(row.kernel_column, 0) : stop] = True
    free.sort(
        key=lambda placed: (
            bits.count(placed.processors) < limits.PROCESSORS,
            -kernels.layer_columns(placed),
        )
    )
    for placed in free:
        need = kernels.layer_columns(placed)
        members = bits.members(placed.processors)
        column = _columns_free(np.any(used[members], axis=0), need)
        if column is None:
            raise _kernel_refusal(placed, need, used, layers)
        result[placed.layer.name] = column
        used[members, column : column + need] = True
    return result


def _columns_free(taken: BoolArray, need: int) -> int | None:
    """First aligned column from which ``need`` columns are free."""
    before = np.concatenate([[0], np.cumsum(taken)])
    for column in range(0, limits.KERNEL_COLUMNS - need + 1, limits.KERNEL_ALIGNMENT):
        if before[column + need] == before[column]:
            return column
    return None


def _kernel_refusal(
    placed: Placed,
    need: int,
    used: BoolArray,
    layers: Sequence[Placed],
) -> RuleError:
    members = bits.members(placed.processors)
    most = int(used[members].sum(axis=1).max())
    total = sum(kernels.layer_columns(x) for x in layers if x.processors & placed.processors)
    return _refusal(
        "KERNEL-FIT",
        f"layer {placed.layer.name} needs {need} kernel columns on processors "
        f"{members[0]}...{members[-1]}, of which other layers take up to {most} of "
        f"{limits.KERNEL_COLUMNS}; all layers together want {total}",
        "fewer output channels, fewer bits per weight, or 1x1 instead of 3x3 kernels.",
    )


def bias_places(layers: Sequence[Placed], given: Rows) -> dict[str, tuple[int, int]]:
    """Quadrant and first entry of every bias, by layer name; raises RuleError.

    Flattening layers first, then the longest; each goes to the quadrant with most room.
    """
    quadrants = layers[0].quadrants
    level = dict.fromkeys(quadrants, 0)
    result: dict[str, tuple[int, int]] = {}
    free = []
    for placed in layers:
        if placed.bias_quadrant is None:
            continue
        row = given.get(placed.layer.name, LayerPlacement())
        if row.bias_start is not None:
            quadrant = quadrants[0] if row.bias_quadrant is None else row.bias_quadrant
            result[placed.layer.name] = (quadrant, row.bias_start)
            stop = row.bias_start + placed.bias_room
            level[quadrant] = max(level.get(quadrant, 0), stop)
        else:
            free.append((placed, row.bias_quadrant))
    free.sort(
        key=lambda item: (
            item[1] is None,
            not item[0].geometry.flattens,
            -item[0].bias_room,
        )
    )
    for placed, wanted in free:
        allowed = quadrants if wanted is None else (wanted,)
        quadrant = min(allowed, key=lambda q: level.get(q, 0))
        start, need = level.get(quadrant, 0), placed.bias_room
        if start + need > limits.BIAS_BYTES_PER_QUADRANT:
            raise _refusal(
                "BIAS-FIT",
                f"layer {placed.layer.name} needs {need} bias entries, quadrant {quadrant} has "
                f"{limits.BIAS_BYTES_PER_QUADRANT - start} left",
                "no bias in some layers, or more quadrants.",
            )
        result[placed.layer.name] = (quadrant, start)
        level[quadrant] = start + need
    return result


def _refusal(code: str, message: str, hint: str) -> RuleError:
    return RuleError([Max78kError(f"E-RULE-{code}", f"{message}.", hint)])
