"""``max78k evaluate``: how good a network's answers on a data set are, at any level."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.options import data_option, port_option, seed_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.datasets.dataset import Dataset
    from max78k.flows.evaluation import Evaluation

_LEVELS = ("float", "integer", "accelerator", "board")


@click.command("evaluate")
@click.argument("model", required=False)
@click.option("--model", "named", help="The same as the argument MODEL.")
@data_option
@click.option("--also", multiple=True, metavar="DATA", help="Another data set, drawn beside it.")
@click.option(
    "--level",
    type=click.Choice(_LEVELS),
    default="integer",
    show_default=True,
    help="What answers: float weights of --run, integer reference, accelerator model, firmware.",
)
@click.option(
    "--part",
    type=click.Choice(("train", "test", "final", "all", "each")),
    help="Of the data; each: one after another. Default: test, else final; all of data that name "
    "no parts.",
)
@click.option("--limit", type=click.IntRange(1), help="At most this many samples.")
@click.option("--flip", is_flag=True, help="Also average each picture with its mirror.")
@click.option(
    "--robustness",
    is_flag=True,
    help="Also noise of 0.05, 0.1, 0.2; hidden squares of 8x8, 16x16, 24x24.",
)
@click.option(
    "--run", "run_folder", type=click.Path(path_type=Path), help="Training run, for --level float."
)
@click.option("--network", help="With --run: the network's class, path/to/file.py:Class.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for report.json and .txt, confusion and robustness as pictures and CSV, answers "
    "and mistakes as CSV and pictures.",
)
@click.option("--confusion", type=click.Path(path_type=Path), help="Write the matrix as PNG.")
@port_option
@seed_option
@json_option
def command(
    model: str | None,
    named: str | None,
    data: str,
    also: tuple[str, ...],
    level: str,
    part: str | None,
    limit: int | None,
    flip: bool,
    robustness: bool,
    run_folder: Path | None,
    network: str | None,
    out: Path | None,
    confusion: Path | None,
    port: str,
    seed: int,
    as_json: bool,
) -> None:
    """Accuracy, precision, recall, F1 and confusions of MODEL on a data set.

    \b
    Examples:
      max78k evaluate fer7 --data fer2013.csv --out evaluation
      max78k evaluate fer7 --data fer2013.csv --also ckplus/ --robustness --out evaluation
      max78k evaluate fer7-model --level float --run runs/fer7 --data fer2013.csv
      max78k evaluate fer7 --data fer2013.csv --part each
      max78k evaluate --run runs/float --level float --data fer2013.csv
      max78k evaluate --model fer7 --data final.npz --level integer --json

    Pictures that also stand in another part, and those that a part repeats, are counted, and the
    accuracy without them is given beside the other.
    """
    from max78k.flows import evaluation
    from max78k.flows.evaluation_files import told
    from max78k.flows.levels import LEVELS, open_level, outputs_of, subject
    from max78k.flows.models import load_model

    source = _source(model, named, level, run_folder)
    loaded = None if source is None else load_model(source)
    chosen = next(one for one in LEVELS if one == level)
    asked = None  # data are read before a board is made ready, where the model says their shape
    if loaded is not None and level != "float":
        asked = _asked((data, *also), part, loaded.network.picture_shape, seed)
        sets = [one for one, _ in asked]
        evaluation.require_classes(sets, subject(loaded.network), outputs_of(loaded.network))
    with open_level(loaded, chosen, run=run_folder, network_class=network, port=port) as answer:
        if asked is None:
            asked = _asked((data, *also), part, answer.subject.input_shape, seed)
            sample = evaluation.judged_part(*asked[0])[1].inputs[:1]
            sets = [one for one, _ in asked]
            evaluation.require_classes(sets, answer.subject, answer(sample).shape[1])
        sizes = [len(evaluation.judged_part(one, name)[1]) for one, name in asked]
        total = sum(size if limit is None else min(size, limit) for size in sizes)
        with progress("evaluate", total * evaluation.rounds(flip, robustness)) as advance:
            results = [
                evaluation.evaluate(
                    one, answer, level=chosen, part=name, limit=limit, flip=flip,
                    robustness=robustness, seed=seed, progress=advance,
                )
                for one, name in asked
            ]  # fmt: skip
    _write(results, out, confusion)
    report: dict[str, Any] = {"network": answer.subject.name, **results[0].to_json()}
    if results[1:]:
        report["also"] = [one.to_json() for one in results[1:]]
    emit(told(results), report, as_json)


def _source(model: str | None, named: str | None, level: str, run: Path | None) -> str | None:
    """What to load; None for float weights alone, which a run has."""
    if model is None and named is None and level == "float" and run is not None:
        return None
    if (model is None) == (named is None):
        hint = "max78k evaluate fer7" if run is None else "--level float judges --run alone."
        raise InputError("E-EVALUATE-MODEL", "one model must be given.", hint)
    return model or named


def _asked(
    specs: tuple[str, ...], part: str | None, input_shape: tuple[int, ...], seed: int
) -> list[tuple[Dataset, str | None]]:
    """Data sets, and the parts of them to judge."""
    from max78k.datasets.load import load
    from max78k.flows.evaluation import judged_part

    sets = [load(one, input_shape=input_shape, seed=seed, need=()) for one in specs]
    asked = [(one, name) for one in sets for name in _parts(one, part)]
    for one, name in asked:
        judged_part(one, name)  # raises for a part that the data have not
    return asked


def _parts(dataset: Dataset, part: str | None) -> list[str | None]:
    """Names of the parts to judge."""
    if part != "each":
        return [part]
    return [name for name, split in dataset.parts().items() if len(split)]


def _write(results: list[Evaluation], out: Path | None, confusion: Path | None) -> None:
    if confusion is not None:
        from max78k.report.confusion import draw_confusions

        matrices = {f"{one.data}, {one.level}": one.scores.confusion for one in results}
        draw_confusions(confusion, matrices, results[0].class_names)
    if out is not None:
        from max78k.flows.evaluation_files import write_files

        for path in write_files(results, out):
            say(f"wrote {path}")
