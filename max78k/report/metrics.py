"""How good the answers of a classifier are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a classifier on a whole data set; all are 0 ... 1.

    Where a class has no samples, or was never the answer, what would be 0 / 0 is 0. The macro
    scores are the mean over classes that have samples; the weighted scores weigh every class with
    its samples.

    Attributes:
        confusion: int64 [classes, classes]; row: true class, column: answer.
        precision: of the answers of a class, the share that is right; float64 [classes].
        recall: of the samples of a class, the share that is found; float64 [classes].
        f1: harmonic mean of both; float64 [classes].
        support: samples of each class, int64 [classes].
    """

    confusion: Int64Array
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: Int64Array

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    @property
    def macro(self) -> tuple[float, float, float]:
        """Mean precision, recall and F1 over the classes."""
        return self._mean((self.support > 0).astype(np.float64))

    @property
    def weighted(self) -> tuple[float, float, float]:
        """Mean precision, recall and F1 over the samples."""
        return self._mean(self.support.astype(np.float64))

    def _mean(self, weights: FloatArray) -> tuple[float, float, float]:
        total = max(float(weights.sum()), 1.0)
        precision, recall, f1 = (
            float((values * weights).sum() / total)
            for values in (self.precision, self.recall, self.f1)
        )
        return precision, recall, f1


def accuracy(labels: Int64Array, predictions: Int64Array) -> float:
    """Share of right answers; 0 if there are none. Raises ValueError for unequal lengths."""
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels, {len(predictions)} predictions")
    return float(np.mean(labels == predictions)) if len(labels) else 0.0


def confusion_matrix(labels: Int64Array, predictions: Int64Array, classes: int) -> Int64Array:
    """Counts int64 [classes, classes]; row: true class, column: answer.

    Raises ValueError for unequal lengths or a number outside 0 ... classes - 1.
    """
    if len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels, {len(predictions)} predictions")
    for values in (labels, predictions):
        if len(values) and not 0 <= int(np.min(values)) <= int(np.max(values)) < classes:
            raise ValueError(f"a class number is outside 0 ... {classes - 1}")
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def scores(labels: Int64Array, predictions: Int64Array, classes: int) -> Scores:
    """All scores; ``labels`` and ``predictions`` are class numbers [N]."""
    return scores_of(confusion_matrix(labels, predictions, classes))


def scores_of(confusion: Int64Array) -> Scores:
    """All scores of a confusion matrix; see :class:`Scores`."""
    right = np.diag(confusion).astype(np.float64)
    support, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = right / np.maximum(answers, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + answers, 1)
    return Scores(confusion, precision, recall, f1, support)
