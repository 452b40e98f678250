"""The widths of weights by layer: said by the user, read from a policy file, or searched.

The search measures how much the output suffers when one layer alone is narrower, and then fills
the kernel memory with the widths whose errors sum up to the least: a knapsack over the columns of a
processor, 72 bits each. Widths do not change the time of an inference, they buy memory.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from max78k.chip import limits
from max78k.errors import InputError
from max78k.network.geometry import geometry
from max78k.network.shapes import Shape
from max78k.training.base import Mode, set_mode
from max78k.training.calibrate import calibrate
from max78k.training.convert import step_exponent, to_network
from max78k.training.graph import trace
from max78k.training.quantize import INPUT_EXPONENT
from max78k.training.weight_layer import WeightLayer

AUTO = "auto"
_SAMPLES = 128  # that the search measures errors on
_COLUMN_ROW_BYTES = limits.PROCESSORS * limits.COLUMN_BYTES  # one column of every processor
_ALL_NOISE, _NOTHING_LEFT = 0.99, 100.0
_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "KB": 1 << 10, "MIB": 1 << 20}
_VENDOR_KEYS = ("start_epoch", "shift_quantile", "outlier_removal_z_score")


@dataclass(frozen=True)
class BitPolicy:
    """Width of all weights but those of the layers in ``overrides``.

    ``ignored`` are keys of the vendor's policy files that say nothing about widths.
    """

    weight_bits: int = 8
    overrides: Mapping[str, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for bits in (self.weight_bits, *self.overrides.values()):
            if bits not in limits.WEIGHT_BITS or isinstance(bits, bool):
                raise InputError("E-BITS-WIDTH", f"weights of {bits!r} bits.", "1, 2, 4 or 8.")


@dataclass(frozen=True)
class BitSearch:
    """Result of a search.

    Attributes:
        policy: the widths found.
        errors: by layer and width, noise to signal at the network's output when that layer alone
            has that width.
        columns: kernel columns of a processor by layer and width.
        budget: columns that there are.
    """

    policy: BitPolicy
    errors: Mapping[str, Mapping[int, float]]
    columns: Mapping[str, Mapping[int, int]]
    budget: int


def read_policy(path: Path) -> BitPolicy:
    """A YAML file with ``weight_bits`` and ``overrides``, as the vendor's QAT policies have them.

    An override is ``LAYER: {weight_bits: 4}`` or ``LAYER: 4``.

    Raises:
        InputError: E-BITS-FILE for a file that is something else, E-BITS-WIDTH.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _bad_file(path, " ".join(str(error).split())[:160]) from error
    if not isinstance(content, dict) or "weight_bits" not in content:
        raise _bad_file(path, "it has no `weight_bits`")
    overrides = content.pop("overrides", None) or {}
    if not isinstance(overrides, dict):
        raise _bad_file(path, "`overrides` is no table of layers")
    found = {}
    for name, value in overrides.items():
        found[str(name)] = value.get("weight_bits", 0) if isinstance(value, dict) else value
    unknown = set(content) - {"weight_bits", *_VENDOR_KEYS}
    if unknown:
        raise _bad_file(path, f"unknown keys {', '.join(sorted(map(str, unknown)))}")
    ignored = tuple(key for key in _VENDOR_KEYS if key in content)
    return BitPolicy(content["weight_bits"], found, ignored)


def _bad_file(path: Path, reason: str) -> InputError:
    return InputError(
        "E-BITS-FILE",
        f"{path} is not a policy of weight widths ({reason}).",
        "weight_bits: 8, overrides: {conv2: {weight_bits: 4}}.",
    )


