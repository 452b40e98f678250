"""Searches: what does not fit is not trained, what was stopped goes on, the best are the front."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.datasets.dataset import Dataset, Split
from max78k.errors import InputError, Max78kError
from max78k.flows import search as flow
from max78k.flows.search import Candidate, SearchOptions, mark_best, search
from max78k.flows.search_space import Range, SearchSpace, read_choice, read_space
from max78k.training.options import Augmentation, TrainOptions
from max78k.training.registry import build

pytest.importorskip("optuna", reason="searches need optuna")

NETWORK = """
from torch import nn
from max78k.training.layers import Conv2d, Linear


class Net(nn.Sequential):
    input_shape = (1, 8, 8)

    def __init__(self, classes: int, width: int = 4, bits: int = 8) -> None:
        super().__init__(Conv2d(1, width), Conv2d(width, 4, pool=2, bits=bits), Linear(64, classes))
"""


DEEP = """
from torch import nn
from max78k.training.layers import Conv2d, Linear


class Net(nn.Sequential):
    input_shape = (1, 8, 8)

    def __init__(self, classes: int, depth: int) -> None:
        layers = [Conv2d(60, 60, bias=False) for _ in range(depth)]
        super().__init__(
            Conv2d(1, 60, pool=8, bias=False), *layers, Linear(60, classes, bias=False)
        )
