"""A trained network's answers made about as frequent as the labels, and what that changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset, Split
from max78k.errors import InputError
from max78k.training.checkpoint import load_checkpoint, load_model, save_checkpoint
from max78k.training.evaluate import accuracy
from max78k.training.logit_adjustment import add_to_biases, integer_scores, matching_offsets

Progress = Callable[[int, str], None]

_CHUNK = 1024  # pictures between two steps of the progress


@dataclass(frozen=True)
class Adjustment:
    """What was changed.

    Attributes:
        offsets: what was added to the scores of each class.
        before, after: share of hits in integers, by part of the data ("train", "test").
        answered: how often each class is answered on the train part, before and after, and how
            often it is the label.
    """

    offsets: dict[str, float]
    before: dict[str, float]
    after: dict[str, float]
    answered: dict[str, tuple[float, float, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "offsets": self.offsets,
            "before": self.before,
            "after": self.after,
            "answered": {name: list(shares) for name, shares in self.answered.items()},
        }


def adjust(
    path: Path,
    dataset: Dataset,
    out: Path,
    share: float,
    network: str | None = None,
    progress: Progress = lambda steps, note: None,
) -> Adjustment:
    """Write ``path`` with moved biases to ``out``.

    Args:
        path: run folder or checkpoint of the quantized phase; its other contents are kept.
        dataset: of the network's classes. The train part says how far the biases are moved, the
            test part is only measured.
        out: the new checkpoint.
        share: of the way to answers as frequent as the labels, 0 ... 1.
        network: its class, where it is of a user's file.
        progress: is told of every sample of both parts, before and after.

    Raises:
        InputError: E-ADJUST-FLOAT, E-ADJUST-LAYER, E-ADJUST-CLASSES; those of ``load_model``.
    """
    content, trained = load_checkpoint(path), load_model(path, network)
    if not trained.quantized:
        raise InputError(
            "E-ADJUST-FLOAT", f"{path} is of the float phase.", "a run with quantized epochs."
        )
    dataset = dataset.named_like(trained.class_names)
    if dataset.class_names != trained.class_names:
        raise InputError(
            "E-ADJUST-CLASSES",
            f"{path} knows {', '.join(trained.class_names)}; {dataset.name} has "
            f"{', '.join(dataset.class_names)}.",
            "data of the same classes.",
        )
    parts = {"train": dataset.train, "test": dataset.test}
    labels = {name: torch.from_numpy(part.labels) for name, part in parts.items()}

    model = trained.model
    first = {
        name: _scored(model, part, f"{name}, before", progress) for name, part in parts.items()
    }
    offsets = share * matching_offsets(first["train"], labels["train"])
    add_to_biases(model, offsets)
    then = {name: _scored(model, part, f"{name}, after", progress) for name, part in parts.items()}
    save_checkpoint(out, {**_rest(content), "model": model.state_dict()})

    def frequency(numbers: Tensor) -> list[float]:
        counts = np.bincount(numbers.numpy(), minlength=len(trained.class_names))
        return [float(count) / len(numbers) for count in counts]

    columns = first["train"].argmax(1), then["train"].argmax(1), labels["train"]
    shares = zip(*map(frequency, columns), strict=True)
    return Adjustment(
        dict(zip(trained.class_names, offsets.tolist(), strict=True)),
        {name: accuracy(values, labels[name]) for name, values in first.items()},
        {name: accuracy(values, labels[name]) for name, values in then.items()},
        dict(zip(trained.class_names, shares, strict=True)),
    )


def _scored(model: nn.Module, part: Split, note: str, progress: Progress) -> Tensor:
    """Scores of a part in integers, [N, classes]."""
    rows = []
    for pixels in torch.split(torch.from_numpy(part.inputs), _CHUNK):
        rows.append(integer_scores(model, pixels))
        progress(len(pixels), note)
    return torch.cat(rows)


def _rest(content: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint without what it cannot be continued with, and what is written anew."""
    return {key: content[key] for key in content if key not in ("format", "made_by", "training")}
