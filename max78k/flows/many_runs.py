"""Many runs of one network by a plan; what is done is kept, and the same call goes on."""

from __future__ import annotations

import csv
import io
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from max78k.datasets.dataset import Dataset
from max78k.datasets.usage import usage_table, use
from max78k.errors import InputError, Max78kError
from max78k.files import write_text
from max78k.flows.plans import MAIN, Plan
from max78k.flows.run_records import USAGE_FILE, RunRecord, read_run
from max78k.flows.search_space import Value
from max78k.training.fit import train
from max78k.training.options import TrainOptions
from max78k.training.registry import build
from max78k.training.run_folder import RunFolder
from max78k.training.samples import fingerprint

_PLAN_FILE = "plan.json"
_FAILED_FILE = "failed.json"
_RUN = "run-"  # folder of a run, before its number
_TRIES = 1000  # draws without anything new after which there is nothing else to draw
_FIGURES = ("float_accuracy", "integer_accuracy", "macro_f1", "epochs", "seconds")


@dataclass(frozen=True)
class ManyOptions:
    """Many runs.

    Attributes:
        plan: what is varied.
        training: options of every run; the folder comes from here.
        folder: of the plan, the runs and the summary.
        runs: how many at random, or as many as can differ; None: the grid.
    """

    plan: Plan
    training: TrainOptions
    folder: Path
    runs: int | None


@dataclass(frozen=True)
class PlannedRun:
    """A run of a plan.

    Attributes:
        number: from 1.
        chosen: what was chosen for it.
        record: what it left; None where it failed.
        reason: why it failed; empty if it did not.
    """

    number: int
    chosen: Mapping[str, Value]
    record: RunRecord | None
    reason: str = ""

    @property
    def accuracy(self) -> float | None:
        """Of what the run made; None where it failed."""
        return None if self.record is None else self.record.accuracy

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        figures: dict[str, Any] = dict.fromkeys(_FIGURES)
        if self.record is not None:
            scores = self.record.scores
            figures |= {
                "float_accuracy": self.record.float_accuracy,
                "integer_accuracy": self.record.integer_accuracy,
                "macro_f1": None if scores is None else scores.macro[2],
                "epochs": len(self.record.history),
                "seconds": self.record.seconds,
            }
        return {"run": self.number, "chosen": dict(self.chosen), **figures, "reason": self.reason}


Announce = Callable[[PlannedRun, int], None]


def run_plan(
    options: ManyOptions,
    sources: Mapping[str, Dataset],
    announce: Announce = lambda run, runs: None,
) -> list[PlannedRun]:
    """Train all runs of the plan that are not finished yet.

    A run that was stopped is continued. One that diverges, or that the chip cannot hold, is
    recorded with the reason.

    Args:
        options: the plan.
        sources: data sets by name; the first is MAIN.
        announce: gets every run when it is finished or found finished, and the number of runs.

    Raises:
        InputError: E-PLAN-OTHER where the folder has another plan, E-PLAN-FILE for files in it
            that train-many did not write; what :func:`planned_runs` and training raise otherwise.
        Max78kError: E-PLAN-INTERRUPTED after Ctrl-C.
    """
    combinations = planned_runs(options, sources[MAIN])
    options.folder.mkdir(parents=True, exist_ok=True)
    _require_same(options, sources, len(combinations))
    done: list[PlannedRun] = []
    for number, chosen in enumerate(combinations, 1):
        try:
            done.append(_run(options, sources, number, chosen))
        except Max78kError as error:
            if error.code != "E-TRAIN-INTERRUPTED":
                raise
            raise Max78kError(
                "E-PLAN-INTERRUPTED",
                f"stopped after {len(done)} of {len(combinations)} runs.",
                "the same command goes on.",
            ) from None
        announce(done[-1], len(combinations))
        write_summary(options.folder, done)
    return done


def planned_runs(options: ManyOptions, dataset: Dataset) -> list[dict[str, Value]]:
    """What is chosen for each run, in order, nothing twice; all of it is checked.

    A run with the choices of another would be the same run, bit by bit.

    Args:
        options: the plan.
        dataset: the main data, whose classes the network gets.

    Raises:
        InputError: E-TRAIN-OPTION, E-USAGE-FACTOR, E-NETWORK-ARGUMENT for what no run can have.
    """
    plan, seed = options.plan, options.training.seed
    if options.runs is None:
        found = list(_different(plan.grid()))
    else:
        draws = (plan.random(seed, number) for number in itertools.count())
        found = list(itertools.islice(_different(draws), options.runs))
    arguments = {}
    for chosen in found:
        plan.factors(chosen)
        own = plan.options(options.training, chosen)
        arguments[json.dumps(own.network_arguments)] = own.network_arguments
    for one in arguments.values():
        build(plan.space.network, len(dataset.class_names), dataset.input_shape, arguments=one)
    return found


