"""``max78k train-many``: many runs of one network, at random or in a grid."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.option_groups import GroupedCommand, grouped, table_options
from max78k.cli.rehearsal import NOTHING, plan_option
from max78k.cli.terminal import emit, json_option, say
from max78k.errors import InputError
from max78k.training.options import Augmentation, TrainOptions

if TYPE_CHECKING:
    from max78k.flows.many_runs import ManyOptions, PlannedRun
    from max78k.flows.plans import Plan


@click.command("train-many", cls=GroupedCommand)
@click.argument("plan_file", metavar="[PLAN.yaml]", required=False,
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--network",
              help="A shipped network, or path/to/file.py:Class.  [default: fer7]")  # fmt: skip
@click.option("--vary", "choices", multiple=True, metavar="NAME=VALUES",
              help="learning_rate=0.01:0.2:log, width=16:64:8, weight_decay=0,5e-4 or use=0.9:1.0: "
              "an option of train-qat, an argument of the network, or a usage factor; "
              "repeatable.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1), default=8, show_default=True,
              help="Runs with values drawn at random.")  # fmt: skip
@click.option("--grid", is_flag=True, help="Every combination instead.")
@click.option("--data", help="As for train-qat.  [default: the plan's, else faces]")
@click.option(
    "--add",
    multiple=True,
    metavar="NAME=DATA",
    help="Further data to learn from; its usage factors are use_NAME and changed_NAME.",
)
@click.option("--limit", type=click.IntRange(1), help="At most this many samples in each part.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/many"),
              show_default=True, help="Its folder; an unfinished one goes on.")  # fmt: skip
@plan_option
@json_option
@table_options(TrainOptions, short={"learning_rate": "--lr"})
@table_options(Augmentation)
@grouped("Machine", "--threads", type=click.IntRange(1),
         help="CPU threads; part of what resuming needs.")  # fmt: skip
def command(
    plan_file: Path | None,
    network: str | None,
    choices: tuple[str, ...],
    runs: int,
    grid: bool,
    data: str | None,
    add: tuple[str, ...],
    limit: int | None,
    out: Path,
    threads: int | None,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a network many times with other options, arguments, seeds or data.

    \b
    Examples:
      max78k train-many --vary learning_rate=0.01:0.2:log --vary weight_decay=0,5e-4 --runs 8
      max78k train-many --grid --vary mixup=0,0.2 --vary seed=1,2,3 --data fer2013.csv
      max78k train-many --vary use=0.9:1.0 --vary changed=0:0.1 --data fer2013.csv --runs 300
      max78k train-many --add ckplus=ck48.npz --vary use_ckplus=0:1:0.25 --grid --data fer.npz
      max78k train-many plan.yaml --runs 20 --out runs/plan

    Usage factors: `use` is the share of each class of the train part that is learnt from,
    `changed` the share of those pictures that get a copy by each of the 28 named changes. --seed
    chooses the values, too; runs whose seed is varied are also averaged. Every run has an ordinary
    run folder; summary.json and summary.csv list them. Ctrl-C keeps what is done, the same command
    goes on, and --runs may grow. `max78k compare` draws the runs together.
    """
    from max78k.datasets.load import load
    from max78k.flows.many_runs import ManyOptions, groups, planned_runs, run_plan
    from max78k.flows.plans import MAIN
    from max78k.training.registry import input_shape

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    plan = _plan(plan_file, network, choices, add)
    shape = input_shape(plan.space.network) or (1, 48, 48)
    main = load(data or plan.data or "faces", input_shape=shape, limit=limit)
    others = {
        name: load(spec, input_shape=shape, limit=limit, need=("train",))
        for name, spec in plan.add.items()
    }
    options = ManyOptions(plan, _training(plan, given), out, None if grid else runs)
    if dry_run:
        _show_plan(planned_runs(options, main), options, len(main.train), as_json)
        return
    done = run_plan(options, {MAIN: main, **others}, _Teller())
    if options.runs is not None and len(done) < options.runs:
        say(
            f"{len(done)} of {runs} runs: there are no more combinations; vary seed, to repeat them"
        )
    report = {
        "folder": str(out), "runs": [run.to_json() for run in done], "groups": groups(done),
    }  # fmt: skip
    emit(_text(out, done), report, as_json)


