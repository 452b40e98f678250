"""Quantizing a trained float network without training it further."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.network import Network, reference
from max78k.training.calibrate import calibrate, calibration_batches
from max78k.training.checkpoint import load_model
from max78k.training.convert import to_network
from max78k.training.evaluate import accuracy, scores
from max78k.training.layers import Mode


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer network and what quantization cost: shares of the test part recognised."""

    network: Network
    accuracy: float
    float_accuracy: float


def quantize_checkpoint(
    path: Path, dataset: Dataset, *, network: str | None = None, rule: str = "mse", seed: int = 1
) -> Quantized:
    """Choose all exponents of a checkpoint's network on samples of ``dataset.train``.

    Args:
        path: last.pt or best.pt of a run; one of the float phase, as a rule.
        dataset: samples to calibrate with (train) and to measure with (test).
        network: where the network's class is, if not where the checkpoint says.
        rule: "mse" or "max".
        seed: chooses the samples.

    Raises:
        InputError: E-QUANTIZE-SHAPE for data that the network does not take, and those of
            :func:`max78k.training.checkpoint.load_model`.
    """
    trained = load_model(path, network)
    if trained.input_shape != dataset.input_shape:
        raise InputError(
            "E-QUANTIZE-SHAPE",
            f"{path} takes inputs of {trained.input_shape}, {dataset.name} has "
            f"{dataset.input_shape}.",
            "the data that the network was trained with.",
        )
    pixels, labels = (torch.from_numpy(a) for a in (dataset.test.inputs, dataset.test.labels))
    before = accuracy(scores(trained.model, pixels, Mode.FLOAT), labels)
    calibrate(trained.model, calibration_batches(dataset, seed), rule)
    integers = to_network(
        trained.model,
        name=trained.name,
        input_shape=trained.input_shape,
        class_names=trained.class_names,
        notes=trained.notes,
    )
    values = reference.outputs(integers, integers.from_pixels(dataset.test.inputs))
    return Quantized(integers, accuracy(torch.from_numpy(values), labels), before)
