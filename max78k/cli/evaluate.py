"""``max78k evaluate``: how good a network's answers on a data set are, at any level."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.options import data_option, port_option, seed_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError

if TYPE_CHECKING:
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
    type=click.Choice(("train", "test", "final", "all")),
    help="Of the data. Default: test, else final; all of data that name no parts.",
)
@click.option("--limit", type=click.IntRange(1), help="At most this many samples.")
@click.option("--flip", is_flag=True, help="Also average each picture with its mirror.")
@click.option("--robustness", is_flag=True, help="Also noise of 0.05, 0.1, 0.2; 16x16 occlusion.")
@click.option(
    "--run", "run_folder", type=click.Path(path_type=Path), help="Training run, for --level float."
)
@click.option("--network", help="With --run: the network's class, path/to/file.py:Class.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for report.json, confusion.png, answers and mistakes as CSV and pictures.",
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
      max78k evaluate --level float --run runs/reference --data fer2013.csv
      max78k evaluate --model fer7 --data final.npz --level integer --json

    Pictures of the test or final part that also stand in the train part are counted, and the
    accuracy without them is given beside the other. A network of ordinary layers has no integers:
    its run is judged without MODEL, at the level float.
    """
    from max78k.datasets.load import load
    from max78k.flows import evaluation
    from max78k.flows.models import load_model

    floats_alone = model is None and named is None and level == "float" and run_folder is not None
    if (model is None) == (named is None) and not floats_alone:
        raise InputError("E-EVALUATE-MODEL", "one model must be given.", "max78k evaluate fer7")
    loaded = None if floats_alone else load_model(model or named or "")
    if loaded is None:
        judged = evaluation.Judged.of_run(run_folder or Path(), network)
    else:
        judged = evaluation.Judged.of_model(loaded)
    sets = [load(one, input_shape=judged.input_shape, seed=seed, need=()) for one in (data, *also)]
    samples = sum(len(evaluation.judged_part(one, part)[1]) for one in sets)
    total = min(samples, limit * len(sets) if limit else samples)
    chosen = next(one for one in evaluation.LEVELS if one == level)
    with (
        progress("evaluate", total * evaluation.rounds(flip, robustness)) as advance,
        evaluation.open_level(
            loaded, chosen, run=run_folder, network_class=network, port=port
        ) as answer,
    ):
        results = [
            evaluation.evaluate(
                judged, one, answer, level=chosen, part=part, limit=limit, flip=flip,
                robustness=robustness, seed=seed, progress=advance,
            )
            for one in sets
        ]  # fmt: skip
    _write(results, out, confusion)
    report: dict[str, Any] = {"network": judged.name, **results[0].to_json()}
    if also:
        report["also"] = [one.to_json() for one in results[1:]]
    emit("\n\n".join(map(_text, results)), report, as_json)


def _write(results: list[Evaluation], out: Path | None, confusion: Path | None) -> None:
    if len({one.class_names for one in results}) > 1:
        raise InputError(
            "E-EVALUATE-CLASSES",
            f"{results[0].data} and {results[1].data} have other classes.",
            "`max78k data convert --classes` maps classes.",
        )
    if confusion is not None:
        from max78k.report.confusion import draw_confusions

        matrices = {f"{one.data}, {one.level}": one.scores.confusion for one in results}
        draw_confusions(confusion, matrices, results[0].class_names)
    if out is not None:
        from max78k.flows.evaluation_files import write_files

        for path in write_files(results, out):
            say(f"wrote {path}")


def _text(result: Evaluation) -> str:
    from max78k.report import tables

    lines = [
        f"{result.data}, {result.part} part, {result.level} level, "
        f"{tables.seconds(result.seconds / len(result.split))} per sample here",
        tables.scores_table(result.scores, result.class_names),
    ]
    mistakes = result.top_confusions(5)
    if mistakes:
        said = ", ".join(f"{true} as {answer} ({number})" for true, answer, number in mistakes)
        lines.append(f"most frequent mistakes: {said}")
    if result.repeats is not None and result.accuracy_without_repeats is not None:
        lines.append(
            f"{int(result.repeats.sum())} samples also stand in the train part; without them "
            f"{tables.percent(result.accuracy_without_repeats, 2)}"
        )
    if result.flip_accuracy is not None:
        lines.append(f"with the mirrored pictures: {tables.percent(result.flip_accuracy, 2)}")
    for kind, share in result.robustness.items():
        lines.append(f"{kind}: {tables.percent(share, 2)}")
    return "\n".join(lines)
