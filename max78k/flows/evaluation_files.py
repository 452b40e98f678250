"""The files of an evaluation: figures, answers and mistakes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.files import write_text
from max78k.flows.evaluation import Evaluation
from max78k.report.confusion import draw_confusions
from max78k.report.contact_sheet import draw_contact_sheet
from max78k.report.robustness import draw_robustness

GALLERY_SIZE = 48
_COLOURS = ((1,), (3,))  # channels of pictures: grey; red, green, blue


def write_files(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write everything that people look at afterwards; evaluations of the same classes.

    Files: ``report.json``; ``confusion.png``, the matrices side by side; ``robustness.png`` where
    it was measured; for each data set ``answers-NAME.csv``, ``mistakes-NAME.csv`` and, for
    pictures, ``mistakes-NAME.png``, the most confident mistakes first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / "report.json", folder / "confusion.png"]
    names = evaluations[0].class_names
    write_text(made[0], json.dumps([one.to_json() for one in evaluations], indent=2) + "\n")
    draw_confusions(made[1], {_title(one): one.scores.confusion for one in evaluations}, names)
    if all(one.robustness for one in evaluations):
        made.append(folder / "robustness.png")
        draw_robustness(
            made[-1],
            {_title(one): one.scores.accuracy for one in evaluations},
            {_title(one): one.robustness for one in evaluations},
        )
    stems = [Path(one.data).stem for one in evaluations]
    for number, (stem, one) in enumerate(zip(stems, evaluations, strict=True), 1):
        made += _write_answers(one, folder, stem if stems.count(stem) == 1 else f"{stem}-{number}")
    return made


def _write_answers(one: Evaluation, folder: Path, stem: str) -> list[Path]:
    made = [folder / f"answers-{stem}.csv", folder / f"mistakes-{stem}.csv"]
    write_text(made[0], _csv(one, np.arange(len(one.split))))
    write_text(made[1], _csv(one, one.wrong))
    if one.split.inputs.shape[1:-2] in _COLOURS and len(one.wrong):
        made.append(folder / f"mistakes-{stem}.png")
        rows = one.wrong[:GALLERY_SIZE]
        draw_contact_sheet(
            made[-1],
            one.split.inputs[rows],
            one.split.labels[rows].tolist(),
            one.class_names,
            predictions=one.predictions[rows].tolist(),
            confidences=one.shares[rows, one.predictions[rows]].tolist(),
            title=f"{one.data}: {len(one.wrong)} mistakes, the most confident first",
        )
    return made


def _csv(one: Evaluation, rows: npt.NDArray[np.int64]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("index", "true", "answer", "confidence", *one.class_names))
    for row in rows:
        answer = int(one.predictions[row])
        writer.writerow((
            int(row), one.class_names[one.split.labels[row]], one.class_names[answer],
            f"{one.shares[row, answer]:.4f}", *(f"{value:g}" for value in one.outputs[row]),
        ))  # fmt: skip
    return text.getvalue()


def _title(one: Evaluation) -> str:
    return f"{one.data}, {one.part}, {one.level}"
