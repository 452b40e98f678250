"""Placements with one fault, and the rule that must refuse each; and places moved at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from max78k.chip import limits
from max78k.compiler import bits, memory, placement_rules
from max78k.compiler.allocate import plan
from max78k.compiler.assemble import assemble
from max78k.compiler.lowering import lower
from max78k.compiler.placed import Placed, place
from max78k.compiler.placement import Placement
from max78k.errors import RuleError
from max78k.flows.accelerator_runs import ImageRunner
from max78k.network import Network, reference
from max78k.network.network import INPUT

_LANES = limits.PROCESSORS_PER_INSTANCE
_ALL = (1 << limits.PROCESSORS) - 1
_TELLING = 16  # random weights from which on no two layers have the same
# What moves with the output processors: the slots of kernels and bias, and the quadrants in use.
_SLOTS = ("KERNEL-SPACE", "KERNEL-OVERLAP", "BIAS-SPACE", "BIAS-OVERLAP")


@dataclass(frozen=True)
class Miss:
    """A fault in a placement: rule ``code`` must refuse it, and those of ``also`` may, too.

    ``what`` is wrong, in words; ``fields`` are the new values, by layer.
    """

    what: str
    code: str
    fields: dict[str, dict[str, Any]]
    also: tuple[str, ...] = ()


def misplaced(network: Network, given: Placement | None, moves: int = 3) -> list[str]:
    """Faults of the way in which wrong placements of a network are refused.

    One of every kind of miss must be refused by its rule. Of ``moves`` places changed at random,
    those that no rule refuses must give the values of the reference.
    """
    lowered = lower(network)
    try:
        placement = plan(lowered, given, 0)
    except RuleError:
        return []
    found = []
    for miss in one_of_a_kind(lowered, place(lowered, placement)):
        codes = _codes(lowered, changed(placement, miss.fields))
        allowed = {f"E-RULE-{code}" for code in (miss.code, *miss.also)}
        if f"E-RULE-{miss.code}" not in codes or codes - allowed:
            found.append(
                f"{miss.what}: {sorted(codes)} instead of E-RULE-{miss.code}: {miss.fields}"
            )
    rng = np.random.default_rng(1)
    for _ in range(moves):
        found += _moved(lowered, placement, rng)
    return found


def changed(placement: Placement, fields: dict[str, dict[str, Any]]) -> Placement:
    """The placement with other values for some layers."""
    rows = {name: replace(placement.layers[name], **new) for name, new in fields.items()}
    return replace(placement, layers=placement.layers | rows)


def one_of_a_kind(network: Network, layers: Sequence[Placed]) -> Iterator[Miss]:
    """Misses of different kinds, each with the first layer for which there is one."""
    seen = set()
    for placed in layers:
        if placed.geometry.streaming or placed.layer.buffer is not None:
            continue
        misses = [*_offsets(placed), *_processors(placed), *_parameters(placed)]
        misses += [*_pairs(placed, layers), *_over_live_data(placed, layers, network)]
        for miss in misses:
            if miss.what not in seen:
                seen.add(miss.what)
                yield miss


def _codes(network: Network, placement: Placement) -> set[str]:
    return {error.code for error in placement_rules.check(network, placement)}


def _offsets(placed: Placed) -> Iterator[Miss]:
    """Offsets outside of the instance or between words, or not those of the data; large gaps."""
    name = placed.layer.name
    yield Miss("output behind the end", "OFFSETS", {name: {"out_offset": limits.INSTANCE_BYTES}})
    yield Miss("input before the start", "OFFSETS", {name: {"in_offset": -4}})
    yield Miss("odd offset", "OFFSETS", {name: {"out_offset": placed.out_offset + 2}})
    yield Miss("gap", "WRITE-GAP", {name: {"write_gap": 16}}, ("OFFSETS",))
    start, stop = memory.input_span(placed)
    if INPUT not in placed.layer.inputs and stop + 4 <= limits.INSTANCE_BYTES:
        fields = {name: {"in_offset": start + 4}}
        yield Miss("input a word further", "DATA-FLOW", fields, ("DATA-OVERLAP",))


def _processors(placed: Placed) -> Iterator[Miss]:
    """Maps with a processor too many, off their boundary, or with a gap."""
    shape, own, target = placed.geometry, placed.processors, placed.output_processors
    reads, writes = _map(placed, "processors"), _map(placed, "output_processors")
    yield Miss("count of processors", "PROCESSORS-IN", reads(_other_count(own)))
    yield Miss("count of outputs", "PROCESSORS-OUT", writes(_other_count(target)))
    top, narrow = 1 << bits.highest(target), placed.layer.weight_bits < 8
    above = top < 1 << (limits.PROCESSORS - 1)
    aligned = shape.convolves and (shape.out_passes > 1 or narrow or shape.flattens)
    if above and aligned and not placed.lead:
        yield Miss("alignment", "PROCESSORS-ALIGN", writes(target << 1), _SLOTS)
    if above and shape.flattens and bits.count(target) > 1:
        yield Miss("gap in outputs", "PROCESSORS-GAPS", writes(target + top), _SLOTS)
    quadrant = limits.PROCESSORS_PER_QUADRANT
    if not shape.convolves and not target >> (limits.PROCESSORS - quadrant):
        yield Miss("other quadrant", "PASSTHROUGH-MAP", writes(target << quadrant), _SLOTS)
    loaded = INPUT in placed.layer.inputs and not (placed.planar or placed.fed)
    last = bits.highest(own)
    if loaded and last % _LANES in (1, 2) and own >> (last - 1) & 1:
        yield Miss("gap in inputs", "INPUT-LANES", reads(own + (1 << last)), _SLOTS)


def _map(placed: Placed, field: str) -> Callable[[int], dict[str, dict[str, Any]]]:
    """Makes the fields of another processor map."""
    return lambda processors: {placed.layer.name: {field: processors}}


def _other_count(processors: int) -> int:
    """The map with one processor more, or less where it has all."""
    return processors >> 1 if processors == _ALL else processors | (processors + 1)


def _parameters(placed: Placed) -> Iterator[Miss]:
    """Kernels and bias outside of their memories."""
    name = placed.layer.name
    if placed.geometry.convolves:
        end = {name: {"kernel_column": limits.KERNEL_COLUMNS}}
        yield Miss("kernels behind the end", "KERNEL-SPACE", end)
        odd = {name: {"kernel_column": placed.kernel_column + 1}}
        yield Miss("odd column", "KERNEL-SPACE", odd, ("KERNEL-OVERLAP",))
    if placed.bias_quadrant is not None:
        end = {name: {"bias_start": limits.BIAS_BYTES_PER_QUADRANT}}
        yield Miss("bias behind the end", "BIAS-SPACE", end)


def _pairs(placed: Placed, layers: Sequence[Placed]) -> Iterator[Miss]:
    """Kernels or bias over those of an earlier layer; parts that lie in the wrong order."""
    name = placed.layer.name
    for other in layers[: placed.geometry.index]:
        if placed.bias_quadrant is not None and other.bias_quadrant is not None:
            fields = {"bias_quadrant": other.bias_quadrant, "bias_start": other.bias_start}
            yield Miss("bias over bias", "BIAS-OVERLAP", {name: fields}, ("BIAS-SPACE",))
        mine, theirs = placed.layer.weight, other.layer.weight
        telling = mine is not None and theirs is not None and not np.array_equal(mine, theirs)
        telling = telling and _telling(placed) and _telling(other)  # lowering makes equal ones
        if telling and placed.processors & other.processors:
            columns = {name: {"kernel_column": other.kernel_column}}
            yield Miss("kernels over kernels", "KERNEL-OVERLAP", columns, ("KERNEL-SPACE",))
    makers = [x for x in layers if x.layer.name in placed.layer.inputs]
    for one, two in pairwise(makers):
        if _alike(one, two) and placed.layer.cut is None:
            swapped = {one.layer.name: _output(two), two.layer.name: _output(one)}
            yield Miss("parts in wrong order", "DATA-FLOW", swapped, ("DATA-OVERLAP",))


def _telling(placed: Placed) -> bool:
    """True if the layer's random kernels are those of no other layer, from its first column on."""
    weight = placed.layer.weight
    return weight is not None and weight.size > _TELLING and not placed.lead


