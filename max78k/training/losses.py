"""The loss of the data, with hard or soft labels, smoothing and class weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from max78k.errors import InputError
from max78k.training.options import TrainOptions


def cross_entropy(
    outputs: Tensor, targets: Tensor, *, smoothing: float, weights: Tensor | None
) -> Tensor:
    """Mean over the samples.

    The mean is by the number of samples, also with weights, so that it does not depend on how a
    batch is divided between processes.

    Args:
        outputs: float32 [N, classes].
        targets: int64 [N], or float32 [N, classes] of shares.
        smoothing: share of the target that is spread over all classes.
        weights: float32 [classes] or None.
    """
    total = F.cross_entropy(
        outputs, targets, weight=weights, label_smoothing=smoothing, reduction="sum"
    )
    return total / len(outputs)


def cosine(outputs: Tensor, targets: Tensor, *, smoothing: float, weights: Tensor | None) -> Tensor:
    """Mean of 1 - cosine of the angle between outputs and target, 0 ... 2.

    The size of the outputs does not count, so that their softmax says nothing of confidence.
    Arguments are those of :func:`cross_entropy`; a target of several classes has the weight of its
    shares.
    """
    classes = outputs.shape[1]
    shares = targets if targets.ndim > 1 else F.one_hot(targets, classes).to(outputs.dtype)
    smooth = shares * (1 - smoothing) + smoothing / classes
    distance = 1 - F.cosine_similarity(outputs, smooth, dim=1)
    if weights is not None:
        distance = distance * (shares @ weights)
    return distance.mean()


# By the word of the option ``loss``.
LOSSES: Mapping[str, Callable[..., Tensor]] = {"cross-entropy": cross_entropy, "cosine": cosine}


def class_weights(options: TrainOptions, counts: npt.NDArray[np.int64]) -> Tensor | None:
    """Weights of the classes, with mean 1 over the samples.

    Args:
        options: ``class_weights`` is "none", "balanced" or numbers with commas.
        counts: samples of each class in the train part.
    """
    if options.class_weights == "none":
        return None
    if options.class_weights == "balanced":
        # a class without samples has none: label smoothing alone would meet it
        weights = np.where(counts > 0, 1.0 / np.maximum(counts, 1), 0.0)
    else:
        weights = np.array(_numbers(options.class_weights, len(counts)))
    weights = weights * counts.sum() / (weights * counts).sum()
    return torch.from_numpy(weights.astype(np.float32))


def _numbers(text: str, classes: int) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != classes or not all(0 < number < np.inf for number in numbers):
        raise InputError(
            "E-TRAIN-OPTION",
            f"class_weights is {text!r} for {classes} classes.",
            "none, balanced, or one positive number for each class with commas between.",
        )
    return numbers