def parse_size(text: str) -> int:
    """Bytes: "432KiB" is 442,368; "300000" is itself. Raises InputError E-BITS-BUDGET."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text.strip())
    if match is None or match[2].upper() not in _UNITS:
        raise InputError("E-BITS-BUDGET", f"{text!r} is no number of bytes.", "432KiB, or 300000.")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def set_bits(model: nn.Module, policy: BitPolicy) -> None:
    """Give the layers of ``model`` their widths; calibrate it afterwards.

    Raises:
        InputError: E-BITS-LAYER for an override of a layer that there is not.
    """
    layers = {s.name: s.module for s in trace(model) if isinstance(s.module, WeightLayer)}
    for name in policy.overrides:
        if name not in layers:
            raise InputError(
                "E-BITS-LAYER",
                f"the policy names {name}, the network's layers are {', '.join(layers)}.",
            )
    for name, layer in layers.items():
        layer.weight_bits.fill_(policy.overrides.get(name, policy.weight_bits))


def choose_bits(
    model: nn.Module,
    weight_bits: str | None,
    *,
    budget: str | None,
    input_shape: Shape,
    batches: Sequence[Tensor],
) -> BitSearch | BitPolicy | None:
    """Set the widths of ``model`` as ``weight_bits`` says: "4", a policy file, or "auto".

    Args:
        model: with trained real weights; None for ``weight_bits`` leaves its widths as they are.
        weight_bits: what the user said.
        budget: kernel memory for "auto", like "300KiB"; None: all of it.
        input_shape: of the network.
        batches: samples for "auto".

    Returns:
        What was set, with the table of a search.
    """
    if budget is not None and weight_bits != AUTO:
        raise InputError(
            "E-BITS-BUDGET", "a budget without a search.", "weight bits `auto`, or no budget."
        )
    if weight_bits is None:
        return None
    if weight_bits == AUTO:
        size = limits.KERNEL_BYTES if budget is None else parse_size(budget)
        search = search_bits(model, batches, input_shape=input_shape, budget=size)
        set_bits(model, search.policy)
        return search
    policy = (
        BitPolicy(int(weight_bits)) if weight_bits.isdigit() else read_policy(Path(weight_bits))
    )
    set_bits(model, policy)
    return policy


def search_bits(
    model: nn.Module, batches: Sequence[Tensor], *, input_shape: Shape, budget: int
) -> BitSearch:
    """The widths that fit into ``budget`` bytes of kernel memory with the least error.

    Raises:
        InputError: E-BITS-BUDGET if weights of one bit do not fit either.
    """
    errors = sensitivity(model, batches)
    columns = kernel_columns(model, input_shape)
    available = min(budget // _COLUMN_ROW_BYTES, limits.KERNEL_COLUMNS)
    chosen = _knapsack(errors, columns, available)
    return BitSearch(BitPolicy(8, chosen), errors, columns, available)


def sensitivity(model: nn.Module, batches: Sequence[Tensor]) -> dict[str, dict[int, float]]:
    """Noise to signal at the output when one layer alone has 1, 2, 4 or 8 bits.

    Args:
        model: with trained real weights; stays as it is.
        batches: float32 [N, C, ...] of integers -128...127.
    """
    data = torch.cat(list(batches))[:_SAMPLES]
    trial = copy.deepcopy(model).eval()
    set_mode(trial, Mode.FLOAT)
    with torch.no_grad():
        wanted = trial(data * 2.0**INPUT_EXPONENT).double()
    exponents = {}
    for width in limits.WEIGHT_BITS:  # the last one is 8
        set_bits(trial, BitPolicy(width))
        calibrate(trial, [data])
        exponents[width] = {
            step.name: int(step.module.weight_exponent)
            for step in trace(trial)
            if isinstance(step.module, WeightLayer)
        }
    table: dict[str, dict[int, float]] = {}
    for step in trace(trial):
        layer = step.module
        if not isinstance(layer, WeightLayer):
            continue
        table[step.name] = {}
        for width in limits.WEIGHT_BITS:
            layer.weight_bits.fill_(width)
            layer.weight_exponent.fill_(exponents[width][step.name])
            table[step.name][width] = _noise(trial, data, wanted)
        layer.weight_exponent.fill_(exponents[8][step.name])
        layer.weight_bits.fill_(8)
    return table


def _noise(model: nn.Module, data: Tensor, wanted: Tensor) -> float:
    set_mode(model, Mode.INTEGER)
    with torch.no_grad():
        found = model(data).double() * 2.0 ** step_exponent(trace(model)[-1])
    signal = float(wanted.square().sum())
    return float((found - wanted).square().sum()) / max(signal, 1e-30)


def kernel_columns(model: nn.Module, input_shape: Shape) -> dict[str, dict[int, int]]:
    """Columns of a processor's kernel memory that each layer takes at each width.

    The smallest number; the planner may need a few more for alignment.
    """
    network = to_network(model, name="columns", input_shape=input_shape)
    table = {}
    for shape in geometry(network):
        if not shape.convolves:
            continue
        weights = shape.outputs * shape.steps * shape.taps
        table[shape.layer.name] = {
            width: _aligned(-(-weights * width // (8 * limits.COLUMN_BYTES)))
            for width in limits.WEIGHT_BITS
        }
    return table


def _loss(noise: float) -> float:
    """Noise to signal as a loss: noise as large as the signal leaves nothing, whatever else is."""
    return noise / (1 - noise) if noise < _ALL_NOISE else _NOTHING_LEFT * noise


def _aligned(columns: int) -> int:
    return -(-columns // limits.KERNEL_ALIGNMENT) * limits.KERNEL_ALIGNMENT


def _knapsack(
    errors: Mapping[str, Mapping[int, float]],
    columns: Mapping[str, Mapping[int, int]],
    available: int,
) -> dict[str, int]:
    """Width of each layer: least sum of losses within ``available`` columns."""
    best: dict[int, tuple[float, dict[str, int]]] = {0: (0.0, {})}
    for name, row in errors.items():
        found: dict[int, tuple[float, dict[str, int]]] = {}
        for used, (error, widths) in best.items():
            for width in limits.WEIGHT_BITS:
                total, cost = used + columns[name][width], error + _loss(row[width])
                if total <= available and (total not in found or cost < found[total][0]):
                    found[total] = cost, {**widths, name: width}
        best = found
    if not best:
        least = sum(row[1] for row in columns.values())
        raise InputError(
            "E-BITS-BUDGET",
            f"weights of one bit take {least} kernel columns, the budget is {available} of "
            f"{limits.KERNEL_COLUMNS}.",
            f"{least * _COLUMN_ROW_BYTES / 1024:.0f}KiB at least, or fewer channels.",
        )
    return min(best.values(), key=lambda row: row[0])[1]
