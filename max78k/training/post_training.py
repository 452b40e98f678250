"""Quantizing a trained float network without training it further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.network import Network, reference
from max78k.network.shapes import Shape
from max78k.training.bits import BitPolicy, BitSearch, choose_bits
from max78k.training.calibrate import CALIBRATION, calibrate, calibration_batches
from max78k.training.checkpoint import TrainedModel, load_model
from max78k.training.convert import to_network
from max78k.training.evaluate import accuracy, scores
from max78k.training.layer_report import LayerReport, exponents_of, layer_reports, real_outputs
from max78k.training.layers import Mode
from max78k.training.rounding import METHODS, adapt


@dataclass(frozen=True)
class QuantizeMethod:
    """How integers are chosen.

    Attributes:
        rule: of the exponents: "mse", "max" or "percentile".
        rounding: "nearest", "bias" or "adaptive"; see :func:`max78k.training.rounding.adapt`.
        weight_bits: "1", "2", "4", "8", a policy file, "auto", or None for the network's own.
        budget: kernel memory for "auto", like "300KiB"; None: all of it.
        seed: chooses the samples.
    """

    rule: str = "mse"
    rounding: str = "adaptive"
    weight_bits: str | None = None
    budget: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.rounding not in METHODS:
            raise InputError(
                "E-QUANTIZE-ROUNDING", f"rounding {self.rounding!r}.", f"{', '.join(METHODS)}."
            )


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer network and what quantization cost: shares of the test part recognised.

    The shares are None where the outputs are not the classes of the data.
    """

    network: Network
    accuracy: float | None
    float_accuracy: float | None
    layers: tuple[LayerReport, ...]
    bits: BitPolicy | BitSearch | None


def quantize_layers(
    model: nn.Module, batches: Sequence[Tensor], method: QuantizeMethod, input_shape: Shape
) -> BitPolicy | BitSearch | None:
    """Choose widths, exponents and integers of a trained float model, in place.

    Args:
        model: made of the layers of :mod:`max78k.training.layers`.
        batches: float32 [N, C, ...] of integers -128...127, some hundred samples.
        method: how.
        input_shape: of the network.

    Returns:
        The widths that were set, if any were asked for.
    """
    bits = choose_bits(
        model,
        method.weight_bits,
        budget=method.budget,
        input_shape=input_shape,
        batches=batches,
    )
    calibrate(model, batches, method.rule)
    adapt(model, batches, method=method.rounding, seed=method.seed)
    return bits


def quantize_checkpoint(
    path: Path,
    dataset: Dataset,
    method: QuantizeMethod | None = None,
    *,
    network: str | None = None,
    samples: int = CALIBRATION,
) -> Quantized:
    """Choose all integers of a checkpoint's network on samples of ``dataset.train``.

    Args:
        path: last.pt or best.pt of a run; one of the float phase, as a rule.
        dataset: samples to calibrate with (train) and to measure with (test).
        method: how; the defaults of :class:`QuantizeMethod` if None.
        network: where the network's class is, if not where the checkpoint says.
        samples: how many of ``dataset.train`` are looked at.

    Raises:
        InputError: E-QUANTIZE-SHAPE for data that the network does not take, and those of
            :func:`max78k.training.checkpoint.load_model`.
    """
    trained = load_model(path, network)
    return quantize_trained(trained, dataset, method or QuantizeMethod(), samples=samples)


def quantize_trained(
    trained: TrainedModel,
    dataset: Dataset,
    method: QuantizeMethod | None,
    *,
    samples: int = CALIBRATION,
) -> Quantized:
    """As :func:`quantize_checkpoint`, for a model; without ``method`` it has its integers already.

    The model is changed in place.
    """
    if trained.input_shape != dataset.input_shape:
        raise InputError(
            "E-QUANTIZE-SHAPE",
            f"{trained.name} takes inputs of {trained.input_shape}, {dataset.name} has "
            f"{dataset.input_shape}.",
            "the data that the network was trained with.",
        )
    pixels, labels = (torch.from_numpy(a) for a in (dataset.test.inputs, dataset.test.labels))
    model, bits = trained.model, None
    fits = scores(model, pixels[:1], Mode.FLOAT).shape[1] == len(dataset.class_names)
    before = accuracy(scores(model, pixels, Mode.FLOAT), labels) if fits else None
    real = real_outputs(model, dataset.test.inputs)
    if method is not None:
        batches = calibration_batches(dataset, method.seed, samples)
        bits = quantize_layers(model, batches, method, trained.input_shape)
    integers = to_network(
        model,
        name=trained.name,
        input_shape=trained.input_shape,
        class_names=trained.class_names if fits else (),
        notes=trained.notes,
    )
    after = None
    if fits:
        values = reference.outputs(integers, integers.from_pixels(dataset.test.inputs))
        after = accuracy(torch.from_numpy(values), labels)
    reports = layer_reports(integers, exponents_of(model), real, dataset.test.inputs)
    return Quantized(integers, after, before, reports, bits)