def _different(runs: Iterable[dict[str, Value]]) -> Iterator[dict[str, Value]]:
    """Each combination when it comes first, until nothing new comes."""
    seen: set[str] = set()
    missed = 0
    for chosen in runs:
        key = json.dumps(chosen)
        missed = missed + 1 if key in seen else 0
        if not missed:
            seen.add(key)
            yield chosen
        elif missed == _TRIES:
            return


def _run(
    options: ManyOptions, sources: Mapping[str, Dataset], number: int, chosen: dict[str, Value]
) -> PlannedRun:
    folder = RunFolder(options.folder / f"{_RUN}{number:04}")
    failed = folder.path / _FAILED_FILE
    if folder.summary.is_file():
        return PlannedRun(number, chosen, read_run(folder.path))
    if failed.is_file():
        return PlannedRun(number, chosen, None, str(_stored(failed).get("reason")))
    own = options.plan.options(replace(options.training, folder=folder.path), chosen)
    own = replace(own, resume=folder.last.is_file())
    try:
        train(own, _data(options.plan, sources, chosen, own))
    except InputError as error:
        if error.code != "E-TRAIN-DIVERGED" and not error.code.startswith("E-RULE"):
            raise
        write_text(failed, json.dumps({"chosen": chosen, "reason": str(error)}, indent=2) + "\n")
        return PlannedRun(number, chosen, None, str(error))
    return PlannedRun(number, chosen, read_run(folder.path))


def _data(
    plan: Plan, sources: Mapping[str, Dataset], chosen: dict[str, Value], options: TrainOptions
) -> Dataset:
    """What a run learns from; usage.json and usage.csv in its folder say what that is."""
    if not plan.usage and len(sources) == 1:
        return sources[MAIN]
    dataset, taken = use(sources, plan.factors(chosen), options.seed)
    content = {
        "factors": {name: value for name, value in chosen.items() if name in plan.usage},
        "sources": [one.to_json() for one in taken],
    }
    write_text(options.folder / USAGE_FILE, json.dumps(content, indent=2) + "\n")
    write_text(options.folder / "usage.csv", usage_table(taken, dataset.class_names))
    return dataset


def _require_same(options: ManyOptions, sources: Mapping[str, Dataset], runs: int) -> None:
    """Refuse to go on with another plan, other training or other data, or with fewer runs."""
    path = options.folder / _PLAN_FILE
    about = {
        "plan": options.plan.stored(),
        "training": options.training.stored(),
        "kind": "grid" if options.runs is None else "random",
        "data": {name: [one.name, fingerprint(one)] for name, one in sources.items()},
    }
    given = json.loads(json.dumps(about))
    begun = len(list(options.folder.glob(f"{_RUN}*")))
    known = _stored(path) if begun and path.is_file() else given
    other = [what for what, value in given.items() if known.get(what) != value]
    if begun > runs:
        other.append(f"number of runs, {begun}")
    if other:
        raise InputError(
            "E-PLAN-OTHER",
            f"the runs in {options.folder} were begun with another {other[0]}.",
            "the same as then (only --runs may grow), or another --out.",
        )
    write_text(path, json.dumps(given, indent=2) + "\n")


def _stored(path: Path) -> dict[str, Any]:
    """Content of a file that an earlier call wrote."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(
            "E-PLAN-FILE", f"{path} is not what train-many wrote ({error}).", "another --out."
        ) from None
    return content if isinstance(content, dict) else {}


# -- the summary -----------------------------------------------------------------------------


def groups(done: list[PlannedRun]) -> list[dict[str, Any]]:
    """Runs that differ in their seed alone: how many, mean and standard deviation of accuracy.

    Empty where no two of them do.
    """
    found: defaultdict[str, list[PlannedRun]] = defaultdict(list)
    for run in done:
        if run.accuracy is not None:
            found[json.dumps({n: v for n, v in run.chosen.items() if n != "seed"})].append(run)
    if all(len(runs) == 1 for runs in found.values()):
        return []
    return [
        {
            "chosen": json.loads(key),
            "runs": [run.number for run in runs],
            "mean_accuracy": statistics.fmean(run.accuracy or 0.0 for run in runs),
            "deviation": statistics.stdev(run.accuracy or 0.0 for run in runs) if runs[1:] else 0.0,
        }
        for key, runs in found.items()
    ]


def write_summary(folder: Path, done: list[PlannedRun]) -> None:
    """``summary.json`` and ``summary.csv``, a line for each run."""
    rows = [run.to_json() for run in done]
    content = json.dumps({"runs": rows, "groups": groups(done)}, indent=2)
    write_text(folder / "summary.json", content + "\n")
    names = list(done[0].chosen)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("run", *names, *_FIGURES, "reason"))
    for row in rows:
        cells = ["" if row[name] is None else row[name] for name in _FIGURES]
        writer.writerow(
            (row["run"], *(row["chosen"][name] for name in names), *cells, row["reason"])
        )
    write_text(folder / "summary.csv", text.getvalue())
