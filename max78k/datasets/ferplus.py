"""FER+: what ten people said of each picture of FER-2013, as shares to learn from.

The file ``fer2013new.csv`` has a line for each line of ``fer2013.csv``, in the same order: Usage, a
file name, and votes for ten answers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.datasets import fer
from max78k.datasets.dataset import Dataset
from max78k.errors import InputError

ANSWERS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "NF",
)  # fmt: skip
# Column of each class of FER-2013; contempt, unknown and "not a face" are none of its classes.
_CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_COLUMNS = [ANSWERS.index(name) for name in _CLASSES]
_NO_FACE = [ANSWERS.index("unknown"), ANSWERS.index("NF")]
_USAGES = {"Training": "train", "PublicTest": "test", "PrivateTest": "final"}

_DECAY = 1e-5  # of the squared coefficients, so that answers nobody gave stay at zero

Votes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """Samples by what became of them in :func:`with_votes`.

    ``agree``: the most frequent answer is the label; ``differ``: it is another class; ``silent``:
    no vote for any class, so that the label stays; ``no_face``: most say that it is no face, or do
    not know. All of the train part.
    """

    agree: int
    differ: int
    silent: int
    no_face: int


def read_votes(path: Path) -> dict[str, Votes]:
    """Votes int64 [rows, 10] by part, in the order of the file.

    Raises InputError ``E-FERPLUS-FILE`` for a file that is no fer2013new.csv, with the line.
    """
    parts: dict[str, list[list[int]]] = {part: [] for part in _USAGES.values()}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"Usage", *ANSWERS} <= set(rows.fieldnames or ()):
                raise ValueError(f"its first line has no {', '.join(ANSWERS[:3])}, ...")
            for number, row in enumerate(rows, 2):
                try:
                    parts[_USAGES[row["Usage"]]].append([int(row[name]) for name in ANSWERS])
                except (KeyError, TypeError, ValueError):
                    raise ValueError(f"line {number} is no row of votes") from None
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(
            "E-FERPLUS-FILE", f"{path} cannot be used: {error}.", "give FER+'s fer2013new.csv."
        ) from None
    return {
        part: np.array(rows, dtype=np.int64).reshape(-1, len(ANSWERS))
        for part, rows in parts.items()
    }


def with_votes(
    dataset: Dataset,
    votes: dict[str, Votes],
    share: float = 1.0,
    drop: bool = False,
    calibrated: bool = False,
) -> tuple[Dataset, Judged]:
    """FER-2013 with soft labels in its train part; test and final keep their labels alone.

    Args:
        dataset: FER-2013 with all its rows, in their order.
        votes: see :func:`read_votes`.
        share: of the votes in a soft label, 0 ... 1; the rest goes to the label.
        drop: leave train pictures out of which most say that they are no face, or do not know.
        calibrated: instead of the votes themselves, take what labels pictures with such votes
            have in the train part: FER+ says neutral far more often than FER-2013 does, and a
            network is judged by the latter's labels.

    Raises:
        InputError: E-FERPLUS-CLASSES for other classes than FER-2013's, E-FERPLUS-ROWS for another
            number of rows, or rows in another order, where most votes differ from the labels.
    """
    if dataset.class_names != fer.CLASS_NAMES:
        raise InputError(
            "E-FERPLUS-CLASSES",
            f"{dataset.name} has the classes {', '.join(dataset.class_names)}, FER+ judges those "
            "of FER-2013.",
            "give the votes before classes are mapped.",
        )
    train, own = dataset.train, votes["train"]
    if len(own) != len(train):
        raise InputError(
            "E-FERPLUS-ROWS",
            f"{dataset.name} has {len(train)} train pictures, the file of votes {len(own)}.",
            "give fer2013.csv whole, without rows left out.",
        )
    chosen = own[:, _COLUMNS].astype(np.float32)
    total = chosen.sum(axis=1, keepdims=True)
    hard = np.eye(len(fer.CLASS_NAMES), dtype=np.float32)[train.labels]
    soft = np.where(total > 0, chosen / np.maximum(total, 1), hard)
    no_face = own[:, _NO_FACE].sum(axis=1) * 2 > own.sum(axis=1)
    silent = total[:, 0] == 0
    agree = ~silent & (chosen.argmax(axis=1) == train.labels)
    judged = Judged(
        int(agree.sum()), int((~silent & ~agree).sum()), int(silent.sum()), int(no_face.sum())
    )
    if judged.differ > judged.agree:
        raise InputError(
            "E-FERPLUS-ROWS",
            f"{judged.differ:,} of {len(train):,} votes differ from the label: {dataset.name} does "
            "not have the rows of the file of votes in their order.",
            "give fer2013.csv, or an .npz made from it; folders are ordered by class.",
        )
    if calibrated:
        soft = _labels_of_votes(own, hard)
    mixed = np.asarray(share * soft + (1 - share) * hard, np.float32)
    split = replace(train, soft=mixed)
    if drop:
        split = split.take(np.flatnonzero(~no_face))
    return replace(dataset, train=split), judged


def _labels_of_votes(votes: Votes, hard: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Probability of each label given the votes [rows, 10], from those rows and their labels.

    A multinomial logistic regression. Rows with the same votes are one observation, of which there
    are far fewer than of rows.
    """
    from scipy.optimize import minimize

    kinds, of_row = np.unique(votes, axis=0, return_inverse=True)
    counts = np.zeros((len(kinds), hard.shape[1]))
    np.add.at(counts, of_row.reshape(-1), hard)
    shares = kinds / np.maximum(kinds.sum(axis=1, keepdims=True), 1)
    seen = np.concatenate([np.sqrt(shares), shares, np.ones((len(kinds), 1))], axis=1)
    total = counts.sum(axis=1, keepdims=True)

    def chances(flat: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        scores = seen @ flat.reshape(seen.shape[1], -1)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        found = chances(flat)
        entropy = -(counts * np.log(found + 1e-12)).sum() / total.sum()
        slope = seen.T @ (total * found - counts) / total.sum() + 2 * _DECAY * flat.reshape(
            seen.shape[1], -1
        )
        return float(entropy + _DECAY * (flat**2).sum()), slope.ravel()

    start = np.zeros(seen.shape[1] * counts.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return chances(found.x)[of_row.reshape(-1)]
