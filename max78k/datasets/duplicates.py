"""Pictures that are in a data set more than once, and what they do to a measurement."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.dataset import Dataset, Split, Uint8Array
from max78k.datasets.folder import image_files

BoolArray = npt.NDArray[np.bool_]

# Where one picture is in several parts, these keep it: what is measured with stays whole.
KEEPING = ("final", "test", "train")


@dataclass(frozen=True)
class Item:
    """One sample.

    Attributes:
        part, class_name: where it is.
        name: where the user finds it: a path, or its row in the data's file.
        digest: of its content.
        row: in its part; of a file that was not loaded -1.
    """

    part: str
    class_name: str
    name: str
    digest: bytes
    row: int = -1


@dataclass(frozen=True)
class Duplicates:
    """Groups of samples with the same content, each with what is kept first.

    ``counts``: all samples, by part and class.
    """

    groups: tuple[tuple[Item, ...], ...]
    counts: Mapping[str, Mapping[str, int]]

    @property
    def samples(self) -> int:
        """All samples."""
        return sum(sum(classes.values()) for classes in self.counts.values())

    @property
    def repeats(self) -> list[Item]:
        """Samples that could go: all but the first of each group."""
        return [item for group in self.groups for item in group[1:]]

    @property
    def contradictions(self) -> list[tuple[Item, ...]]:
        """Groups whose samples have different classes."""
        return [group for group in self.groups if len({item.class_name for item in group}) > 1]

    def across(self) -> dict[str, int]:
        """Samples of a part that also stand in a part that keeps them: "train in test" and so."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            for item in group[1:]:
                if item.part != group[0].part:
                    counts[f"{item.part} in {group[0].part}"] += 1
        return dict(sorted(counts.items()))

    def within(self) -> dict[str, int]:
        """Samples of a part that repeat an earlier one of the same part."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            for part, number in Counter(item.part for item in group).items():
                counts[part] += number - 1
        return {part: number for part, number in sorted(counts.items()) if number}

    def by_class(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Samples and how many of them could go, by class, by part."""
        gone = Counter((item.part, item.class_name) for item in self.repeats)
        table: dict[str, dict[str, tuple[int, int]]] = {}
        for part, classes in self.counts.items():
            for name, count in classes.items():
                table.setdefault(name, {})[part] = (count, gone[part, name])
        return table

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data; groups as lists of part, class and name."""
        return {
            "samples": self.samples,
            "repeats": len(self.repeats),
            "within": self.within(),
            "across": self.across(),
            "contradictions": len(self.contradictions),
            "by_class": {
                name: {
                    part: {"samples": count, "repeats": gone}
                    for part, (count, gone) in parts.items()
                }
                for name, parts in self.by_class().items()
            },
            "groups": [
                [[item.part, item.class_name, item.name] for item in group] for group in self.groups
            ],
        }


def find_duplicates(items: Iterable[Item]) -> Duplicates:
    """Group what has the same digest."""
    groups: defaultdict[bytes, list[Item]] = defaultdict(list)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        groups[item.digest].append(item)
        counts[item.part][item.class_name] += 1
    order = {part: number for number, part in enumerate(KEEPING)}
    repeated = [
        tuple(sorted(group, key=lambda item: order.get(item.part, len(order))))
        for group in groups.values()
        if len(group) > 1
    ]
    return Duplicates(tuple(repeated), counts)


def items_of(dataset: Dataset) -> Iterable[Item]:
    """The samples of a data set, by their bytes; names are their origins, else rows in parts."""
    for part, split in dataset.parts().items():
        digests, labels = _digests(split.inputs), split.labels.tolist()
        names = range(len(split)) if split.origin is None else split.origin.tolist()
        for row, (digest, label, name) in enumerate(zip(digests, labels, names, strict=True)):
            yield Item(part, dataset.class_names[label], str(name), digest, row)


def also_in(inputs: Uint8Array, others: Sequence[Uint8Array]) -> BoolArray:
    """Which of ``inputs`` [N, ...] stand byte for byte among ``others``; bool [N]."""
    known = {digest for each in others for digest in _digests(each)}
    return np.array([digest in known for digest in _digests(inputs)], np.bool_)


def repeated(inputs: Uint8Array) -> BoolArray:
    """Which of ``inputs`` [N, ...] are byte for byte an earlier one; bool [N]."""
    first: dict[bytes, int] = {}
    rows = [first.setdefault(digest, row) != row for row, digest in enumerate(_digests(inputs))]
    return np.array(rows, np.bool_)


def _digests(inputs: Uint8Array) -> list[bytes]:
    return [hashlib.sha256(one.tobytes()).digest() for one in inputs]


def items_in(root: Path) -> Iterable[Item]:
    """The files of a folder of class folders, by their bytes; names are paths."""
    for part, class_name, path in image_files(root):
        yield Item(part, class_name, str(path), hashlib.sha256(path.read_bytes()).digest())


def without_repeats(dataset: Dataset, found: Duplicates) -> Dataset:
    """The data set without the samples that :attr:`Duplicates.repeats` names."""
    gone: defaultdict[str, set[int]] = defaultdict(set)
    for item in found.repeats:
        gone[item.part].add(item.row)
    kept = {part: _without(split, gone[part]) for part, split in dataset.parts().items()}
    return dataset.with_parts(kept)


def _without(split: Split, rows: set[int]) -> Split:
    return split.take(np.array([n for n in range(len(split)) if n not in rows], dtype=np.int64))
