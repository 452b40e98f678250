"""Runs beside a reference: what differs in their options, and what came of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import Dataset, is_unnamed
from max78k.errors import InputError
from max78k.files import write_text
from max78k.flows.evaluation import evaluate
from max78k.flows.levels import open_level
from max78k.flows.models import load_model
from max78k.flows.run_records import RunRecord
from max78k.report.comparison import draw_runs
from max78k.report.confusion import draw_confusions
from max78k.report.metrics import Scores, scores_of

TEST_PART = "test part"  # what a run was measured with when it was trained
OVERFIT = 0.10  # by which the accuracy of the train part exceeds that of the test part
SORTS = ("accuracy", "macro-f1", "likeness")
_ELSEWHERE = ("bf16",)  # options that say nothing of what is compared

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """What runs are compared with.

    Attributes:
        name: of the run or the files.
        record: the run; None where there are confusion matrices alone.
        matrices: shares [classes (true), classes (answers)] by data set; each row sums to 1.
        scores: by data set; missing where a matrix of shares does not say how many samples.
        class_names: in the order of the matrices.
    """

    name: str
    record: RunRecord | None
    class_names: tuple[str, ...]
    matrices: Mapping[str, FloatArray]
    scores: Mapping[str, Scores]


@dataclass(frozen=True, eq=False)
class Compared:
    """A run beside the reference.

    Attributes:
        record: the run.
        scores: by data set, the classes in the order of the reference.
        options: those in which it differs from the reference, or from the other runs where the
            reference is no run: its value, the reference's (None: it has none).
        likeness: mean squared difference of the shares in the confusion matrices, over classes and
            data sets; 0: the same mistakes.
        accuracy, macro_f1: less those of the reference, by data set.
        same_data: whether both were measured with the same samples, as far as is known.
    """

    record: RunRecord
    scores: Mapping[str, Scores]
    options: Mapping[str, tuple[Any, Any]]
    likeness: float
    accuracy: Mapping[str, float]
    macro_f1: Mapping[str, float]
    same_data: bool

    @property
    def overfit(self) -> float:
        """Accuracy of the train part less that of the test part, in the last epoch."""
        rows = self.record.history
        if not rows:
            return 0.0
        return float(rows[-1]["train_accuracy"]) - float(rows[-1]["test_accuracy"])

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "run": str(self.record.folder),
            "options": {name: list(pair) for name, pair in self.options.items()},
            "likeness": self.likeness,
            "overfit": self.overfit,
            "same_data": self.same_data,
            "epochs": len(self.record.history),
            "float_accuracy": self.record.float_accuracy,
            "data": {
                name: {
                    "accuracy": one.accuracy,
                    "macro_f1": one.macro[2],
                    "accuracy_difference": self.accuracy.get(name),
                    "macro_f1_difference": self.macro_f1.get(name),
                }
                for name, one in self.scores.items()
            },
        }


def measured(record: RunRecord, data: Sequence[Dataset] = ()) -> dict[str, Scores]:
    """Scores of a run's integer network on data sets; without any, those of its own test part.

    Raises InputError ``E-COMPARE-SCORES`` for a run without an integer network.
    """
    if not data:
        if record.scores is None:
            raise InputError("E-COMPARE-SCORES", f"{record.folder} stored no confusion matrix.")
        return {TEST_PART: record.scores}
    names = [one.name for one in data]
    if len(set(names)) < len(names):
        raise InputError(
            "E-COMPARE-DATA", f"two data sets are called {max(names, key=names.count)}."
        )
    model = load_model(str(record.folder))
    with open_level(model, "integer") as answer:
        found = [evaluate(one, answer, level="integer") for one in data]
    return {one.data: one.scores for one in found}


def reference_run(
    record: RunRecord, data: Sequence[Dataset] = (), among: Sequence[RunRecord] = ()
) -> Reference:
    """A run as the reference; its name tells it from the runs ``among`` which it is shown."""
    scores = measured(record, data)
    matrices = {name: shares(one.confusion) for name, one in scores.items()}
    name = labels(distinct([record, *among]))[record.folder.resolve()]
    return Reference(name, record, record.class_names, matrices, scores)


def reference_matrices(
    paths: Sequence[Path], names: Sequence[str], class_names: tuple[str, ...]
) -> Reference:
    """Confusion matrices in CSV files as the reference, one for each data set.

    The first line has the names of the classes, each other line a true class: counts, or shares
    that sum to 1 or 100. A first column of names may be there; without it, the true classes are in
    the order of the first line.

    Raises InputError ``E-COMPARE-MATRIX``.
    """
    if len(paths) != len(names):
        raise InputError(
            "E-COMPARE-MATRIX", f"{len(paths)} matrices for {len(names)} data sets.",
            "one for each, in the order of --data.",
        )  # fmt: skip
    matrices, scores = {}, {}
    for path, name in zip(paths, names, strict=True):
        values = _read_matrix(path, class_names)
        matrices[name] = shares(values)
        if (values == np.rint(values)).all() and values.sum() > 100 * len(class_names):
            scores[name] = scores_of(values.astype(np.int64))
    return Reference(", ".join(path.name for path in paths), None, class_names, matrices, scores)


def compare(
    records: Sequence[RunRecord],
    reference: Reference,
    data: Sequence[Dataset] = (),
    sort: str = SORTS[0],
) -> list[Compared]:
    """Every run beside the reference, the best (or the most alike) first.

    Raises InputError ``E-COMPARE-CLASSES`` for runs of other classes.
    """
    plain = [own.options for own in records]
    base = reference.record.options if reference.record else _common(plain)
    found = []
    for record in records:
        order = _order(record, reference)
        scores = {
            name: scores_of(one.confusion[np.ix_(order, order)])
            for name, one in measured(record, data).items()
        }
        distances = [
            float(((shares(scores[name].confusion) - matrix) ** 2).mean())
            for name, matrix in reference.matrices.items()
        ]
        known = reference.scores
        found.append(
            Compared(
                record,
                scores,
                _different(record.options, base, whole=reference.record is not None),
                float(np.mean(distances)),
                {name: scores[name].accuracy - known[name].accuracy for name in known},
                {name: scores[name].macro[2] - known[name].macro[2] for name in known},
                bool(data) or _same_test_part(record, reference),
            )
        )
    keys = {
        "accuracy": lambda one: -_mean([s.accuracy for s in one.scores.values()]),
        "macro-f1": lambda one: -_mean([s.macro[2] for s in one.scores.values()]),
        "likeness": lambda one: one.likeness,
    }
    return sorted(found, key=keys[sort])


def shares(confusion: npt.NDArray[Any]) -> FloatArray:
    """Rows divided by their sums."""
    return np.asarray(confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-9))


def distinct(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The same runs, each once."""
    by_path: dict[Path, RunRecord] = {}
    for record in records:
        by_path.setdefault(record.folder.resolve(), record)
    return list(by_path.values())


