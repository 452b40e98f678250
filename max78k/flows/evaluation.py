"""A model's answers on a data set, at any level of the chain, and what they are worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.corruptions import CORRUPTIONS
from max78k.datasets.dataset import ALL, Dataset, Split, Uint8Array, is_unnamed
from max78k.datasets.duplicates import also_in, repeated
from max78k.errors import InputError
from max78k.flows.levels import Answers, FloatArray, Level, Subject
from max78k.report.metrics import Scores, scores

TOP_CONFUSIONS = 10
_BATCH = 256

BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Answers of one level on one part of a data set.

    Attributes:
        data: name of the data set.
        part: "train", "test", "final" or "all".
        level: see LEVELS.
        class_names: of the outputs.
        split: the samples.
        outputs: float64 [N, classes]; integers at every level but "float".
        output_step: value of one unit of an output, for the softmax.
        seconds: host time for all samples (at "board" with the serial link).
        repeats: bool [N], samples that also stand pixel for pixel in another part: the train part;
            of the train part itself, any other. None where there is no other part.
        repeats_within: bool [N], samples that repeat an earlier one of the same part.
        board_seconds: of a sample, by the board's own timer, without the link; None elsewhere.
        flip_outputs: outputs averaged with those of the mirrored pictures, where asked for.
        spoilt: outputs for spoilt pictures by name of the corruption, where asked for.
        seed: of what spoilt them.
    """

    data: str
    part: str
    level: Level
    class_names: tuple[str, ...]
    split: Split
    outputs: FloatArray
    output_step: float
    seconds: float
    repeats: BoolArray | None
    repeats_within: BoolArray
    board_seconds: float | None = None
    flip_outputs: FloatArray | None = None
    spoilt: Mapping[str, FloatArray] = field(default_factory=dict)
    seed: int = 0

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Class numbers, int64 [N]; of equal outputs the first, as the firmware takes it."""
        return np.asarray(self.outputs.argmax(axis=1), np.int64)

    @cached_property
    def shares(self) -> FloatArray:
        """Softmax of the outputs, float64 [N, classes]."""
        return self.shares_of(self.outputs)

    def shares_of(self, outputs: FloatArray) -> FloatArray:
        """Softmax of any outputs of the same network, float64 [N, classes]."""
        return softmax(outputs * self.output_step)

    @cached_property
    def scores(self) -> Scores:
        """Accuracy, precision, recall, F1 and the confusion matrix."""
        return scores(self.split.labels, self.predictions, len(self.class_names))

    @property
    def wrong(self) -> npt.NDArray[np.int64]:
        """Rows of wrong answers, the most confident first."""
        rows = np.flatnonzero(self.predictions != self.split.labels)
        return rows[np.argsort(-self.shares[rows, self.predictions[rows]], kind="stable")]

    @property
    def accuracy_without_repeats(self) -> float | None:
        """Share of right answers on pictures of no other part; None if unknown or the same."""
        return None if self.repeats is None else self._without(self.repeats)

    @property
    def accuracy_without_repeats_within(self) -> float | None:
        """Share of right answers with each picture counted once; None if the same."""
        return self._without(self.repeats_within)

    @property
    def accuracy_without_any_repeats(self) -> float | None:
        """Share of right answers on pictures of no other part, each counted once."""
        if self.repeats is None:
            return self.accuracy_without_repeats_within
        return self._without(self.repeats | self.repeats_within)

    def _without(self, rows: BoolArray) -> float | None:
        if not rows.any() or rows.all():
            return None
        return float((self.predictions == self.split.labels)[~rows].mean())

    @property
    def robustness(self) -> dict[str, float]:
        """Share of right answers by name of the corruption."""
        labels = self.split.labels
        return {
            name: float((outputs.argmax(axis=1) == labels).mean())
            for name, outputs in self.spoilt.items()
        }

    @property
    def flip_accuracy(self) -> float | None:
        """Share of right answers of a picture and its mirror together; None if not asked for."""
        if self.flip_outputs is None:
            return None
        return float((self.flip_outputs.argmax(axis=1) == self.split.labels).mean())

    def top_confusions(self, count: int = TOP_CONFUSIONS) -> list[tuple[str, str, int]]:
        """True class, answer and number of the most frequent mistakes."""
        mistakes = self.scores.confusion.copy()
        np.fill_diagonal(mistakes, 0)
        order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
        pairs = (divmod(int(cell), len(self.class_names)) for cell in order)
        return [
            (self.class_names[true], self.class_names[answer], int(mistakes[true, answer]))
            for true, answer in pairs
            if mistakes[true, answer]
        ]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain data; shares are 0 ... 1, the matrix has the true class by row."""
        result = self.scores
        by_class = {
            name: {
                "precision": float(result.precision[n]),
                "recall": float(result.recall[n]),
                "f1": float(result.f1[n]),
                "samples": int(result.support[n]),
            }
            for n, name in enumerate(self.class_names)
        }
        return {
            "data": self.data,
            "part": self.part,
            "level": self.level,
            "n": len(self.split),
            "accuracy": result.accuracy,
            "macro_precision": result.macro[0],
            "macro_recall": result.macro[1],
            "macro_f1": result.macro[2],
            "weighted_precision": result.weighted[0],
            "weighted_recall": result.weighted[1],
            "weighted_f1": result.weighted[2],
            "repeats": None if self.repeats is None else int(self.repeats.sum()),
            "repeats_within": int(self.repeats_within.sum()),
            "accuracy_without_repeats": self.accuracy_without_repeats,
            "accuracy_without_repeats_within": self.accuracy_without_repeats_within,
            "accuracy_without_any_repeats": self.accuracy_without_any_repeats,
            "flip_accuracy": self.flip_accuracy,
            "class_names": list(self.class_names),
            "classes": by_class,
            "confusion": result.confusion.tolist(),
            "top_confusions": [list(mistake) for mistake in self.top_confusions()],
            "robustness": self.robustness,
            "seconds_per_sample": self.seconds / len(self.split),
            "board_seconds_per_sample": self.board_seconds,
        }