def _alike(one: Placed, two: Placed) -> bool:
    """True if two layers could as well write where the other one does."""
    forms = [
        (x.geometry.outputs, x.geometry.out_size, x.layer.output_width, x.slots, x.write_gap)
        for x in (one, two)
    ]
    plain = [x.geometry.convolves and not x.geometry.streaming and not x.lead_bytes
             and x.layer.buffer is None for x in (one, two)]  # fmt: skip
    return forms[0] == forms[1] and all(plain) and _output(one) != _output(two)


def _output(placed: Placed) -> dict[str, int]:
    return {"output_processors": placed.output_processors, "out_offset": placed.out_offset}


def _over_live_data(placed: Placed, layers: Sequence[Placed], network: Network) -> Iterator[Miss]:
    """An output from the first word on of one that a later layer or the user has still to read."""
    index, size = placed.geometry.index, memory.output_span(placed)
    for other in layers[:index]:
        name = other.layer.name
        later = (x.layer for x in layers[index + 1 :] if name in x.layer.inputs)
        needed = name in network.outputs or any(layer.cut is None for layer in later)
        shared = set(bits.instances(placed.output_processors)) & set(
            bits.instances(other.output_processors)
        )
        ends = other.out_offset + size[1] - size[0]
        plain = not (placed.lead_bytes or other.geometry.streaming or other.layer.buffer)
        if needed and shared and plain and ends <= limits.INSTANCE_BYTES:
            fields = {placed.layer.name: {"out_offset": other.out_offset}}
            yield Miss("output over live data", "DATA-FLOW", fields, ("DATA-OVERLAP",))


