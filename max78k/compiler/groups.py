"""Tensors that must lie together in data memory, because one layer reads them side by side.

A tensor is the network's input, a layer's output, or a buffer. Most are alone in their group. The
operands of an element-wise operation, and parts of a concatenation that are exactly one pass each,
are interleaved word by word; other parts of a concatenation stand on neighbouring processors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from max78k.chip import limits
from max78k.compiler import bits
from max78k.compiler.streaming import rolling
from max78k.errors import Max78kError, RuleError
from max78k.network.geometry import Geometry, passes, processors
from max78k.network.network import INPUT, Buffer, Network

ALONE = "alone"
INTERLEAVED = "interleaved"
STACKED = "stacked"
UNFIT = "unfit"
Joint = tuple[tuple[str, ...], str]  # names of the tensors, kind
_COPY = "a pass-through layer that makes a copy for one of the readers."


@dataclass(frozen=True)
class Tensor:
    """Values between layers: ``born`` and ``dies`` are the producer's and last reader's index.

    ``words`` counts all that is written or read in an instance, ``lead`` those of them before the
    first value. Memory is taken from layer ``since`` on: from the beginning by tensors of streaming
    layers, which all run at once, and where words behind the last value are set to 0 with the
    input. What streams on to the next layer takes a rolling buffer.
    """

    name: str
    channels: int
    words: int
    born: int
    since: int
    dies: int
    lead: int = 0


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
        return self.lead + self._count * max(t.words - t.lead for t in self.tensors)

    @cached_property
    def lead(self) -> int:
        """Words in each data-memory instance before the first value."""
        return self._count * max(tensor.lead for tensor in self.tensors)

    @property
    def _count(self) -> int:
        """Tensors that share the words."""
        return len(self.tensors) if self.kind == INTERLEAVED else 1

    @property
    def gap(self) -> int:
        """Words that a producer leaves free between two of its own."""
        return self._count - 1

    @property
    def step(self) -> int:
        """Words from the first one of a tensor to the first one of the next."""
        return 1 if self.kind == INTERLEAVED else 0

    @cached_property
    def born(self) -> int:
        """Index of the first layer that writes here; -1 for the network's input."""
        return min(tensor.born for tensor in self.tensors)

    @cached_property
    def since(self) -> int:
        """Index of the first layer during which memory is taken; -1 before the first layer."""
        return min(tensor.since for tensor in self.tensors)

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
    groups, taken = [], dict[str, tuple[str, ...]]()
    for names, kind in joints(shapes):
        for conflict in conflicts(shapes, (names, kind), taken):
            raise _refusal(conflict.code, conflict.text, _COPY)
        taken |= dict.fromkeys(names, names)
        groups.append(Group(kind, tuple(tensors[name] for name in names)))
    groups += [Group(ALONE, (tensor,)) for name, tensor in tensors.items() if name not in taken]
    return sorted(groups, key=lambda group: group.born)


def joints(shapes: Sequence[Geometry]) -> list[Joint]:
    """All tensors that layers join, and how; raises RuleError where there is no way.

    A stack that is a part of another one is not named: the larger one serves both.
    """
    found = dict.fromkeys(joint_of(s, shapes) for s in shapes if len(s.layer.inputs) > 1)
    for shape in shapes:
        if joint_of(shape, shapes)[1] == UNFIT:
            raise _unfit(shape, shapes)
    stacks = [names for names, kind in found if kind == STACKED]
    inner = {(small, STACKED) for small in stacks for large in stacks if _is_part(small, large)}
    return [joint for joint in found if joint not in inner]


def _is_part(small: tuple[str, ...], large: tuple[str, ...]) -> bool:
    """True if ``small`` stands in ``large`` in one piece, and is not all of it."""
    size = len(small)
    places = range(len(large) - size + 1)
    return size < len(large) and any(large[n : n + size] == small for n in places)


def _tensors(network: Network, shapes: Sequence[Geometry], planar: bool) -> dict[str, Tensor]:
    last: dict[str, int] = dict.fromkeys(network.outputs, len(shapes))
    for shape in shapes:
        for name in shape.layer.inputs:
            last[name] = max(last.get(name, 0), shape.index)
    streaming = sum(shape.streaming for shape in shapes)
    result = {INPUT: _input(network, shapes, planar, last.get(INPUT, -1))}
    for shape in shapes:
        name = shape.layer.name
        if shape.layer.buffer is not None:
            continue
        lead = shape.lead_words * shape.out_passes * shape.layer.output_width // 8
        read = shape.out_passes * _folded_pixels(name, shapes)
        words = max(shape.out_words, lead + read)
        dies = last.get(name, shape.index)
        early = shape.index < streaming or read > shape.out_values * shape.out_passes
        since = -1 if early else shape.index
        result[name] = Tensor(name, shape.outputs, words, shape.index, since, dies, lead)
    for shape, tensor in zip(shapes[:streaming], tuple(result.values()), strict=False):
        words = rolling(shape, shapes[: shape.index], planar and shape.index == 0).buffer
        result[tensor.name] = replace(tensor, words=words)
    return result | {buffer.name: _buffer(buffer, shapes) for buffer in network.buffers}


