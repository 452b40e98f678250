"""What a data set is, whatever it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.class_names import meaning
from max78k.datasets.dice import permutation
from max78k.errors import InputError

Uint8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

ALL = "all"  # every part of a data set


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and what they show.

    Attributes:
        inputs: uint8 [N, channels, rows, columns], 0 (black) to 255; of 1-D data
            [N, channels, length].
        labels: int64 [N], numbers of classes.
        soft: float32 [N, classes] or None: what to learn instead of the labels, where several
            people judged each sample; each row sums to 1.
        origin: [N] or None: where the user finds each sample again. Text: its file under the data
            set's folder; int64: its row in the data set's file, from 0.
    """

    inputs: Uint8Array
    labels: Int64Array
    soft: Float32Array | None = None
    origin: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> Split:
        """The given rows, in the given order."""
        soft = None if self.soft is None else self.soft[rows]
        origin = None if self.origin is None else self.origin[rows]
        return Split(self.inputs[rows], self.labels[rows], soft, origin)

    def sample(self, count: int, seed: int) -> Split:
        """At most ``count`` samples chosen by ``seed``, in their old order."""
        if count >= len(self):
            return self
        return self.take(np.sort(permutation(len(self), seed)[:count]))

    def divide(self, share: float, seed: int) -> tuple[Split, Split]:
        """Two parts, of which the second gets ``share`` of every class (at least one sample
        of a class that has two or more)."""
        held = np.zeros(len(self), dtype=bool)
        order = permutation(len(self), seed)
        for label in np.unique(self.labels):
            rows = order[self.labels[order] == label]
            count = min(max(round(share * len(rows)), 1), len(rows) - 1)
            held[rows[:count]] = True
        return self.take(np.flatnonzero(~held)), self.take(np.flatnonzero(held))

    def balanced(self, seed: int) -> Split:
        """The samples followed by repeated ones, until every class has as many as the largest."""
        order = permutation(len(self), seed)
        labels, counts = np.unique(self.labels, return_counts=True)
        rows = [np.arange(len(self), dtype=np.int64)]
        for label, count in zip(labels, counts, strict=True):
            rows.append(np.resize(order[self.labels[order] == label], int(counts.max() - count)))
        return self.take(np.concatenate(rows))

    def renumbered(self, number: Int64Array, classes: int) -> Split:
        """The samples of the classes that go on, with new class numbers.

        Args:
            number: int64 [old classes], the new number of each class, -1 for one that is left out.
            classes: how many new classes there are. Soft labels are added up by new class and made
                to sum to 1 again; where nothing is left of them, the label counts.
        """
        kept = self.take(np.flatnonzero(number[self.labels] >= 0))
        labels = number[kept.labels]
        if kept.soft is None:
            return replace(kept, labels=labels)
        soft = np.zeros((len(kept), classes), np.float32)
        for old in np.flatnonzero(number >= 0):
            soft[:, number[old]] += kept.soft[:, old]
        total = soft.sum(axis=1, keepdims=True)
        hard = np.eye(classes, dtype=np.float32)[labels]
        shares = np.where(total > 0, soft / np.maximum(total, 1e-9), hard)
        return replace(kept, labels=labels, soft=shares)

    def counts(self, classes: int) -> Int64Array:
        """Samples of each class, int64 [classes]."""
        return np.bincount(self.labels, minlength=classes).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set with its parts.

    Attributes:
        name: what it was loaded from.
        class_names: name of class 0, 1, ...
        train: samples to learn from.
        test: samples to measure and choose with.
        final: samples kept aside for one last measurement (FER-2013's PrivateTest); never used
            to choose anything.
        skipped_rows: bad rows of the file that were left out because the user said so.
        parts_named: False where the data name no parts, and a share became ``test``.
        notes: what a network that learns from these data takes along (how CSI was prepared).
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    final: Split | None = None
    skipped_rows: int = 0
    parts_named: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse labels without a class."""
        for part, split in self.parts().items():
            wrong = (split.labels < 0) | (split.labels >= len(self.class_names))
            if wrong.any():
                row, classes = int(wrong.argmax()), len(self.class_names)
                raise InputError(
                    "E-DATA-LABEL",
                    f"{self.name}: {part} sample {row} has label {int(split.labels[row])}, "
                    f"but there are {classes} classes.",
                    f"use labels 0 ... {classes - 1}.",
                )
            if split.soft is not None and split.soft.shape != (len(split), len(self.class_names)):
                raise InputError(
                    "E-DATA-SOFT",
                    f"{self.name}: {part} has soft labels {list(split.soft.shape)} for "
                    f"{len(split)} samples of {len(self.class_names)} classes.",
                    "one row for each sample, one share for each class.",
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.train.inputs.shape[1:])

    def parts(self) -> dict[str, Split]:
        """The parts by name."""
        parts = {"train": self.train, "test": self.test}
        return parts if self.final is None else {**parts, "final": self.final}

    def limited(self, count: int, seed: int = 0) -> Dataset:
        """The same with at most ``count`` samples in each part, chosen by ``seed``."""
        if count < 1:
            raise InputError(
                "E-DATA-LIMIT", f"a limit of {count} samples leaves nothing.", "use 1 or more."
            )
        parts = {name: split.sample(count, seed) for name, split in self.parts().items()}
        return self.with_parts(parts)

    def part(self, name: str) -> Split:
        """The samples of a part, or of ``all`` parts together.

        Raises InputError ``E-DATA-PART`` for a part that these data do not have.
        """
        parts = self.parts()
        parts[ALL] = joined(list(parts.values()))
        if name not in parts:
            raise InputError(
                "E-DATA-PART", f"{self.name} has no part {name}.", f"one of {', '.join(parts)}."
            )
        if not len(parts[name]):
            raise _empty(self.name, name)
        return parts[name]

    def require(self, *parts: str) -> None:
        """Raise InputError ``E-DATA-EMPTY`` for a part without samples."""
        for part in parts:
            if not len(self.parts()[part]):
                raise _empty(self.name, part)

    def named_like(self, class_names: tuple[str, ...]) -> Dataset:
        """The same with its labels in the order of ``class_names``, a network's, and its names.

        Data whose names mean the same (:func:`max78k.datasets.class_names.meaning`) are renumbered;
        data without names (0, 1, ...) get them. Others are left as they are.
        """
        if is_unnamed(self.class_names) and len(self.class_names) <= len(class_names):
            return self.renumbered(range(len(self.class_names)), class_names)
        own, wanted = list(map(meaning, self.class_names)), list(map(meaning, class_names))
        if self.class_names == class_names or sorted(own) != sorted({*wanted}):
            return self
        return self.renumbered([wanted.index(name) for name in own], class_names)

    def renumbered(self, number: Sequence[int], class_names: tuple[str, ...]) -> Dataset:
        """The same with class n called ``class_names[number[n]]``; -1 leaves its samples out."""
        numbers = np.array(number, dtype=np.int64)
        parts = {
            name: split.renumbered(numbers, len(class_names))
            for name, split in self.parts().items()
        }
        return replace(
            self, class_names=class_names, train=parts["train"], test=parts["test"],
            final=parts.get("final"),
        )  # fmt: skip

    def with_parts(self, parts: Mapping[str, Split]) -> Dataset:
        """The same with other samples in its parts."""
        return replace(self, train=parts["train"], test=parts["test"], final=parts.get("final"))

    def describe(self) -> str:
        """Name, shape and samples per class and part, several lines."""
        parts = self.parts()
        counts = [split.counts(len(self.class_names)) for split in parts.values()]
        width = max(len(name) for name in (*self.class_names, "all"))
        shape = "x".join(str(size) for size in self.input_shape)
        lines = [
            f"{self.name}: {len(self.class_names)} classes, inputs {shape}",
            f"{'':{width}}" + "".join(f"{part:>9}" for part in parts),
        ]
        for row, name in enumerate(self.class_names):
            lines.append(f"{name:{width}}" + "".join(f"{count[row]:9,}" for count in counts))
        lines.append(f"{'all':{width}}" + "".join(f"{count.sum():9,}" for count in counts))
        if self.skipped_rows:
            lines.append(f"{self.skipped_rows} bad rows were left out")
        return "\n".join(lines)


def is_unnamed(class_names: tuple[str, ...]) -> bool:
    """Whether these are no names, but the numbers 0, 1, ..."""
    return class_names == tuple(str(n) for n in range(len(class_names)))


def joined(splits: Sequence[Split]) -> Split:
    """All samples one after another, with origins where every split has them.

    Where some have soft labels, the label itself is the soft label of the others' samples.
    """
    origins = [split.origin for split in splits if split.origin is not None]
    if len({origin.dtype.kind for origin in origins}) > 1:
        origins = [origin.astype(str) for origin in origins]
    widths = {split.soft.shape[1] for split in splits if split.soft is not None}
    return Split(
        np.concatenate([split.inputs for split in splits]),
        np.concatenate([split.labels for split in splits]),
        np.concatenate([_shares(split, *widths) for split in splits]) if widths else None,
        np.concatenate(origins) if len(origins) == len(splits) else None,
    )


def _shares(split: Split, classes: int) -> Float32Array:
    """Soft labels of a split, or its labels as such."""
    return np.eye(classes, dtype=np.float32)[split.labels] if split.soft is None else split.soft


def _empty(name: str, part: str) -> InputError:
    return InputError("E-DATA-EMPTY", f"{name}: the {part} part has no samples.")