def _show_plan(
    runs: Sequence[dict[str, Any]], options: ManyOptions, samples: int, as_json: bool
) -> None:
    training, folder = options.training, options.folder
    lines = [f"{folder}: {len(runs)} runs of {training.network}, {training.epochs} epochs each "
             f"unless varied, {samples:,} samples to learn from"]  # fmt: skip
    lines += [f"run {number}: {_words(chosen)}" for number, chosen in enumerate(runs, 1)]
    data = {
        "folder": str(folder), "runs": list(runs), "epochs": training.epochs,
        "train_samples": samples, "dry_run": True,
    }  # fmt: skip
    emit("\n".join([*lines, NOTHING]), data, as_json)


def _plan(
    path: Path | None, network: str | None, choices: tuple[str, ...], add: tuple[str, ...]
) -> Plan:
    from max78k.flows.plans import Plan, read_plan
    from max78k.flows.search_space import SearchSpace, read_each

    if path is not None and network is not None:
        raise InputError("E-PLAN-FILE", f"--network beside {path}, which names one.")
    plan = Plan(SearchSpace(network or TrainOptions.network)) if path is None else read_plan(path)
    sources = {}
    for text in add:
        name, equals, spec = text.partition("=")
        if not equals:
            raise InputError("E-PLAN-SOURCE", f"{text!r} is not NAME=DATA.", "ckplus=ck48.npz")
        if name in sources:
            raise InputError("E-PLAN-SOURCE", f"{name} names two data.", "another name for one.")
        sources[name] = spec
    return plan.with_choices(read_each(choices), sources)


def _training(plan: Plan, given: dict[str, Any]) -> TrainOptions:
    known = {name: value for name, value in given.items() if value is not None}
    twice = sorted(known.keys() & plan.choices.keys() - {"seed"})  # which chooses the values, too
    if twice:
        raise InputError(
            "E-PLAN-TWICE",
            f"{twice[0]} is varied, and given as --{twice[0].replace('_', '-')}.",
            "one of both.",
        )
    pictures = {item.name for item in fields(Augmentation)} & known.keys()
    augmentation = Augmentation(**{name: known.pop(name) for name in pictures})
    return TrainOptions(network=plan.space.network, augmentation=augmentation, **known)


class _Teller:
    """Says each run when it is finished, and how long the rest may take."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self._trained = 0

    def __call__(self, run: PlannedRun, runs: int) -> None:
        now = time.monotonic()
        found = now - self._last < 1  # trained by an earlier call
        self._last = now
        self._began, self._trained = (now, 0) if found else (self._began, self._trained + 1)
        left = (runs - run.number) * (now - self._began) / max(self._trained, 1)
        rest = f", about {left / 60:.0f} min left" if self._trained and left > 90 else ""
        say(f"run {run.number} of {runs}: {_chosen(run)}: {_result(run)}{rest}")


def _chosen(run: PlannedRun) -> str:
    return _words(run.chosen)


def _words(chosen: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in chosen.items())


def _result(run: PlannedRun) -> str:
    return run.reason if run.accuracy is None else f"{run.accuracy:.2%}"


def _text(folder: Path, done: list[PlannedRun]) -> str:
    from max78k.flows.many_runs import groups
    from max78k.report.tables import table

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    best = sorted(
        (run for run in done if run.accuracy is not None), key=lambda run: -(run.accuracy or 0)
    )
    rows = []
    for run in best:
        row = run.to_json()
        figures = [share(row[name]) for name in ("float_accuracy", "integer_accuracy", "macro_f1")]
        rows.append((run.number, *figures, row["epochs"], f"{row['seconds']:.0f}", _chosen(run)))
    headers = ("run", "float", "integer", "macro F1", "epochs", "seconds", "chosen")
    lines = [f"{folder}: {len(best)} of {len(done)} runs, the best first", table(headers, rows)]
    repeated = sorted(groups(done), key=lambda group: -group["mean_accuracy"])
    if repeated:
        cells = [
            (len(one["runs"]), f"{one['mean_accuracy']:.2%}", f"{one['deviation']:.2%}",
             " ".join(f"{name}={value}" for name, value in one["chosen"].items()))
            for one in repeated
        ]  # fmt: skip
        lines += ["over seeds:", table(("runs", "mean", "deviation", "chosen"), cells)]
    lines += [f"run {run.number} failed: {run.reason}" for run in done if run.accuracy is None]
    return "\n".join(lines)