def labels(records: Sequence[RunRecord]) -> dict[Path, str]:
    """What to call each of different runs, by resolved folder.

    It is the folder's name, with as many of those above it as tell it from the others.
    """
    paths = [record.folder.resolve() for record in records]
    found = {}
    for path in paths:
        tails = (path.parts[-n:] for n in range(1, len(path.parts) + 1))
        own = next(t for t in tails if sum(one.parts[-len(t) :] == t for one in paths) == 1)
        found[path] = "/".join(own)
    return found


def write_files(found: Sequence[Compared], reference: Reference, folder: Path) -> list[Path]:
    """``comparison.json`` and ``.csv``, ``curves.png``, ``confusion.png`` of best and reference."""
    made = [folder / name for name in ("comparison.json", "comparison.csv", "curves.png")]
    content = {"reference": reference.name, "runs": [one.to_json() for one in found]}
    write_text(made[0], json.dumps(content, indent=2, default=str) + "\n")
    write_text(made[1], _csv(found))
    records = [one.record for one in found]
    if reference.record is not None:
        records = distinct([*records, reference.record])
    names = labels(records)
    called = [names[one.folder.resolve()] for one in records]
    draw_runs(
        made[2],
        {name: one.column("train_loss") for name, one in zip(called, records, strict=True)},
        {name: one.column("test_accuracy") for name, one in zip(called, records, strict=True)},
        names[reference.record.folder.resolve()] if reference.record else None,
    )
    if reference.class_names:
        made.append(folder / "confusion.png")
        best, name = found[0], names[found[0].record.folder.resolve()]
        pictures = {f"{name}, {n}": s.confusion for n, s in best.scores.items()}
        pictures |= {f"{reference.name}, {n}": s.confusion for n, s in reference.scores.items()}
        draw_confusions(made[-1], pictures, reference.class_names)
    return made


