"""Searching for networks that fit the chip: candidates are placed and timed before they train."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError, Max78kError, RuleError
from max78k.files import write_text
from max78k.flows.cost import cost
from max78k.flows.search_space import Choice, Range, SearchSpace, Value
from max78k.report.pareto import Point, draw_pareto
from max78k.training.chip_limits import require_network, with_biases
from max78k.training.convert import to_network
from max78k.training.fit import train
from max78k.training.options import TrainOptions
from max78k.training.registry import build, network_name

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

# of accuracy, microseconds, weight bytes
_DIRECTIONS: tuple[Literal["maximize", "minimize"], ...] = ("maximize", "minimize", "minimize")
_FRUITLESS = 300  # candidates one after another that do not fit, after which the search gives up


@dataclass(frozen=True)
class SearchOptions:
    """A search.

    Attributes:
        space: what may be chosen.
        training: options of every training; network and folder come from the search.
        folder: candidates' run folders, ``search.json``, ``pareto.png`` and the database.
        trials: candidates to train, those of all machines and earlier calls together.
        max_microseconds: longest estimated time of an inference; None: any.
        max_weight_bytes: most bytes of weights; None: what the chip holds.
        storage: URL of a database that several machines share; None: SQLite in ``folder``.
        study: name of the search in the database.
        seed: of the choices.
    """

    space: SearchSpace
    training: TrainOptions
    folder: Path
    trials: int = 30
    max_microseconds: float | None = None
    max_weight_bytes: int | None = None
    storage: str | None = None
    study: str = "max78k"
    seed: int = 1


@dataclass(frozen=True)
class Candidate:
    """A candidate and what became of it.

    Attributes:
        number: in the study.
        arguments, training: what was chosen.
        accuracy: of the integer network on the test part; None where it was not trained.
        microseconds, weight_bytes: estimated; None where it does not fit the chip.
        reason: why it was not trained to the end; empty if it was.
        folder: its run folder on the machine that trained it.
        best: whether no other candidate is at least as good in all three and better in one.
    """

    number: int
    arguments: dict[str, Value]
    training: dict[str, Value]
    accuracy: float | None
    microseconds: float | None
    weight_bytes: int | None
    reason: str
    folder: str
    best: bool = False


Announce = Callable[[Candidate], None]


class _Unfit(Exception):
    """The candidate is not to be trained, or its training failed; says why."""


def search(
    options: SearchOptions, dataset: Dataset, announce: Announce = lambda candidate: None
) -> list[Candidate]:
    """Search until ``options.trials`` candidates of the study are trained.

    Every candidate is built, checked, placed and timed first; one that breaks a rule of the chip or
    a budget is recorded and not trained. A search that was stopped goes on where it was.

    Returns:
        All candidates of the study, in order.

    Raises:
        InputError: E-SEARCH-...; what training raises other than divergence.
        Max78kError: E-SEARCH-INTERRUPTED after Ctrl-C.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    study = _open(options)
    _require_same(study, options, dataset)
    _take_over(study)
    fruitless = 0
    while _trained(study) < options.trials:
        trial = study.ask()
        fruitless = 0 if _try(options, dataset, study, trial) else fruitless + 1
        announce(next(c for c in candidates(study) if c.number == trial.number))
        if fruitless == _FRUITLESS:
            raise InputError(
                "E-SEARCH-NOTHING",
                f"none of the last {_FRUITLESS} candidates could be trained.",
                "other ranges, or more latency or memory; search.json says why each did not fit.",
            )
        write_report(options, candidates(study))
    found = candidates(study)
    write_report(options, found)
    return found


def _try(options: SearchOptions, dataset: Dataset, study: Study, trial: Trial) -> bool:
    """Cost and, if it fits, train one candidate; True if it was trained."""
    from optuna.trial import TrialState

    try:
        trial.set_user_attr("process", [platform.node(), os.getpid()])
        values = _evaluate(options, dataset, study, trial)
    except _Unfit as reason:
        trial.set_user_attr("reason", str(reason))
        study.tell(trial, state=TrialState.PRUNED)
        return False
    except (KeyboardInterrupt, Max78kError) as error:
        study.tell(trial, state=TrialState.FAIL)
        if not (isinstance(error, KeyboardInterrupt) or "INTERRUPTED" in str(error)):
            raise
        study.enqueue_trial(trial.params)
        raise Max78kError(
            "E-SEARCH-INTERRUPTED",
            f"stopped after {_trained(study)} of {options.trials} candidates.",
            "the same command goes on.",
        ) from None
    study.tell(trial, values)
    return True


def _evaluate(
    options: SearchOptions, dataset: Dataset, study: Study, trial: Trial
) -> tuple[float, float, float]:
    space = options.space
    arguments = _suggest(trial, space.arguments)
    training = _suggest(trial, space.training)
    trial.set_user_attr("arguments", arguments)
    trial.set_user_attr("training", training)
    microseconds, weight_bytes = price(space.network, arguments, dataset)
    trial.set_user_attr("microseconds", microseconds)
    trial.set_user_attr("weight_bytes", weight_bytes)
    _require_budget(options, microseconds, weight_bytes)
    twin = _twin(study, trial)
    if twin is not None:
        raise _Unfit(f"the same as candidate {twin}")
    folder = options.folder / f"candidate-{trial.number:04}"
    trial.set_user_attr("folder", str(folder))
    chosen = space.options(replace(options.training, folder=folder), arguments, training)
    try:
        result = train(chosen, dataset)
    except InputError as error:
        if error.code != "E-TRAIN-DIVERGED":
            raise
        raise _Unfit(str(error)) from None
    return result.accuracy, microseconds, float(weight_bytes)