"""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    dice = np.random.default_rng(0)
    labels = dice.integers(0, 2, 64)
    inputs = (dice.integers(0, 99, (64, 1, 8, 8)) + 120 * labels[:, None, None, None]).astype(
        np.uint8
    )
    split = Split(inputs, labels)
    return Dataset("bright", ("dark", "bright"), split, split)


@pytest.fixture
def options(tmp_path: Path) -> SearchOptions:
    path = tmp_path / "net.py"
    path.write_text(NETWORK)
    space = SearchSpace(
        f"{path}:Net",
        {"width": Range(4, 12, 4), "bits": (2, 8)},
        {"learning_rate": Range(0.01, 0.1, log=True)},
    )
    training = TrainOptions(
        epochs=2, qat_epochs=1, batch_size=16, augmentation=Augmentation(flip=False)
    )
    return SearchOptions(space, training, tmp_path / "search", trials=3)


def test_candidates_are_priced_trained_and_reported(options, dataset):
    seen: list[Candidate] = []
    found = search(options, dataset, seen.append)
    trained = [c for c in found if c.accuracy is not None]
    assert len(trained) == 3 and [c.number for c in seen] == [c.number for c in found]
    for candidate in trained:
        width, bits = candidate.arguments["width"], candidate.arguments["bits"]
        assert candidate.weight_bytes == width * 9 + width * 4 * 9 * bits // 8 + 64 * 2
        assert candidate.microseconds > 10
        summary = json.loads((Path(candidate.folder) / "run.json").read_text())
        assert summary["metrics"]["integer_accuracy"] == candidate.accuracy
        assert summary["options"]["learning_rate"] == candidate.training["learning_rate"]
        assert summary["options"]["network_arguments"] == candidate.arguments
    report = json.loads((options.folder / "search.json").read_text())["candidates"]
    assert [row["number"] for row in report] == [c.number for c in found]
    assert sum(row["best"] for row in report) >= 1
    assert (options.folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"


def test_what_breaks_a_rule_or_the_budget_is_recorded_and_not_trained(
    options, dataset, monkeypatch
):
    arguments = {"width": (4, 2000), "bits": (2, 8)}
    space = replace(options.space, arguments=arguments)
    slow = flow.price(space.network, {"width": 4, "bits": 8}, dataset)[0]
    found = search(replace(options, space=space, trials=2, max_weight_bytes=250), dataset)
    for candidate in found:
        if candidate.arguments["width"] == 2000:
            assert candidate.reason.startswith("E-RULE") and candidate.microseconds is None
        elif candidate.arguments["bits"] == 8:
            assert "E-SEARCH-BUDGET 308 weight bytes" in candidate.reason
        if candidate.accuracy is None:
            assert not candidate.folder or "same as" in candidate.reason
    monkeypatch.setattr(flow, "_FRUITLESS", 4)
    tight = replace(options, folder=options.folder / "tight", max_microseconds=slow / 10)
    with pytest.raises(InputError, match="E-SEARCH-NOTHING none of the last 4"):
        search(tight, dataset)
    rows = json.loads((tight.folder / "search.json").read_text())["candidates"]
    assert rows and all("microseconds, at most" in row["reason"] for row in rows)


def test_room_is_counted_for_weights_that_are_still_zero(dataset, tmp_path):
    """Thirteen layers of 60 columns on 60 processors, which have 768."""
    path = tmp_path / "deep.py"
    path.write_text(DEEP)
    price = flow.price(f"{path}:Net", {"depth": 3}, dataset)
    assert price[1] == 9 * 60 + 3 * 9 * 60 * 60 + 2 * 60
    with pytest.raises(flow._Unfit, match="E-RULE-KERNEL-FIT"):
        flow.price(f"{path}:Net", {"depth": 13}, dataset)


def test_an_interrupted_search_goes_on_with_the_same_candidate(options, dataset, monkeypatch):
    calls = []

    def interrupted(chosen, data, **rest):
        calls.append(chosen)
        if len(calls) == 2:
            raise Max78kError("E-TRAIN-INTERRUPTED", "stopped.")
        return train(chosen, data, **rest)

    train = flow.train
    monkeypatch.setattr(flow, "train", interrupted)
    with pytest.raises(Max78kError, match="E-SEARCH-INTERRUPTED stopped after 1 of 3"):
        search(options, dataset)
    found = search(options, dataset)
    assert sum(c.accuracy is not None for c in found) == 3
    stopped, again = calls[1], calls[2]
    assert stopped.network_arguments == again.network_arguments
    assert stopped.learning_rate == again.learning_rate
    assert len(calls) == 4
    assert search(options, dataset) == found and len(calls) == 4  # nothing is left to do


def test_what_a_dead_process_began_is_tried_again(options, dataset, monkeypatch):
    def dies(chosen, data, **rest):
        raise SystemExit

    train = flow.train
    monkeypatch.setattr(flow, "train", dies)
    with pytest.raises(SystemExit):
        search(options, dataset)
    begun = []

    def recorded(chosen, data, **rest):
        begun.append(chosen)
        return train(chosen, data, **rest)

    monkeypatch.setattr(flow, "train", recorded)
    found = search(options, dataset)
    assert sum(c.accuracy is not None for c in found) == 3
    assert found[0].number > 0  # the first one failed and has a successor
    assert begun[0].network_arguments == found[0].arguments


def test_a_search_does_not_go_on_with_something_else(options, dataset):
    search(replace(options, trials=1), dataset)
    longer = replace(options, training=replace(options.training, epochs=3))
    wider = replace(options, space=options.space.with_choices({"width": (4, 8)}))
    for other, what in ((longer, "training"), (wider, "space")):
        with pytest.raises(InputError, match=f"E-SEARCH-STUDY .* other {what}"):
            search(other, dataset)
    with pytest.raises(InputError, match="E-SEARCH-STORAGE"):
        search(replace(options, storage="nothing://here"), dataset)


def test_the_front_holds_what_nothing_dominates():
    rows = [(0.9, 10.0, 100), (0.8, 10.0, 100), (0.8, 5.0, 200), (0.9, 12.0, 90), (None, 1.0, 1)]
    found = [Candidate(n, {}, {}, a, us, b, "", "") for n, (a, us, b) in enumerate(rows)]
    assert [c.best for c in mark_best(found)] == [True, False, True, True, False]


def test_shipped_spaces_name_a_network_and_fit_it():
    space = read_space("ferscale")
    for name, choice in space.arguments.items():
        for value in choice if isinstance(choice, tuple) else (choice.low, choice.high):
            build(space.network, 7, arguments={name: value})


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("width=16:64:8", Range(16, 64, 8)),
        ("rate=0.01:0.2:log", Range(0.01, 0.2, 0, True)),
        ("depth=1:3", Range(1, 3)),
        ("bits=2,4,8", (2, 4, 8)),
        ("optimizer=sgd,adamw", ("sgd", "adamw")),
        ("flip=true", (True,)),
    ],
)
def test_choices_are_read_from_text(text, choice):
    assert read_choice(text) == (text.partition("=")[0], choice)


@pytest.mark.parametrize(
    "text", ["width", "=3", "a=1:2:3:4", "a=9:1", "a=0:1:log", "a=x:y", "a=[1]", "a="]
)
def test_bad_choices_are_refused(text):
    with pytest.raises(InputError, match="E-SEARCH-SPACE"):
        read_choice(text)


@pytest.mark.parametrize(
    "content",
    [
        "network: ferscale\narguments: {wide: [1]}",
        "network: ferscale\ntraining: {rate: [1]}",
        "network: ferscale\narguments: {width: {low: 3}}",
        "network: ferscale\nwidth: 3",
        "arguments: {width: [3]}",
        "network: ferscale\narguments: [width]",
    ],
)
def test_bad_spaces_are_refused(tmp_path, content):
    path = tmp_path / "space.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match="E-SEARCH-SPACE"):
        read_space(str(path))
    with pytest.raises(InputError, match="E-SEARCH-SPACE there is no search space nothing"):
        read_space("nothing")