def _csv(found: Sequence[Compared]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    options = sorted({name for one in found for name in one.options})
    data = list(found[0].scores)
    heads = [f"{what} {name}" for name in data for what in ("accuracy", "macro_f1")]
    gains = [f"{head} difference" for head in heads]
    writer.writerow(("run", *heads, *gains, "likeness", "overfit", *options))
    for one in found:
        figures = [v for n in data for v in (one.scores[n].accuracy, one.scores[n].macro[2])]
        pairs = [v for n in data for v in (one.accuracy.get(n, ""), one.macro_f1.get(n, ""))]
        chosen = [one.record.options.get(name, "") for name in options]
        writer.writerow((one.record.folder, *figures, *pairs, one.likeness, one.overfit, *chosen))
    return text.getvalue()


def _read_matrix(path: Path, class_names: tuple[str, ...]) -> FloatArray:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream) if line]
        names = [meaning(name) for name in lines[0] if name]
        values = np.array([[float(cell) for cell in line[-len(names) :]] for line in lines[1:]])
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise InputError("E-COMPARE-MATRIX", f"{path} is no confusion matrix: {error}.") from None
    wanted = list(map(meaning, class_names))
    heads = [meaning(line[0]) for line in lines[1:] if len(line) > len(names)] or names
    named = sorted(names) == sorted(heads) == sorted(wanted)
    if values.shape != (len(wanted), len(wanted)) or not named or (values < 0).any():
        raise InputError(
            "E-COMPARE-MATRIX",
            f"{path} is {list(values.shape)} of {', '.join(names[:8])}; the runs have the classes "
            f"{', '.join(class_names)}.",
            "a line of class names, then a line of counts or shares for each true class.",
        )
    order = [[given.index(name) for name in wanted] for given in (heads, names)]
    return np.asarray(values[np.ix_(*order)], np.float64)


def _order(record: RunRecord, reference: Reference) -> list[int]:
    """Where the run has the classes of the reference; raises E-COMPARE-CLASSES.

    Classes without names (0, 1, ...) are those of the same number.
    """
    count = len(record.class_names)
    nameless = is_unnamed(record.class_names) or is_unnamed(reference.class_names)
    if nameless and count == len(reference.class_names):
        return list(range(count))
    own = list(map(meaning, record.class_names))
    wanted = list(map(meaning, reference.class_names))
    if sorted(own) != sorted(wanted):
        raise InputError(
            "E-COMPARE-CLASSES",
            f"{record.folder} knows {', '.join(record.class_names)}; {reference.name} "
            f"{', '.join(reference.class_names)}.",
            "runs of the same classes.",
        )
    return [own.index(name) for name in wanted]


def _same_test_part(record: RunRecord, reference: Reference) -> bool:
    """Whether a run was measured with the samples of the reference; True where none says."""
    other = {} if reference.record is None else reference.record.data
    names = ("test_samples", "test_crc32")
    return all(other.get(n, record.data.get(n)) == record.data.get(n) for n in names)


def _common(options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Options that all runs have alike."""
    return {
        name: value
        for name, value in options[0].items()
        if all(other.get(name) == value for other in options)
    }


def _different(
    own: Mapping[str, Any], base: Mapping[str, Any], *, whole: bool
) -> dict[str, tuple[Any, Any]]:
    """Names with other values than in ``base``; ``whole``: what ``base`` lacks is None there."""
    names = [*own, *(name for name in base if name not in own)] if whole else list(own)
    return {
        name: (own.get(name), base.get(name))
        for name in names
        if name not in _ELSEWHERE and own.get(name) != base.get(name)
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
