"""The vendor's checkpoints in a model of our layers: the same integers, ready to train on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from max78k.errors import InputError
from max78k.formats.layer_weights import LayerWeights
from max78k.formats.vendor_checkpoint import quantize_vendor, read_vendor_q
from max78k.training.graph import Step, trace
from max78k.training.quantize import INPUT_EXPONENT
from max78k.training.weight_layer import WeightLayer


def load_vendor(model: nn.Module, path: Path, *, older: bool | None = None) -> tuple[str, ...]:
    """Let ``model`` hold the integers of a checkpoint, in the vendor's steps.

    Data have the step 1/128 everywhere; a float checkpoint is rounded by the vendor's rule. Layers
    are paired by name where all names are equal, otherwise in the order of execution.

    Args:
        model: made of the layers of :mod:`max78k.training.layers` or their ai8x names; changed in
            place, batch norm is gone.
        path: a ``-q.pth.tar`` file, or a float one from quantization-aware training.
        older: round a float file as the vendor's tools did in 2020 and 2021; None: as those of the
            file's time.

    Returns:
        Notes: which layer of the file went where.

    Raises:
        InputError: E-WEIGHTS-SHAPE, and those of the readers.
    """
    try:
        layers = read_vendor_q(path).layers
    except InputError as error:
        if error.code != "E-CHECKPOINT-FLOAT":
            raise
        layers = quantize_vendor(path, older=older).layers
    steps = trace(model)
    pairs = _pairs([s for s in steps if isinstance(s.module, WeightLayer)], layers, path)
    for step in steps:
        step.module.in_exponent.fill_(INPUT_EXPONENT)
        step.module.out_exponent.fill_(INPUT_EXPONENT)
    for step, layer in pairs:
        _fill(step, layer, path)
    moved = [f"{x.name} -> {step.name}" for step, x in pairs if x.name != step.name]
    return (f"{path}: {len(pairs)} layers" + (", " + ", ".join(moved) if moved else ""),)


def _pairs(
    steps: list[Step], layers: tuple[LayerWeights, ...], path: Path
) -> list[tuple[Step, LayerWeights]]:
    named = {layer.name: layer for layer in layers}
    if set(named) == {step.name for step in steps}:
        return [(step, named[step.name]) for step in steps]
    if len(steps) != len(layers):
        raise InputError(
            "E-WEIGHTS-SHAPE",
            f"{path} has {len(layers)} layers, the network {len(steps)}.",
            "the network that the checkpoint is of.",
        )
    return list(zip(steps, layers, strict=True))


def _fill(step: Step, layer: LayerWeights, path: Path) -> None:
    module = step.module
    assert isinstance(module, WeightLayer)
    if tuple(layer.weight.shape) != tuple(module.weight.shape):
        raise InputError(
            "E-WEIGHTS-SHAPE",
            f"{path}: {layer.name} has weights {tuple(layer.weight.shape)}, {step.name} of the "
            f"network {tuple(module.weight.shape)}.",
            "the network that the checkpoint is of.",
        )
    module.weight_bits.fill_(layer.weight_bits)
    # a 32-bit output keeps its steps: the vendor's shift of it is not applied on the chip
    bias = None if layer.bias is None else torch.from_numpy(layer.bias).float()
    weight = torch.from_numpy(layer.weight).float()
    module.hold(weight, bias, (layer.output_shift or 0) + 1 - layer.weight_bits)
