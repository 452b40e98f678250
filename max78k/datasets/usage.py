"""How much of which data is learnt from: several sources, and their usage factors."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from max78k.datasets.dataset import Dataset, Split, joined
from max78k.datasets.dice import permutation
from max78k.datasets.duplicates import also_in
from max78k.datasets.named_augmentations import CHANGES, enlarge
from max78k.errors import InputError


@dataclass(frozen=True)
class Factors:
    """Usage factors of a source, 0 ... 1.

    Attributes:
        use: share of each class of its train part that is learnt from.
        changed: share of these pictures that get a copy by each of the 28 named changes.
    """

    use: float = 1.0
    changed: float = 0.0

    def __post_init__(self) -> None:
        for name in ("use", "changed"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InputError("E-USAGE-FACTOR", f"{name} is {value}.", "0 ... 1")


@dataclass(frozen=True, eq=False)
class Used:
    """What was taken of one source.

    Attributes:
        source: its name.
        factors: as asked for.
        available: samples of its train part.
        split: what is learnt from: pictures as they are, then changed copies.
        made: for each row of ``split`` the change, "" for a picture as it is.
    """

    source: str
    factors: Factors
    available: int
    split: Split
    made: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Factors and numbers of samples."""
        copies = sum(map(bool, self.made))
        return {
            "source": self.source,
            "use": self.factors.use,
            "changed": self.factors.changed,
            "available": self.available,
            "used": len(self.split) - copies,
            "copies": copies,
        }


def use(
    sources: Mapping[str, Dataset], factors: Mapping[str, Factors], seed: int
) -> tuple[Dataset, list[Used]]:
    """The first source with the chosen part of all train parts to learn from.

    The test and final parts are those of the first source alone, whole. Changed copies are made of
    chosen train pictures, but of none that also stands in one of those parts.

    Args:
        sources: data sets of the same classes by name.
        factors: by the same names; a source without is used whole.
        seed: chooses the samples, those of a smaller factor among those of a greater one.

    Raises:
        InputError: E-USAGE-CLASSES, E-USAGE-SHAPE for sources that differ; E-USAGE-EMPTY where
            nothing is left.
    """
    first = next(iter(sources.values()))
    measured = [split.inputs for part, split in first.parts().items() if part != "train"]
    taken = []
    for name, dataset in sources.items():
        split = _alike(dataset, first).train
        own = factors.get(name, Factors())
        kept = split.take(np.flatnonzero(_chosen(split, own.use, seed)))
        spared = also_in(kept.inputs, measured) if own.changed else None
        enlarged, made = enlarge(kept, tuple(CHANGES), own.changed, seed, spared)
        taken.append(Used(name, own, len(split), enlarged, made))
    train = joined([one.split for one in taken])
    if not len(train):
        raise InputError("E-USAGE-EMPTY", "the usage factors leave nothing to learn from.")
    return replace(first, train=train), taken


def usage_table(taken: Sequence[Used], class_names: Sequence[str]) -> str:
    """CSV: a line for each sample that is learnt from; ``origin`` is its file, or its row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("source", "origin", "class", "change"))
    for one in taken:
        origins = range(len(one.split)) if one.split.origin is None else one.split.origin.tolist()
        for origin, label, change in zip(origins, one.split.labels.tolist(), one.made, strict=True):
            writer.writerow((one.source, origin, class_names[label], change))
    return text.getvalue()


def _alike(dataset: Dataset, first: Dataset) -> Dataset:
    named = dataset.named_like(first.class_names)
    if named.class_names != first.class_names:
        raise InputError(
            "E-USAGE-CLASSES",
            f"{dataset.name} has the classes {', '.join(dataset.class_names)}, {first.name} has "
            f"{', '.join(first.class_names)}.",
            "`max78k data convert --classes` maps classes.",
        )
    if named.input_shape != first.input_shape:
        raise InputError(
            "E-USAGE-SHAPE",
            f"{dataset.name} has inputs {list(named.input_shape)}, {first.name} "
            f"{list(first.input_shape)}.",
        )
    return named


def _chosen(split: Split, share: float, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which samples are in the given share of every class."""
    chosen = np.zeros(len(split), dtype=bool)
    order = permutation(len(split), seed)
    for label in np.unique(split.labels):
        rows = order[split.labels[order] == label]
        chosen[rows[: round(share * len(rows))]] = True
    return chosen
