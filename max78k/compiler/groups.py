"""Tensors that must lie together in data memory, because one layer reads them side by side.

A tensor is the network's input or a layer's output. Most are alone in their group. The operands of
an element-wise operation, and parts of a concatenation that are exactly one pass each, are
interleaved word by word; other parts of a concatenation stand on neighbouring processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from max78k.chip import limits
from max78k.compiler import bits
from max78k.errors import Max78kError, RuleError
from max78k.network.geometry import Geometry, processors
from max78k.network.network import INPUT, Network

ALONE = "alone"
INTERLEAVED = "interleaved"
STACKED = "stacked"
_COPY = "a pass-through layer that makes a copy for one of the readers."


@dataclass(frozen=True)
class Tensor:
    """Values between layers: ``born`` and ``dies`` are the producer's and last reader's index."""

    name: str
    channels: int
    words: int
    born: int
    dies: int


@dataclass(frozen=True)
class Group:
    """Tensors with one offset in data memory."""

    kind: str
    tensors: tuple[Tensor, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors in order."""
        return tuple(tensor.name for tensor in self.tensors)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First processor of each tensor, counted from the group's first."""
        if self.kind != STACKED:
            return (0,) * len(self.tensors)
        result, start = [], 0
        for tensor in self.tensors:
            result.append(start)
            start += -(-processors(tensor.channels) // 4) * 4
        return tuple(result)

    @cached_property
    def span(self) -> int:
        """Processors from the group's first to its last."""
        return self.starts[-1] + processors(self.tensors[-1].channels)

    @cached_property
    def words(self) -> int:
        """Words in each data-memory instance."""
        largest = max(tensor.words for tensor in self.tensors)
        return largest * (len(self.tensors) if self.kind == INTERLEAVED else 1)

    @property
    def gap(self) -> int:
        """Words that a producer leaves free between two of its own."""
        return len(self.tensors) - 1 if self.kind == INTERLEAVED else 0

    @property
    def step(self) -> int:
        """Words from the first one of a tensor to the first one of the next."""
        return 1 if self.kind == INTERLEAVED else 0

    @cached_property
    def born(self) -> int:
        """Index of the first layer that writes here; -1 for the network's input."""
        return min(tensor.born for tensor in self.tensors)

    @cached_property
    def dies(self) -> int:
        """Index of the last layer that reads here."""
        return max(tensor.dies for tensor in self.tensors)

    def maps(self, first: int) -> dict[str, int]:
        """Processor map of each tensor when the group begins at processor ``first``."""
        return {
            tensor.name: bits.block(first + start, processors(tensor.channels))
            for tensor, start in zip(self.tensors, self.starts, strict=True)
        }

    def split(self, processor_map: int) -> dict[str, int]:
        """Processor map of each tensor when the reader's map of the whole group is given."""
        if self.kind != STACKED:
            return dict.fromkeys(self.names, processor_map)
        members, result = bits.members(processor_map), {}
        for tensor in self.tensors:
            own, members = members[: tensor.channels], members[tensor.channels :]
            result[tensor.name] = sum(1 << n for n in own)
        return result


def find_groups(network: Network, shapes: Sequence[Geometry], planar: bool) -> list[Group]:
    """All groups, in the order in which they are first written; raises RuleError."""
    tensors = _tensors(network, shapes, planar)
    joint: dict[tuple[str, ...], str] = {}
    for shape in shapes:
        if len(shape.layer.inputs) > 1:
            joint[shape.layer.inputs] = _kind(shape, tensors)
    taken: dict[str, tuple[str, ...]] = {}
    for names, kind in joint.items():
        _check_joint(network, names, kind, taken)
        taken |= dict.fromkeys(names, names)
    groups = [Group(kind, tuple(tensors[name] for name in names)) for names, kind in joint.items()]
    groups += [Group(ALONE, (tensor,)) for name, tensor in tensors.items() if name not in taken]
    return sorted(groups, key=lambda group: group.born)


def _tensors(network: Network, shapes: Sequence[Geometry], planar: bool) -> dict[str, Tensor]:
    last: dict[str, int] = dict.fromkeys(network.outputs, len(shapes))
    for shape in shapes:
        for name in shape.layer.inputs:
            last[name] = max(last.get(name, 0), shape.index)
    rows = network.input_shape
    pixels = rows[1] * (rows[2] if len(rows) > 2 else 1)
    passes = -(-rows[0] // limits.PROCESSORS)
    words = -(-pixels // 4) if planar else pixels * passes
    result = {INPUT: Tensor(INPUT, rows[0], words, -1, last.get(INPUT, -1))}
    for shape in shapes:
        name = shape.layer.name
        dies = last.get(name, shape.index)
        result[name] = Tensor(name, shape.outputs, shape.out_words, shape.index, dies)
    return result


def _kind(shape: Geometry, tensors: dict[str, Tensor]) -> str:
    """How the inputs of a layer with several are laid out."""
    layer = shape.layer
    if layer.eltwise is not None:
        return INTERLEAVED
    counts = {tensors[name].channels for name in layer.inputs}
    if shape.in_passes > 1 and counts == {shape.in_processors}:
        return INTERLEAVED
    span = sum(-(-tensors[name].channels // 4) * 4 for name in layer.inputs)
    if shape.in_passes == 1 and span <= limits.PROCESSORS:
        return STACKED
    parts = ", ".join(f"{name} {tensors[name].channels}" for name in layer.inputs)
    raise _refusal(
        "CONCAT",
        f"layer {layer.name} joins {shape.channels} channels ({parts})",
        "at most 64 channels in all, each part counted in multiples of 4, "
        "or equal parts of up to 64 channels.",
    )


def _check_joint(
    network: Network, names: tuple[str, ...], kind: str, taken: dict[str, tuple[str, ...]]
) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _refusal("JOINT-TWICE", f"{name} is joined with itself", _COPY)
        if name in taken:
            text = f"{name} is joined with {_others(taken[name], name)} and {_others(names, name)}"
            raise _refusal("JOINT-GROUPS", text, _COPY)
        if kind == INTERLEAVED:
            for layer in network.layers:
                if name in layer.inputs and layer.inputs != names:
                    text = f"layer {layer.name} reads {name} alone, which is interleaved with "
                    raise _refusal("JOINT-READ", text + _others(names, name), _COPY)


def _others(names: tuple[str, ...], name: str) -> str:
    return " and ".join(other for other in names if other != name)


def _refusal(code: str, message: str, hint: str) -> RuleError:
    return RuleError([Max78kError(f"E-RULE-{code}", f"{message}.", hint)])
