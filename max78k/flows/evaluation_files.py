"""The text and the files of an evaluation: figures, answers and mistakes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.datasets.corruptions import CORRUPTIONS
from max78k.datasets.dice import permutation
from max78k.files import write_text
from max78k.flows.evaluation import Evaluation
from max78k.report import tables
from max78k.report.confusion import draw_confusions
from max78k.report.contact_sheet import draw_contact_sheet
from max78k.report.probabilities import draw_samples
from max78k.report.robustness import Points, draw_robustness

GALLERY_SIZE = 48
SAMPLES = 8
OVERFITTED = 10.0  # points of accuracy between the train and the test part
SPOILT_EXAMPLES = 6
_COLOURS = ((1,), (3,))  # channels of pictures: grey; red, green, blue
_AXES = {
    "noise": "standard deviation of the noise, on 0 ... 1",
    "occlusion": "side of the hidden square, pixels",
}


def write_files(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write everything that people look at afterwards; evaluations of the same classes.

    Files: ``report.json`` and ``report.txt``; ``confusion.png``, the matrices side by side;
    ``robustness.png`` where it was measured; for each data set NAME ``answers-NAME.csv``,
    ``mistakes-NAME.csv``, the confusion matrix as ``confusion-NAME.csv`` (counts) and
    ``confusion-NAME-shares.csv`` and, for pictures, ``mistakes-NAME.png``, the most confident
    mistakes first, ``samples-NAME.png``, some samples with the share of every class, and
    ``spoilt-NAME.png``, some spoilt pictures with their answers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / name for name in ("report.json", "report.txt", "confusion.png")]
    names = evaluations[0].class_names
    write_text(made[0], json.dumps([one.to_json() for one in evaluations], indent=2) + "\n")
    write_text(made[1], told(evaluations) + "\n")
    draw_confusions(made[2], {_title(one): one.scores.confusion for one in evaluations}, names)
    if all(one.spoilt for one in evaluations):
        made.append(folder / "robustness.png")
        draw_robustness(made[-1], {_title(one): _curves(one) for one in evaluations}, _AXES)
    stems = [Path(one.data).stem for one in evaluations]
    if len(set(stems)) < len(stems):
        parts = [f"{stem}-{one.part}" for stem, one in zip(stems, evaluations, strict=True)]
        unique = len(set(parts)) == len(parts)
        stems = parts if unique else [f"{stem}-{n}" for n, stem in enumerate(stems, 1)]
    for stem, one in zip(stems, evaluations, strict=True):
        made += _write_answers(one, folder, stem)
    return made


def told(evaluations: Sequence[Evaluation]) -> str:
    """All of them for people, with a table of them where there are several."""
    texts = list(map(_text, evaluations))
    together = [_together(evaluations), *_gaps(evaluations)] if texts[1:] else []
    return "\n\n".join([*texts, *together])


def _gaps(evaluations: Sequence[Evaluation]) -> list[str]:
    """How much better the train part of a data set is known than its test part."""
    tested = {one.data: one.scores.accuracy for one in evaluations if one.part == "test"}
    said = []
    for one in evaluations:
        if one.part == "train" and one.data in tested:
            gap = 100 * (one.scores.accuracy - tested[one.data])
            note = ": it is learnt by heart" if gap > OVERFITTED else ""
            said.append(f"{one.data}: the train part {gap:+.1f} points from the test part{note}")
    return said


def _text(result: Evaluation) -> str:
    board = result.board_seconds
    lines = [
        f"{result.data}, {result.part} part, {result.level} level, "
        f"{tables.seconds(result.seconds / len(result.split))} per sample here"
        + (f", {tables.seconds(board)} on the board" if board is not None else ""),
        tables.scores_table(result.scores, result.class_names),
    ]
    mistakes = result.top_confusions(5)
    if mistakes:
        said = ", ".join(f"{true} as {answer} ({number})" for true, answer, number in mistakes)
        lines.append(f"most frequent mistakes: {said}")
    for what, rows, accuracy in _repeats(result):
        if accuracy is not None:
            lines.append(f"{rows:,} samples {what}; without them {tables.percent(accuracy, 2)}")
    if result.flip_accuracy is not None:
        lines.append(f"with the mirrored pictures: {tables.percent(result.flip_accuracy, 2)}")
    for kind, share in result.robustness.items():
        lines.append(f"{kind}: {tables.percent(share, 2)}")
    return "\n".join(lines)


def _repeats(result: Evaluation) -> list[tuple[str, int, float | None]]:
    """What is repeated, how often, and the accuracy without."""
    within, found = result.repeats_within, []
    if result.repeats is not None:
        where = "another part" if result.part == "train" else "the train part"
        count = int(result.repeats.sum())
        found.append((f"also stand in {where}", count, result.accuracy_without_repeats))
    own = "repeat an earlier one of the part"
    found.append((own, int(within.sum()), result.accuracy_without_repeats_within))
    if result.repeats is not None and result.repeats.any() and within.any():
        both = int((result.repeats | within).sum())
        found.append(("do either", both, result.accuracy_without_any_repeats))
    return found


def _together(evaluations: Sequence[Evaluation]) -> str:
    """A line for each evaluation."""

    def share(value: float | None) -> str:
        return "" if value is None else tables.percent(value, 2)

    rows = [
        (
            one.data, one.part, tables.count(len(one.split)), share(one.scores.accuracy),
            share(one.scores.macro[2]), share(one.accuracy_without_repeats),
            share(one.accuracy_without_any_repeats),
        )
        for one in evaluations
    ]  # fmt: skip
    headers = ("data", "part", "samples", "accuracy", "macro F1", "not in other parts",
               "without any repeat")  # fmt: skip
    return tables.table(headers, rows)


def _curves(one: Evaluation) -> dict[str, Points]:
    clean, shares = (0.0, one.scores.accuracy), one.robustness
    return {
        kind: [clean, *((c.amount, shares[n]) for n, c in CORRUPTIONS.items() if c.kind == kind)]
        for kind in _AXES
    }


def _write_answers(one: Evaluation, folder: Path, stem: str) -> list[Path]:
    confusion = one.scores.confusion
    texts = {
        f"answers-{stem}.csv": _csv(one, np.arange(len(one.split))),
        f"mistakes-{stem}.csv": _csv(one, one.wrong),
        f"confusion-{stem}.csv": _matrix(confusion.tolist(), one.class_names),
        f"confusion-{stem}-shares.csv": _matrix(_shares(confusion), one.class_names),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    made = [folder / name for name in texts]
    if one.split.inputs.shape[1:-2] not in _COLOURS:
        return made
    made.append(folder / f"samples-{stem}.png")
    _draw_samples(made[-1], one)
    if len(one.wrong):
        made.append(folder / f"mistakes-{stem}.png")
        _draw_mistakes(made[-1], one)
    if one.spoilt:
        made.append(folder / f"spoilt-{stem}.png")
        _draw_spoilt(made[-1], one)
    return made


def _draw_samples(path: Path, one: Evaluation) -> None:
    rows = np.sort(permutation(len(one.split), one.seed)[:SAMPLES])
    draw_samples(
        path,
        one.split.inputs[rows],
        one.split.labels[rows].tolist(),
        one.shares[rows],
        one.class_names,
        f"{one.data}: some samples; green: their class, red: a wrong answer",
    )


def _draw_mistakes(path: Path, one: Evaluation) -> None:
    rows = one.wrong[:GALLERY_SIZE]
    draw_contact_sheet(
        path,
        one.split.inputs[rows],
        one.split.labels[rows].tolist(),
        one.class_names,
        predictions=one.predictions[rows].tolist(),
        confidences=one.shares[rows, one.predictions[rows]].tolist(),
        title=f"{one.data}: {len(one.wrong)} mistakes, the most confident first",
    )


def _draw_spoilt(path: Path, one: Evaluation) -> None:
    """A line of pictures for each of some samples: as it is, then spoilt in every way."""
    rows = np.sort(permutation(len(one.split), one.seed)[:SPOILT_EXAMPLES])
    pictures = [one.split.inputs[rows]]
    pictures += [spoil(one.split.inputs, one.seed)[rows] for spoil in CORRUPTIONS.values()]
    answers = [one.shares[rows]] + [one.shares_of(o)[rows] for o in one.spoilt.values()]
    columns = len(pictures)
    shares = np.stack(answers, axis=1).reshape(columns * len(rows), -1)
    draw_contact_sheet(
        path,
        np.stack(pictures, axis=1).reshape(columns * len(rows), *pictures[0].shape[1:]),
        np.repeat(one.split.labels[rows], columns).tolist(),
        one.class_names,
        predictions=shares.argmax(axis=1).tolist(),
        confidences=shares.max(axis=1).tolist(),
        columns=columns,
        title=f"{one.data}: as they are, with noise, with a hidden square",
    )


def _csv(one: Evaluation, rows: npt.NDArray[np.int64]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("index", "origin", "true", "answer", "confidence", *one.class_names))
    for row in rows:
        answer = int(one.predictions[row])
        origin = "" if one.split.origin is None else one.split.origin[row]
        writer.writerow((
            int(row), origin, one.class_names[one.split.labels[row]], one.class_names[answer],
            f"{one.shares[row, answer]:.4f}", *(f"{value:g}" for value in one.outputs[row]),
        ))  # fmt: skip
    return text.getvalue()


def _matrix(rows: list[list[float]], class_names: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("", *class_names))
    writer.writerows((name, *row) for name, row in zip(class_names, rows, strict=True))
    return text.getvalue()


def _shares(confusion: npt.NDArray[np.int64]) -> list[list[float]]:
    """Rows divided by their sums."""
    support = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [[round(float(share), 6) for share in row] for row in confusion / support]


def _title(one: Evaluation) -> str:
    return f"{one.data}, {one.part}, {one.level}"