def _buffer(buffer: Buffer, shapes: Sequence[Geometry]) -> Tensor:
    """A buffer keeps its place all the time."""
    channels, values = buffer.shape[0], math.prod(buffer.shape[1:])
    words = passes(channels) * max(values, _folded_pixels(buffer.name, shapes))
    return Tensor(buffer.name, channels, words, -1, -1, len(shapes))


def _input(network: Network, shapes: Sequence[Geometry], planar: bool, dies: int) -> Tensor:
    """The network's input; a reader may see its channels as several operands."""
    channels, pixels = network.input_shape[0], math.prod(network.input_shape[1:])
    split = max((s.layer.split for s in shapes if INPUT in s.layer.inputs), default=1)
    pixels = max(pixels, _folded_pixels(INPUT, shapes))
    words = -(-pixels // 4) if planar else pixels * split * passes(channels // split)
    return Tensor(INPUT, channels // split, words, -1, -1, dies)


def _folded_pixels(name: str, shapes: Sequence[Geometry]) -> int:
    """Pixels that folded layers read of a tensor, those behind its last value included."""
    return max((s.pixels for s in shapes if s.folded and name in s.layer.inputs), default=0)


def joint_of(shape: Geometry, shapes: Sequence[Geometry]) -> Joint:
    """The inputs of a layer and how they are laid out; UNFIT where there is no way."""
    names = shape.layer.inputs
    if len(names) == 1:
        return names, ALONE
    if shape.layer.eltwise is not None:
        return names, INTERLEAVED
    counts = part_channels(shape, shapes)
    if shape.in_passes > 1 and set(counts) == {shape.in_processors}:
        return names, INTERLEAVED
    span = sum(-(-count // 4) * 4 for count in counts)
    fits = shape.in_passes == 1 and span <= limits.PROCESSORS
    return names, STACKED if fits else UNFIT


def part_channels(shape: Geometry, shapes: Sequence[Geometry]) -> list[int]:
    """Channels of each part of a concatenation."""
    known = {other.layer.name: other.outputs for other in shapes}
    rest = shape.channels - sum(known.get(name, 0) for name in shape.layer.inputs)
    inputs = shape.layer.inputs
    return [known[x] if x in known else rest // inputs.count(x) for x in inputs]


def _unfit(shape: Geometry, shapes: Sequence[Geometry]) -> RuleError:
    counts = zip(shape.layer.inputs, part_channels(shape, shapes), strict=True)
    parts = ", ".join(f"{name} {count}" for name, count in counts)
    return _refusal(
        "CONCAT",
        f"layer {shape.layer.name} joins {shape.channels} channels ({parts})",
        "at most 64 channels in all, each part counted in multiples of 4, "
        "or equal parts of up to 64 channels.",
    )


@dataclass(frozen=True)
class Conflict:
    """Why the tensor ``name`` cannot be a member of a joint."""

    code: str
    name: str
    text: str


def conflicts(
    shapes: Sequence[Geometry], joint: Joint, taken: dict[str, tuple[str, ...]]
) -> Iterator[Conflict]:
    """Members of a joint that other readers or joints, those in ``taken``, want elsewhere."""
    names, kind = joint
    for name in names:
        if names.count(name) > 1:
            yield Conflict("JOINT-TWICE", name, f"{name} is joined with itself")
        elif name in taken:
            text = f"{name} is joined with {_others(taken[name], name)} and {_others(names, name)}"
            yield Conflict("JOINT-GROUPS", name, text)
        elif kind == INTERLEAVED:
            for shape in shapes:
                if name in shape.layer.inputs and joint_of(shape, shapes) != joint:
                    text = (
                        f"layer {shape.layer.name} reads {name} alone, which is interleaved with "
                    )
                    yield Conflict("JOINT-READ", name, text + _others(names, name))


def _others(names: tuple[str, ...], name: str) -> str:
    return " and ".join(other for other in names if other != name)


def _refusal(code: str, message: str, hint: str) -> RuleError:
    return RuleError([Max78kError(f"E-RULE-{code}", f"{message}.", hint)])
