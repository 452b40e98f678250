"""Other sizes for the pictures of a data set, which networks with another input read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.images import fitted
from max78k.errors import InputError


def resized(dataset: Dataset, side: int) -> Dataset:
    """The data set with pictures of ``side`` x ``side``: stretched, or averaged to a smaller size.

    Raises InputError ``E-DATA-SHAPE`` for data that are no pictures.
    """
    shape = dataset.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(
            "E-DATA-SHAPE",
            f"{dataset.name}: samples of shape {list(shape)} are no pictures.",
            "pictures have 1 (grey) or 3 (colour) channels, rows and columns.",
        )
    if shape[1:] == (side, side):
        return dataset
    return dataset.with_parts({k: _resized(part, side) for k, part in dataset.parts().items()})


def _resized(part: Split, side: int) -> Split:
    inputs = np.empty((len(part), part.inputs.shape[1], side, side), np.uint8)
    for new, old in zip(inputs, part.inputs, strict=True):
        for small, large in zip(new, old, strict=True):
            small[:] = fitted(large, side, side, crop=False)
    return replace(part, inputs=inputs)
