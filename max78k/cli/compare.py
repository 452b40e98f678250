"""``max78k compare``: training runs beside a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.terminal import emit, json_option, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.flows.comparison import Compared, Reference

_SHOWN = 20  # runs in the table


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reference", "references", multiple=True, type=click.Path(path_type=Path),
              help="Run to compare with; or confusion matrices as CSV, one for each --data, in "
              "their order.  [default: the first RUN]")  # fmt: skip
@click.option("--data", "specs", multiple=True,
              help="Measure the integer networks with these data; repeatable.  "
              "[default: what the runs measured]")  # fmt: skip
@click.option("--sort", type=click.Choice(("accuracy", "macro-f1", "likeness")),
              default="accuracy", show_default=True,
              help="Likeness: how near the confusion matrices are to the reference's.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder for comparison.json and .csv, curves.png, confusion.png.")  # fmt: skip
@json_option
def command(
    runs: tuple[Path, ...],
    references: tuple[Path, ...],
    specs: tuple[str, ...],
    sort: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare training runs: options that differ, accuracy and F1 against a reference, curves.

    \b
    Examples:
      max78k compare runs/plain runs/mixup runs/long --out comparison
      max78k compare runs/many --reference runs/fer7
      max78k compare runs/many --reference runs/fer7 --data fer2013.csv --data ck48.npz
      max78k compare runs/many --reference fer.csv --reference ck.csv --data fer.npz --data ck.npz

    RUN is a run folder, or a folder of them, as train-many makes. A CSV has the class names in its
    first line and a line of counts or shares for each true class.
    """
    from max78k.datasets.load import load
    from max78k.flows import comparison
    from max78k.flows.models import load_model
    from max78k.flows.run_records import find_runs, unfinished

    records = comparison.distinct([one for folder in runs for one in find_runs(folder)])
    for path in (one for folder in runs for one in unfinished(folder)):
        say(f"left out, since it is not finished: {path}")
    data = []
    if specs:
        shape = load_model(str(records[0].folder)).network.picture_shape
        data = [load(one, input_shape=shape, need=()) for one in specs]
    reference = _reference(references, records, data)
    found = comparison.compare(records, reference, data, sort)
    if out is not None:
        for path in comparison.write_files(found, reference, out):
            say(f"wrote {path}")
    report = {"reference": reference.name, "runs": [one.to_json() for one in found]}
    emit(_text(found, reference), report, as_json)


def _reference(paths: tuple[Path, ...], records: list[Any], data: list[Any]) -> Reference:
    from max78k.flows import comparison
    from max78k.flows.run_records import read_run

    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    if tables and len(tables) == len(paths):
        names = [one.name for one in data] or [comparison.TEST_PART]
        return comparison.reference_matrices(tables, names, records[0].class_names)
    if len(paths) > 1:
        raise InputError(
            "E-COMPARE-REFERENCE",
            f"{len(paths)} references are given.",
            "one run, or a confusion matrix (.csv) for each --data.",
        )
    return comparison.reference_run(read_run(paths[0]) if paths else records[0], data, records)


def _text(found: list[Compared], reference: Reference) -> str:
    from max78k.flows.comparison import OVERFIT, labels
    from max78k.report.tables import table

    called = labels([one.record for one in found])
    names = [called[one.record.folder.resolve()] for one in found]
    data = list(found[0].scores)
    headers = ["run"]
    for name in data:
        headers += [f"{name}: accuracy", "+-", "macro F1", "+-"]
    rows = []
    for label, one in zip(names[:_SHOWN], found, strict=False):
        row = [label]
        for name in data:
            scores = one.scores[name]
            row += [f"{scores.accuracy:.2%}", _signed(one.accuracy.get(name))]
            row += [f"{scores.macro[2]:.2%}", _signed(one.macro_f1.get(name))]
        options = ", ".join(f"{k} {_value(own)}" for k, (own, _) in one.options.items())
        rows.append((*row, f"{one.likeness:.5f}", options))
    lines = [
        f"against {reference.name}; {len(found)} runs",
        table((*headers, "likeness", "other options"), rows),
    ]
    if len(found) > _SHOWN:
        lines.append(f"... and {len(found) - _SHOWN} more; --json and --out have all")
    lines += [
        f"{name} overfits: the train part is {100 * one.overfit:.0f} points above the test part"
        for name, one in zip(names[:_SHOWN], found, strict=False)
        if one.overfit > OVERFIT
    ]
    other = [name for name, one in zip(names, found, strict=True) if not one.same_data]
    if other:
        lines.append(
            f"measured with another test part than {reference.name}: {', '.join(other[:_SHOWN])}; "
            "--data DATA measures all with the same"
        )
    return "\n".join(lines)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.2f}"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
