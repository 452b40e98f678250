"""``max78k search``: networks and training options, under the chip's limits and a budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.options import data_option
from max78k.cli.rehearsal import NOTHING, plan_option
from max78k.cli.terminal import emit, json_option, say

if TYPE_CHECKING:
    from max78k.flows.search import Candidate, SearchOptions
    from max78k.flows.search_space import Choice


@click.command("search")
@click.option("--space", default="ferscale", show_default=True,
              help="A shipped search space, or a YAML file.")  # fmt: skip
@click.option("--network", help="Another network: a shipped one, or path/to/file.py:Class.")
@click.option("--choose", "choices", multiple=True, metavar="NAME=VALUES",
              help="width=16:64:8, learning_rate=0.01:0.2:log, bits=2,4,8 or epochs=5: an argument "
              "of the network or an option of train-qat; repeatable.")  # fmt: skip
@data_option
@click.option("--limit", type=click.IntRange(1), help="At most this many samples in each part.")
@click.option("--trials", type=click.IntRange(1), default=30, show_default=True,
              help="Candidates to train, on all machines together.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True,
              help="Epochs of each training.")  # fmt: skip
@click.option("--max-latency", type=click.FloatRange(0, min_open=True), metavar="MS",
              help="Longest estimated time of an inference, in milliseconds.")  # fmt: skip
@click.option("--max-weight-bytes", type=click.IntRange(1), help="Most bytes of weights.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/search"),
              show_default=True, help="Its folder; an existing search goes on.")  # fmt: skip
@click.option("--storage", metavar="URL",
              help="Database that machines share, such as postgresql://host/name.  "
              "[default: SQLite in --out]")  # fmt: skip
@click.option("--study", default="max78k", show_default=True, help="Its name in the database.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of choices and trainings.")
@plan_option
@json_option
def command(
    space: str,
    network: str | None,
    choices: tuple[str, ...],
    data: str,
    limit: int | None,
    trials: int,
    epochs: int,
    max_latency: float | None,
    max_weight_bytes: int | None,
    out: Path,
    storage: str | None,
    study: str,
    seed: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Search networks and training options for the best accuracy, latency and memory.

    \b
    Examples:
      max78k search --data fer2013.csv --max-latency 3 --trials 50
      max78k search --network mine.py:Net --choose width=16:64:8 --choose bits=2,4,8
      max78k search --space mine.yaml --storage postgresql://host/searches

    Each candidate is placed on the chip and timed before it trains; one that breaks a rule or the
    budget is recorded with the reason and not trained. Ctrl-C keeps what is done; the same command
    goes on, and with --storage so do others on other machines. The folder holds search.json,
    pareto.png and a run folder of each candidate.
    """
    from max78k.datasets.load import load
    from max78k.flows.search import SearchOptions, search
    from max78k.flows.search_space import SearchSpace, read_each, read_space
    from max78k.training.options import TrainOptions
    from max78k.training.registry import input_shape

    chosen = read_space(space) if network is None else SearchSpace(network)
    chosen = chosen.with_choices(read_each(choices))
    shape = input_shape(chosen.network) or (1, 48, 48)
    dataset = load(data, input_shape=shape, limit=limit)
    options = SearchOptions(
        space=chosen,
        training=TrainOptions(network=chosen.network, epochs=epochs, seed=seed),
        folder=out,
        trials=trials,
        max_microseconds=None if max_latency is None else 1000 * max_latency,
        max_weight_bytes=max_weight_bytes,
        storage=storage,
        study=study,
        seed=seed,
    )
    if dry_run:
        _show_plan(options, len(dataset.train), as_json)
        return
    found = search(options, dataset, _say)
    report = {"folder": str(out), "candidates": [asdict(candidate) for candidate in found]}
    emit(_text(out, found), report, as_json)


def _show_plan(options: SearchOptions, samples: int, as_json: bool) -> None:
    space = options.space
    choices = {name: _in_words(choice) for name, choice in
               {**space.arguments, **space.training}.items()}  # fmt: skip
    lines = [f"{options.folder}: up to {options.trials} candidates of {space.network}, "
             f"{options.training.epochs} epochs each unless chosen, {samples:,} samples to learn "
             "from"]  # fmt: skip
    lines += [f"{name}: {choice}" for name, choice in choices.items()]
    data = {"folder": str(options.folder), "network": space.network, "choices": choices,
            "trials": options.trials, "epochs": options.training.epochs,
            "train_samples": samples, "dry_run": True}  # fmt: skip
    emit("\n".join([*lines, NOTHING]), data, as_json)


def _in_words(choice: Choice) -> str:
    if isinstance(choice, tuple):
        return ", ".join(map(str, choice))
    step = f" by {choice.step}" if choice.step else ""
    return f"{choice.low} to {choice.high}{step}{' by their logarithm' if choice.log else ''}"


def _say(candidate: Candidate) -> None:
    chosen = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in {**candidate.arguments, **candidate.training}.items()
    )
    if candidate.accuracy is None:
        say(f"{candidate.number}: {chosen}: {candidate.reason}")
    else:
        say(f"{candidate.number}: {chosen}: {candidate.accuracy:.2%}, {_cost(candidate)}")


def _cost(candidate: Candidate) -> str:
    return f"{(candidate.microseconds or 0) / 1000:.2f} ms, {candidate.weight_bytes:,} bytes"


def _text(folder: Path, found: list[Candidate]) -> str:
    from max78k.report.tables import table

    best = sorted((c for c in found if c.best), key=lambda c: -(c.accuracy or 0))
    rows = [
        (
            str(c.number),
            f"{c.accuracy or 0:.2%}",
            f"{(c.microseconds or 0) / 1000:.2f}",
            f"{c.weight_bytes or 0:,}",
            " ".join(f"{name}={value}" for name, value in c.arguments.items()),
        )
        for c in best
    ]
    reasons = Counter(c.reason.split()[0] for c in found if c.accuracy is None)
    left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return (
        f"{folder}: {sum(c.accuracy is not None for c in found)} trained; best trade-offs:\n"
        + table(("number", "accuracy", "ms", "weight bytes", "network"), rows)
        + (f"\nnot trained: {left_out}" if left_out else "")
    )