def softmax(values: FloatArray) -> FloatArray:
    """Shares of each row [N, classes] that sum to 1."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def evaluate(
    dataset: Dataset,
    answer: Answers,
    *,
    level: Level,
    part: str | None = None,
    limit: int | None = None,
    flip: bool = False,
    robustness: bool = False,
    seed: int = 0,
    progress: Progress = lambda steps, note: None,
) -> Evaluation:
    """Ask for all answers and judge them.

    Args:
        dataset: what to ask.
        answer: see :func:`max78k.flows.levels.open_level`.
        level: the level of ``answer``.
        part: "train", "test", "final" or "all"; None is the test part, else the final one; all
            of data that name no parts.
        limit: at most this many samples, chosen by ``seed``.
        flip: also judge the mean of the outputs for a picture and its mirror.
        robustness: also judge the answers to spoilt pictures (CORRUPTIONS).
        seed: of the choice and of what spoils pictures.
        progress: gets the number of samples done and a note.
    """
    subject = answer.subject
    dataset = dataset.named_like(subject.class_names)
    part, split = judged_part(dataset, part)
    split = split if limit is None else split.sample(limit, seed)
    if robustness:
        _require_pictures(split)
    require_classes([dataset], subject, answer(split.inputs[:1]).shape[1])
    timed = len(answer.board_seconds)
    started = time.perf_counter()
    outputs = _ask(answer, split.inputs, progress, part)
    seconds, board = time.perf_counter() - started, answer.board_seconds[timed:]
    mirrored = (
        outputs + _ask(answer, split.inputs[..., ::-1], progress, "mirrored") if flip else None
    )
    spoilt = {}
    if robustness:
        for name, spoil in CORRUPTIONS.items():
            spoilt[name] = _ask(answer, spoil(split.inputs, seed), progress, name)
    others = _others(dataset, part)
    return Evaluation(
        data=dataset.name,
        part=part,
        level=level,
        class_names=dataset.class_names,
        split=split,
        outputs=outputs,
        output_step=subject.output_step,
        seconds=seconds,
        repeats=also_in(split.inputs, others) if others else None,
        repeats_within=repeated(split.inputs),
        board_seconds=float(np.mean(board)) if board else None,
        flip_outputs=mirrored,
        spoilt=spoilt,
        seed=seed,
    )


def _others(dataset: Dataset, part: str) -> list[Uint8Array]:
    """What the samples of a part must not also stand in."""
    if part == "train":
        return [split.inputs for name, split in dataset.parts().items() if name != part]
    return [dataset.train.inputs] if part in ("test", "final") else []


def judged_part(dataset: Dataset, part: str | None) -> tuple[str, Split]:
    """Name and samples of the part to judge; see :func:`evaluate`."""
    if part is None and not dataset.parts_named:
        part = ALL
    if part is None:
        part = next((name for name in ("test", "final") if len(dataset.parts().get(name, ()))), ALL)
    return part, dataset.part(part)


def require_classes(datasets: Sequence[Dataset], subject: Subject, outputs: int) -> None:
    """Raise InputError ``E-EVALUATE-CLASSES`` unless all have the classes that are answered."""
    named = [one.named_like(subject.class_names) for one in datasets]
    hint = "`max78k data convert --classes` maps classes."
    code = "E-EVALUATE-CLASSES"
    for one in named:
        found = one.class_names
        if len(found) > outputs and is_unnamed(found):
            raise InputError(
                code, f"{one.name} has the label {len(found) - 1}, {subject.name} has {outputs} "
                "outputs.", f"use labels 0 ... {outputs - 1}.",
            )  # fmt: skip
        if len(found) != outputs:
            raise InputError(
                code, f"{subject.name} has {outputs} outputs, {one.name} has {len(found)} classes.",
                hint,
            )  # fmt: skip
        if not (is_unnamed(subject.class_names) or is_unnamed(found)):
            _require_alike(subject.name, subject.class_names, one, hint)
        _require_alike(named[0].name, named[0].class_names, one, hint)


def _require_alike(whose: str, wanted: tuple[str, ...], dataset: Dataset, hint: str) -> None:
    if wanted and dataset.class_names != wanted:
        raise InputError(
            "E-EVALUATE-CLASSES",
            f"{whose} knows {', '.join(wanted)}; {dataset.name} has "
            f"{', '.join(dataset.class_names)}.",
            hint,
        )


def rounds(flip: bool, robustness: bool) -> int:
    """How often :func:`evaluate` asks for each sample."""
    return 1 + flip + robustness * len(CORRUPTIONS)


def _ask(answer: Answers, pixels: Uint8Array, progress: Progress, note: str) -> FloatArray:
    rows = []
    for start in range(0, len(pixels), _BATCH):
        part = pixels[start : start + _BATCH]
        rows.append(answer(part))
        progress(len(part), note)
    return np.concatenate(rows)


def _require_pictures(split: Split) -> None:
    if split.inputs.ndim != 4:
        raise InputError(
            "E-EVALUATE-ROBUSTNESS",
            f"samples of shape {list(split.inputs.shape[1:])} are no pictures.",
            "robustness is measured on [channels, rows, columns].",
        )
