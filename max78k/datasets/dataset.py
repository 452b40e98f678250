"""What a data set is, whatever it was made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from max78k.datasets.dice import permutation
from max78k.errors import InputError

Uint8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and what they show.

    Attributes:
        inputs: uint8 [N, channels, rows, columns], 0 (black) to 255; of 1-D data
            [N, channels, length].
        labels: int64 [N], numbers of classes.
        soft: float32 [N, classes] or None: what to learn instead of the labels, where several
            people judged each sample; each row sums to 1.
    """

    inputs: Uint8Array
    labels: Int64Array
    soft: Float32Array | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> Split:
        """The given rows, in the given order."""
        soft = None if self.soft is None else self.soft[rows]
        return Split(self.inputs[rows], self.labels[rows], soft)

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
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    final: Split | None = None
    skipped_rows: int = 0

    def __post_init__(self) -> None:
        """Refuse labels without a class, and parts without samples."""
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
        for part in ("train", "test"):
            if not len(self.parts()[part]):
                raise InputError("E-DATA-EMPTY", f"{self.name}: the {part} part has no samples.")

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
        return Dataset(self.name, self.class_names, **parts, skipped_rows=self.skipped_rows)

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