def price(network: str, arguments: dict[str, Value], dataset: Dataset) -> tuple[float, int]:
    """Estimated microseconds of an inference, and bytes of weights; raises _Unfit."""
    try:
        model = build(network, len(dataset.class_names), arguments=arguments)
        integers = to_network(
            model,
            name=network_name(network),
            input_shape=dataset.input_shape,
            class_names=dataset.class_names,
        )
        require_network(integers)
        spent = cost(with_biases(integers))
    except (RuleError, InputError) as error:
        if not error.code.startswith("E-RULE"):
            raise
        raise _Unfit(str(error)) from None
    return spent.microseconds, integers.weight_bytes


def _require_budget(options: SearchOptions, microseconds: float, weight_bytes: int) -> None:
    limits = (
        ("microseconds", microseconds, options.max_microseconds),
        ("weight bytes", weight_bytes, options.max_weight_bytes),
    )
    for what, value, most in limits:
        if most is not None and value > most:
            raise _Unfit(f"E-SEARCH-BUDGET {value:,.0f} {what}, at most {most:,.0f} are wanted.")


def _suggest(trial: Trial, choices: dict[str, Choice]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, choice in choices.items():
        if not isinstance(choice, Range):
            value = trial.suggest_categorical(name, choice) if choice[1:] else choice[0]
            assert value is not None
            found[name] = value
        elif choice.is_whole:
            step = int(choice.step) or 1
            low, high = int(choice.low), int(choice.high)
            found[name] = trial.suggest_int(name, low, high, step=step, log=choice.log)
        else:
            found[name] = trial.suggest_float(
                name, choice.low, choice.high, step=choice.step or None, log=choice.log
            )
    return found


# -- the study -------------------------------------------------------------------------------


def _open(options: SearchOptions) -> Study:
    try:
        import optuna
    except ImportError:
        raise InputError(
            "E-SEARCH-OPTUNA",
            "the Python package optuna is not installed.",
            "pip install 'max78k[search]'.",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = options.storage or f"sqlite:///{(options.folder / 'search.db').resolve()}"
    try:
        study = optuna.create_study(
            study_name=options.study, storage=storage, directions=_DIRECTIONS, load_if_exists=True
        )
    except Exception as error:  # whatever the database's driver raises
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            "E-SEARCH-STORAGE", f"the database {storage} cannot be opened ({reason})."
        ) from None
    # another seed for every call: those that go on or run elsewhere do not repeat the first choices
    seed = options.seed + len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)
    return study


def _require_same(study: Study, options: SearchOptions, dataset: Dataset) -> None:
    """Refuse to go on with another space, other training or other data: accuracies would differ."""
    about = {
        "space": asdict(options.space),
        "training": options.training.stored(),
        "data": [dataset.name, len(dataset.train), len(dataset.test)],
    }
    given = json.loads(json.dumps(about))
    known = study.user_attrs.setdefault("search", given)
    for what, value in given.items():
        if known.get(what) != value:
            raise InputError(
                "E-SEARCH-STUDY",
                f"the search {options.study} was begun with other {what}.",
                "the same as then, or another --study or --out.",
            )
    study.set_user_attr("search", given)


def _take_over(study: Study) -> None:
    """Try again what a process of this machine began that is no more."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        machine, process = trial.user_attrs.get("process", ("", 0))
        if machine == platform.node() and not _lives(process):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _trained(study: Study) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _twin(study: Study, trial: Trial) -> int | None:
    """Number of a trained candidate with the same choices."""
    from optuna.trial import TrialState

    for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if other.params == trial.params:
            return int(other.number)
    return None


def candidates(study: Study) -> list[Candidate]:
    """All that were decided, in order; the best ones are marked."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return mark_best([_candidate(trial) for trial in trials])


def _candidate(trial: FrozenTrial) -> Candidate:
    about = trial.user_attrs
    return Candidate(
        number=trial.number,
        arguments=about.get("arguments", {}),
        training=about.get("training", {}),
        accuracy=trial.values[0] if trial.values else None,
        microseconds=about.get("microseconds"),
        weight_bytes=about.get("weight_bytes"),
        reason=about.get("reason", ""),
        folder=about.get("folder", ""),
    )


def mark_best(found: Iterable[Candidate]) -> list[Candidate]:
    """The same with ``best`` set: the Pareto front of accuracy, time and weight bytes."""
    found = list(found)

    def goals(candidate: Candidate) -> tuple[float, float, float] | None:
        if candidate.accuracy is None:
            return None
        assert candidate.microseconds is not None and candidate.weight_bytes is not None
        return (-candidate.accuracy, candidate.microseconds, float(candidate.weight_bytes))

    reached = [goal for goal in map(goals, found) if goal is not None]

    def is_best(candidate: Candidate) -> bool:
        own = goals(candidate)
        return own is not None and not any(
            other != own and all(a <= b for a, b in zip(other, own, strict=True))
            for other in reached
        )

    return [replace(candidate, best=is_best(candidate)) for candidate in found]


def write_report(options: SearchOptions, found: list[Candidate]) -> None:
    """``search.json`` and ``pareto.png`` in the folder."""
    report = json.dumps({"candidates": [asdict(candidate) for candidate in found]}, indent=2)
    write_text(options.folder / "search.json", report + "\n")
    points = [
        Point(c.number, c.accuracy, c.microseconds, c.weight_bytes, c.best)
        for c in found
        if c.accuracy is not None and c.microseconds is not None and c.weight_bytes is not None
    ]
    if points:
        draw_pareto(options.folder / "pareto.png", points, options.max_microseconds)
