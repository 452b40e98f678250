"""Choosing all exponents of a model from sample data."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.network import Activation
from max78k.network.network import INPUT
from max78k.training.augment import seeded_generator, to_integers
from max78k.training.graph import Step, trace
from max78k.training.layers import Add, ChipLayer, Mode, WeightLayer, set_mode
from max78k.training.quantize import INPUT_EXPONENT, activation_exponent, weight_exponent

_CALIBRATION = 512  # samples of a data set
_CALIBRATION_BATCH = 128
_SAMPLES = 1 << 16  # values kept of each layer and batch


def calibrate(model: nn.Module, batches: Iterable[Tensor], rule: str = "mse") -> None:
    """Set the exponents of all layers of ``model``; its parameters stay as they are.

    Layers whose data are added or concatenated get one exponent, the largest of theirs.

    Args:
        model: a model with trained real weights.
        batches: float32 [N, C, ...] of integers -128...127; a few hundred samples are enough.
        rule: "mse" or "max"; see :mod:`max78k.training.quantize`.
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


def calibration_batches(dataset: Dataset, seed: int) -> list[Tensor]:
    """Samples of ``dataset.train`` chosen by ``seed``, as the chip's integers in float32."""
    rows = torch.randperm(len(dataset.train), generator=seeded_generator(seed))[:_CALIBRATION]
    pixels = torch.from_numpy(dataset.train.inputs)[rows]
    return list(torch.split(to_integers(pixels), _CALIBRATION_BATCH))


def _observe(model: nn.Module, steps: list[Step], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """A sample of the real outputs of every layer and of the input, by name."""
    kept: dict[str, list[Tensor]] = {INPUT: []}
    hooks = []
    for step in steps:
        kept[step.name] = []
        hooks.append(step.module.register_forward_hook(partial(_keep, kept[step.name])))
    was_training = model.training
    model.eval()
    set_mode(model, Mode.FLOAT)
    try:
        with torch.no_grad():
            for batch in batches:
                real = batch * 2.0**INPUT_EXPONENT
                _keep(kept[INPUT], None, None, real)
                model(real)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    return {name: torch.cat(values) for name, values in kept.items()}


def _keep(values: list[Tensor], module: Any, arguments: Any, output: Tensor) -> None:
    flat = output.detach().float().reshape(-1)
    values.append(flat[:: max(1, len(flat) // _SAMPLES)].clone())


def _output_exponents(steps: list[Step], outputs: dict[str, Tensor], rule: str) -> dict[str, int]:
    """Exponent of every layer's output, equal within groups that must share one."""
    leader = {INPUT: INPUT} | {step.name: step.name for step in steps}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for step in steps:
        # pass-through layers do not shift, so their output has the exponent of their input
        together = list(step.inputs)
        if not isinstance(step.module, WeightLayer):
            together.append(step.name)
        for name in together[1:]:
            leader[find(name)] = find(together[0])
    wishes: dict[str, list[int]] = {}
    for step in steps:
        if isinstance(step.module, WeightLayer | Add):
            signed = _is_signed(step.module)
            wish = activation_exponent(outputs[step.name], signed, rule)
            wishes.setdefault(find(step.name), []).append(wish)
    fixed = find(INPUT)
    return {
        name: INPUT_EXPONENT if find(name) == fixed else max(wishes[find(name)]) for name in leader
    }


def _is_signed(module: ChipLayer) -> bool:
    return not isinstance(module, WeightLayer) or module.activation is Activation.NONE
