"""Choosing all exponents of a model from sample data."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.network import Activation
from max78k.network.network import INPUT
from max78k.training.augment import seeded_generator, to_integers
from max78k.training.base import ChipLayer, Mode, Pooling, set_mode
from max78k.training.graph import Step, run_steps, trace
from max78k.training.joins import BITWISE, Join
from max78k.training.quantize import INPUT_EXPONENT, activation_exponent, weight_exponent
from max78k.training.weight_layer import WeightLayer

CALIBRATION = 512  # samples of a data set
_CALIBRATION_BATCH = 128
_SAMPLES = 1 << 16  # values kept of each layer and batch
_SUM = "/sum"  # behind a layer's name: what it combines before it convolves


def calibrate(model: nn.Module, batches: Iterable[Tensor], rule: str = "mse") -> None:
    """Set the exponents of all layers of ``model``; its parameters stay as they are.

    Layers whose data are combined or concatenated get one exponent, the largest of theirs.

    Args:
        model: a model with trained real weights.
        batches: float32 [N, C, ...] of integers -128...127; a few hundred samples are enough.
        rule: "mse", "max" or "percentile"; see :mod:`max78k.training.quantize`.

    Raises:
        InputError: E-QUANTIZE-FINITE for a layer that gives inf or nan, E-QUANTIZE-SAMPLES
            without samples, and those of :func:`max78k.training.graph.trace`.
    """
    steps = trace(model)
    outputs = _observe(model, steps, batches)
    exponents = _output_exponents(steps, outputs, rule)
    for step in steps:
        module = step.module
        module.in_exponent.fill_(exponents[step.inputs[0]])
        module.out_exponent.fill_(exponents[step.name])
        if isinstance(module, WeightLayer):
            weight, bias = (None if v is None else v.detach() for v in module.folded())
            assert weight is not None
            power = torch.cat([outputs[name] for name in step.inputs]).double().square().mean()
            exponent = weight_exponent(
                weight,
                bias,
                int(module.weight_bits),
                in_exponent=exponents[step.inputs[0]],
                out_exponent=None if module.wide else exponents[step.name],
                input_power=float(power),
                rule=rule,
            )
            module.weight_exponent.fill_(exponent)


def calibration_batches(dataset: Dataset, seed: int, count: int = CALIBRATION) -> list[Tensor]:
    """``count`` samples of ``dataset.train`` chosen by ``seed``, as integers in float32."""
    rows = torch.randperm(len(dataset.train), generator=seeded_generator(seed))[:count]
    pixels = torch.from_numpy(dataset.train.inputs)[rows]
    return list(torch.split(to_integers(pixels), _CALIBRATION_BATCH))


def _observe(model: nn.Module, steps: list[Step], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """A sample of the real outputs of every layer and of the input, by name."""
    kept: dict[str, list[Tensor]] = {}
    was_training = model.training
    model.eval()
    set_mode(model, Mode.FLOAT)
    try:
        with torch.no_grad():
            for batch in batches:
                _observe_batch(steps, batch * 2.0**INPUT_EXPONENT, kept)
    finally:
        model.train(was_training)
    if not kept:
        raise InputError("E-QUANTIZE-SAMPLES", "there are no samples to calibrate with.")
    return {name: torch.cat(values) for name, values in kept.items()}


def _observe_batch(steps: list[Step], data: Tensor, kept: dict[str, list[Tensor]]) -> None:
    kept.setdefault(INPUT, []).append(_sample(INPUT, data))
    previous = INPUT
    for step, values in run_steps(steps, data):
        if previous != INPUT:
            kept.setdefault(previous, []).append(_sample(previous, values[previous]))
        previous = step.name
        if isinstance(step.module, WeightLayer) and step.module.combine is not None:
            combined = step.module.combined(tuple(values[name] for name in step.inputs))
            kept.setdefault(step.name + _SUM, []).append(_sample(step.name, combined))
        last = values
    kept.setdefault(previous, []).append(_sample(previous, last[previous]))


def _sample(name: str, output: Tensor) -> Tensor:
    """Some of the values; the extremes are never left out."""
    flat = output.detach().float().reshape(-1)
    sample = flat[:: max(1, len(flat) // _SAMPLES)]
    kept = torch.cat([sample, torch.stack(torch.aminmax(flat))])
    if not torch.isfinite(kept).all():
        raise InputError(
            "E-QUANTIZE-FINITE",
            f"layer {name} gives numbers that are not finite.",
            "weights and data without inf and nan.",
        )
    return kept


def _output_exponents(steps: list[Step], outputs: dict[str, Tensor], rule: str) -> dict[str, int]:
    """Exponent of every layer's output, equal within groups that must share one."""
    groups = exponent_groups(steps)
    wishes: dict[str, list[int]] = {}
    for step in steps:
        module = step.module
        if isinstance(module, WeightLayer) and module.combine is not None:
            wish = activation_exponent(outputs[step.name + _SUM], True, rule)
            wishes.setdefault(groups[step.inputs[0]], []).append(wish)
        if not isinstance(module, Pooling):
            wish = activation_exponent(outputs[step.name], is_signed(module), rule)
            wishes.setdefault(groups[step.name], []).append(wish)
    return {
        name: INPUT_EXPONENT if leader == INPUT else max(wishes[leader])
        for name, leader in groups.items()
    }


def exponent_groups(steps: list[Step]) -> dict[str, str]:
    """The group of every output, by name; the outputs of a group have one exponent.

    The group called "input" has the fixed exponent of the input; bit patterns belong to it, whose
    integers mean themselves.
    """
    leader = {INPUT: INPUT} | {step.name: step.name for step in steps}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    def unite(one: str, other: str) -> None:
        first, second = find(one), find(other)
        if second == INPUT:
            first, second = second, first
        leader[second] = first

    for step in steps:
        # pass-through layers do not shift, so their output has the exponent of their input
        together = list(step.inputs)
        if not isinstance(step.module, WeightLayer):
            together.append(step.name)
        if combination(step) in BITWISE:
            together.append(INPUT)
        for name in together[1:]:
            unite(together[0], name)
    return {name: find(name) for name in leader}


def combination(step: Step) -> object:
    """The element-wise operation of a step, alone or before it convolves, or None."""
    if isinstance(step.module, Join):
        return step.module.eltwise
    return step.module.combine if isinstance(step.module, WeightLayer) else None


def is_signed(module: ChipLayer) -> bool:
    """True if the layer can give negative numbers."""
    return not isinstance(module, WeightLayer) or module.activation is Activation.NONE
