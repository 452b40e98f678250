"""Measuring a model: the float network, the chip's integers, and what the classes get."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from max78k.training.augment import to_integers
from max78k.training.graph import trace
from max78k.training.layers import Mode, WeightLayer, set_mode
from max78k.training.quantize import INPUT_EXPONENT

_BATCH = 256

Int64Array = npt.NDArray[np.int64]


def model_input(integers: Tensor, mode: Mode) -> Tensor:
    """Integers as a model in ``mode`` reads them: the float network takes real numbers."""
    values = integers * 2.0**INPUT_EXPONENT if mode is Mode.FLOAT else integers
    if values.ndim == 4:
        return values.contiguous(memory_format=torch.channels_last)
    return values


def scores(model: nn.Module, pixels: Tensor, mode: Mode, bf16: bool = False) -> Tensor:
    """Outputs [N, classes] for uint8 ``pixels``; leaves the model in evaluation, in ``mode``."""
    model.eval()
    set_mode(model, mode)
    rows = []
    with torch.no_grad(), torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
        for part in torch.split(pixels, _BATCH):
            rows.append(model(model_input(to_integers(part), mode)).flatten(1))
    return torch.cat(rows)


def real_scores(model: nn.Module, outputs: Tensor, mode: Mode) -> Tensor:
    """What :func:`scores` gives in ``mode``, as real numbers, of which a softmax makes sense."""
    if mode is not Mode.INTEGER:
        return outputs.float()
    last = trace(model)[-1].module
    exponent = int(last.out_exponent)
    if isinstance(last, WeightLayer) and last.wide:
        exponent = int(last.weight_exponent + last.in_exponent)
    return outputs.float() * 2.0**exponent


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Share of outputs whose largest value is at the label."""
    return float((outputs.argmax(dim=1) == labels).double().mean())


def confusion_matrix(labels: Int64Array, predictions: Int64Array, classes: int) -> Int64Array:
    """Counts, int64 [classes (true), classes (predicted)]."""
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.astype(np.int64).reshape(classes, classes)


def class_accuracy(confusion: Int64Array) -> list[float]:
    """Share of each class that is recognised; nan for a class without samples."""
    totals = confusion.sum(axis=1)
    shares = np.full(len(confusion), np.nan)
    np.divide(confusion.diagonal(), totals, out=shares, where=totals > 0)
    return [float(share) for share in shares]