def _moved(network: Network, placement: Placement, rng: np.random.Generator) -> list[str]:
    """What is wrong with a placement in which one place is another; nothing if it is refused."""
    name = str(rng.choice(list(placement.layers)))
    row = placement.layers[name]
    near = 4 * int(rng.integers(-3, 64))
    step = int(rng.choice([1, 4, 8]))
    choices: list[dict[str, Any]] = [
        {"out_offset": (row.out_offset or 0) + near},
        {"out_offset": (row.in_offset or 0) + near},
        {"in_offset": (row.in_offset or 0) + near},
        {"processors": (row.processors or 0) << step & _ALL},
        {"output_processors": (row.output_processors or 0) << step & _ALL},
        {"write_gap": row.write_gap + 1},
    ]
    if row.kernel_column is not None:
        choices.append({"kernel_column": int(rng.integers(192)) * limits.KERNEL_ALIGNMENT})
    if row.bias_start is not None:
        choices.append({"bias_start": int(rng.integers(limits.BIAS_BYTES_PER_QUADRANT))})
    fields = choices[int(rng.integers(len(choices)))]
    moved = changed(placement, {name: fields})
    if _codes(network, moved):
        return []
    sample = rng.integers(-128, 128, network.input_shape).astype(np.int8)
    expected = reference.outputs(network, sample[None])[0]
    runner = ImageRunner(assemble(network, moved, sample))
    wrong = int(np.count_nonzero(runner.infer(sample) != expected))
    if wrong or runner.findings:
        first = runner.findings[0] if runner.findings else f"{wrong} values differ"
        return [f"moved: {name} {fields}: {first}"]
    return []
