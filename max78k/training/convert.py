"""From a calibrated model to the integer network, and what makes float arithmetic exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from max78k.chip.limits import BIAS_UNIT
from max78k.errors import InputError
from max78k.network import Activation, Eltwise, Layer, Network, Operation
from max78k.network.folding import folded_shape
from max78k.network.network import FOLD_NOTE, INPUT
from max78k.training.augment import PIXEL_OFFSET
from max78k.training.base import Mode, Pooling, set_mode
from max78k.training.graph import Step, StepModel, trace
from max78k.training.joins import Join
from max78k.training.weight_layer import FLOAT32_EXACT, WeightLayer


@dataclass(frozen=True)
class Certificate:
    """Largest magnitude ``bound`` that any partial sum of a layer's accumulator can reach.

    Below 2**24 float32 is exact in any order of summation; ``exact_in_float32`` says so. Layers
    beyond it are evaluated in float64.
    """

    layer: str
    bound: int
    exact_in_float32: bool


def to_network(
    model: nn.Module,
    *,
    name: str,
    input_shape: tuple[int, ...],
    class_names: tuple[str, ...] = (),
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Network:
    """The integers of a calibrated (or quantization-aware trained) model.

    Args:
        model: a model whose exponents are set (:func:`max78k.training.calibrate.calibrate`).
        name: name of the network.
        input_shape: (channels, rows, columns) or (channels, length); of the picture, where the
            first layer folds it.
        class_names: names of the outputs.
        notes: what else goes with the network, the notes of its data set.

    Returns:
        The network; ``notes["output_exponent"]`` says which power of two one step of the output
        stands for, which a softmax needs; it is missing where outputs have different steps.
    """
    steps = trace(model)
    with torch.no_grad():
        layers = tuple(_layer(step) for step in steps)
    outputs = model.outputs if isinstance(model, StepModel) else (layers[-1].name,)
    fold = _fold(steps, input_shape)
    exponents = {step_exponent(step) for step in steps if step.name in outputs}
    return Network(
        name=name,
        input_shape=folded_shape(tuple(input_shape), fold),
        layers=layers,
        outputs=outputs,
        class_names=tuple(class_names),
        input_offset=PIXEL_OFFSET,
        average_rounds=_average_rounds(steps),
        notes=dict(notes)
        | ({FOLD_NOTE: str(fold)} if fold > 1 else {})
        | ({"output_exponent": str(exponents.pop())} if len(exponents) == 1 else {}),
    )


def _fold(steps: Sequence[Step], shape: tuple[int, ...]) -> int:
    """How the network's input is folded; raises InputError ``E-RULE-FOLD`` where it cannot be."""
    found = {getattr(step.module, "fold", 1) for step in steps if INPUT in step.inputs}
    elsewhere = [
        step.name
        for step in steps
        if getattr(step.module, "fold", 1) > 1 and step.inputs != (INPUT,)
    ]
    fold = max(found)
    fits = fold == 1 or (len(shape) == 3 and not any(side % fold for side in shape[1:]))
    if len(found) > 1 or elsewhere or not fits:
        where = f"in {elsewhere[0]}" if elsewhere else f"of an input of {list(shape)}"
        raise InputError(
            "E-RULE-FOLD",
            f"fold is {fold} {where}, {len(found)} ways of folding the input in all.",
            "fold in layers that read the input alone, all of them by the same divisor of its "
            "sides.",
        )
    return fold


def step_exponent(step: Step) -> int:
    """The power of two that one step of a layer's output stands for, also where it is wide."""
    module = step.module
    if isinstance(module, WeightLayer) and module.wide:
        return int(module.weight_exponent + module.in_exponent)
    return int(module.out_exponent)


def certificate(network: Network) -> list[Certificate]:
    """One entry for each layer with weights, in execution order."""
    signed = {INPUT: True}
    rows = []
    for layer in network.layers:
        reads_signed = any(signed[name] for name in layer.inputs)
        if layer.eltwise in (Eltwise.SUB, Eltwise.XOR):
            reads_signed = True
        passes = layer.operation is Operation.PASSTHROUGH
        signed[layer.name] = reads_signed if passes else layer.activation is Activation.NONE
        if layer.weight is None:
            continue
        axis = 1 if layer.operation is Operation.CONVTRANSPOSE2D else 0
        weight = np.moveaxis(layer.weight.astype(np.int64), axis, 0)
        sums = np.abs(weight).reshape(len(weight), -1).sum(1) * (128 if reads_signed else 127)
        if layer.bias is not None:
            sums = sums + np.abs(layer.bias.astype(np.int64)) * BIAS_UNIT
        bound = int(sums.max())
        rows.append(Certificate(layer.name, bound, bound < FLOAT32_EXACT))
    return rows


def layer_outputs(
    model: nn.Module, inputs: npt.NDArray[np.int8], batch: int = 64
) -> dict[str, npt.NDArray[np.int64]]:
    """What the model computes in its integer mode, layer by layer.

    Args:
        model: a calibrated model.
        inputs: int8 [N, channels, ...].
        batch: samples computed at a time.

    Returns:
        int64 arrays by layer name, as :func:`max78k.network.reference.run` gives them.
    """
    kept: dict[str, list[Tensor]] = {}
    hooks = []
    for step in trace(model):
        kept[step.name] = []
        hooks.append(step.module.register_forward_hook(partial(_keep, kept[step.name])))
    model.eval()
    set_mode(model, Mode.INTEGER)
    try:
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(inputs), batch):
                model(part.float())
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(values).long().numpy() for name, values in kept.items()}


def _keep(values: list[Tensor], module: Any, arguments: Any, output: Tensor) -> None:
    values.append(output.cpu().clone())


def _average_rounds(steps: list[Step]) -> bool:
    """What the averages of the model do with remainders; the chip does one of the two."""
    chosen = {
        step.module.average_rounds
        for step in steps
        if isinstance(step.module, (Pooling, WeightLayer))
        and step.module.pool is not None
        and step.module.pool.kind == "avg"
    }
    if len(chosen) > 1:
        raise InputError(
            "E-TRAIN-AVERAGE",
            "some averages of the network are rounded, others truncated.",
            "set_average_rounding(model, True or False) for all of them.",
        )
    return chosen == {True}


def _layer(step: Step) -> Layer:
    module = step.module
    if isinstance(module, Join):
        return Layer(step.name, Operation.PASSTHROUGH, step.inputs, eltwise=module.eltwise)
    if isinstance(module, Pooling):
        return Layer(step.name, Operation.PASSTHROUGH, step.inputs, pool=module.pool)
    assert isinstance(module, WeightLayer)
    weight, bias = module.integers()
    return Layer(
        name=step.name,
        operation=module.operation,
        inputs=step.inputs,
        weight=_int8(weight),
        bias=None if bias is None else _int8(bias),
        weight_bits=int(module.weight_bits),
        output_shift=module.output_shift,
        activation=module.activation,
        output_width=32 if module.wide else 8,
        pool=module.pool,
        padding=module.padding,
        dilation=module.dilation,
        eltwise=module.combine,
    )


def _int8(values: Tensor) -> npt.NDArray[np.int8]:
    return np.ascontiguousarray(values.detach().cpu().numpy(), dtype=np.int8)
