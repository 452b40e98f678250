"""Many runs and comparisons: the plan decides, what is done stays, differences are differences."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.named_augmentations import CHANGES
from max78k.datasets.usage import Factors, use
from max78k.errors import InputError, Max78kError
from max78k.flows import comparison, many_runs
from max78k.flows.many_runs import ManyOptions, groups, run_plan
from max78k.flows.plans import MAIN, Plan, read_plan
from max78k.flows.run_records import find_runs, unfinished
from max78k.flows.search_space import Range, SearchSpace, read_choice
from max78k.training.options import TrainOptions

NETWORK = """
from torch import nn
from max78k.training.layers import Conv2d, Linear


class Net(nn.Sequential):
    input_shape = (1, 8, 8)

    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__(Conv2d(1, width, pool=2), Linear(width * 16, classes))
"""


def bright(count: int, seed: int = 0) -> Split:
    dice = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    noise = dice.integers(0, 99, (count, 1, 8, 8))
    inputs = (noise + 120 * labels[:, None, None, None]).astype(np.uint8)
    return Split(inputs, labels, origin=np.arange(count))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset("bright", ("dark", "light"), bright(60), bright(20, 1))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("network") / "net.py"
    path.write_text(NETWORK)
    return f"{path}:Net"


BASE = TrainOptions(epochs=2, qat_epochs=1, batch_size=16, seed=3)


def options(network: str, folder: Path, runs: int | None, *choices: str) -> ManyOptions:
    plan = Plan(SearchSpace(network)).with_choices(dict(map(read_choice, choices)), {})
    return ManyOptions(plan, replace(BASE, network=network), folder, runs)


def test_a_grid_is_every_combination_and_a_range_needs_steps(network, tmp_path):
    plan = options(network, tmp_path, None, "width=4:12:4", "mixup=0,5e-1", "use=0.5:1:0.25").plan
    grid = plan.grid()
    assert len(grid) == 3 * 2 * 3 and len({tuple(one.items()) for one in grid}) == 18
    assert grid[0] == {"width": 4, "mixup": 0.0, "use": 0.5}
    assert grid[-1] == {"width": 12, "mixup": 0.5, "use": 1.0}
    with pytest.raises(InputError, match=r"E-PLAN-GRID learning_rate"):
        options(network, tmp_path, None, "learning_rate=0.01:0.1").plan.grid()


def test_random_values_cover_their_ranges_and_repeat(network, tmp_path):
    plan = options(network, tmp_path, 1, "learning_rate=1e-3:1:log", "width=4:64:4").plan
    drawn = [plan.random(5, number) for number in range(200)]
    assert drawn == [plan.random(5, number) for number in range(200)]
    assert drawn[:20] != [plan.random(6, number) for number in range(20)]
    rates = np.array([one["learning_rate"] for one in drawn])
    assert 0.001 <= rates.min() < 0.003 and 0.3 < rates.max() <= 1
    assert 0.35 < (rates < 10**-1.5).mean() < 0.65  # evenly by the logarithm
    assert {one["width"] for one in drawn} == set(range(4, 65, 4))


@pytest.mark.parametrize(
    ("choice", "code"),
    [("depth=3", "E-SEARCH-SPACE"), ("use_other=1", "E-SEARCH-SPACE"),
     ("epochs=2.5", "E-SEARCH-SPACE"), ("flip=3", "E-SEARCH-SPACE"),
     ("milestones=0.5", "E-SEARCH-SPACE"), ("use=1.5", "E-USAGE-FACTOR"),
     ("use=half", "E-USAGE-FACTOR"), ("mixup=99", "E-TRAIN-OPTION")],
)  # fmt: skip
def test_impossible_choices_are_refused(network, dataset, tmp_path, choice, code):
    with pytest.raises(InputError, match=code):
        run_plan(options(network, tmp_path / "many", 1, choice), {MAIN: dataset})


def test_usage_factors_take_shares_of_classes_and_make_copies_of_them_alone():
    main = Dataset("a", ("dark", "light"), bright(60), bright(20, 1))
    other = Dataset("b", ("light", "dark"), bright(40, 2), bright(10, 3))
    mixed, taken = use(
        {"main": main, "other": other}, {"main": Factors(0.5, 0.1), "other": Factors(0.25)}, 7
    )
    assert mixed.test is main.test
    used = taken[0].split
    originals = [n for n, change in enumerate(taken[0].made) if not change]
    assert len(originals) == 30 and used.labels[originals].tolist().count(0) == 15
    assert len(used) == 30 + 28 * 3 and set(taken[0].made) == {"", *CHANGES}
    assert set(used.origin) == set(used.origin[originals])  # copies are of what is used
    assert np.array_equal(used.inputs[originals], main.train.inputs[used.origin[originals]])
    small = use({"main": main}, {"main": Factors(0.2)}, 7)[1][0].split.origin
    assert set(small) < set(used.origin)  # a smaller share is part of a greater one
    assert taken[1].to_json() == {
        "source": "other", "use": 0.25, "changed": 0.0, "available": 40, "used": 10, "copies": 0,
    }  # fmt: skip
    assert len(mixed.train) == 114 + 10
    dark = mixed.train.inputs[-10:][mixed.train.labels[-10:] == 0]
    assert (dark.mean((1, 2, 3)) > 100).all()  # its class 1 is called "dark": names count
    with pytest.raises(InputError, match="E-USAGE-EMPTY"):
        use({"main": main}, {"main": Factors(0.0)}, 7)
    alien = replace(other, class_names=("cat", "dog"))
    with pytest.raises(InputError, match="E-USAGE-CLASSES"):
        use({"main": main, "alien": alien}, {}, 7)


def test_runs_are_kept_continued_and_summed_up(network, dataset, tmp_path, monkeypatch):
    out = tmp_path / "many"
    plan = options(network, out, None, "use=0.5,1", "seed=3,4")
    real, calls = many_runs.train, []

    def train(own, data):
        calls.append((own.folder.name, own.resume, len(data.train)))
        if len(calls) == 2:  # after the first epoch
            real(replace(own, epochs=2), data, progress=_stop_after_an_epoch)
        return real(own, data)

    monkeypatch.setattr(many_runs, "train", train)
    with pytest.raises(Max78kError, match=r"E-PLAN-INTERRUPTED.* 1 of 4"):
        run_plan(plan, {MAIN: dataset})
    seen = []
    done = run_plan(plan, {MAIN: dataset}, lambda run, runs: seen.append((run.number, runs)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [call[:2] for call in calls] == [
        ("run-0001", False), ("run-0002", False), ("run-0002", True), ("run-0003", False),
        ("run-0004", False),
    ]  # fmt: skip
    assert [call[2] for call in calls] == [30, 60, 60, 30, 60]
    assert [dict(run.chosen) for run in done] == plan.plan.grid()
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["use"] for row in rows] == ["0.5", "1", "0.5", "1"]
    assert [float(row["integer_accuracy"]) for row in rows] == [run.accuracy for run in done]
    used = list(csv.DictReader((out / "run-0001" / "usage.csv").open()))
    assert len(used) == 30 and {row["class"] for row in used} == {"dark", "light"}
    averaged = groups(done)
    assert [one["runs"] for one in averaged] == [[1, 3], [2, 4]]
    mean = (done[0].accuracy + done[2].accuracy) / 2
    assert averaged[0]["mean_accuracy"] == pytest.approx(mean)
    other = options(network, out, None, "use=0.5,0.75", "seed=3,4")
    with pytest.raises(InputError, match=r"E-PLAN-OTHER.*another plan"):
        run_plan(other, {MAIN: dataset})


def _stop_after_an_epoch(state):
    if state.row is not None:
        raise KeyboardInterrupt


def test_a_diverging_run_is_recorded_and_the_rest_goes_on(network, dataset, tmp_path):
    out = tmp_path / "many"
    plan = options(network, out, None, "learning_rate=100,0.05", "optimizer=sgd")
    plan = replace(plan, training=replace(plan.training, warm_up=0.0, batch_size=4, epochs=3))
    done = run_plan(plan, {MAIN: dataset})
    again = run_plan(plan, {MAIN: dataset})
    failed = [run for run in again if run.accuracy is None]
    assert [run.reason for run in done] == [run.reason for run in again]
    assert done[1].accuracy is not None
    for run in failed:
        assert run.reason.startswith("E-TRAIN-DIVERGED")
    summary = json.loads((out / "summary.json").read_text())["runs"]
    assert [row["reason"] for row in summary] == [run.reason for run in done]


def test_a_plan_is_a_file(network, tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(
        f"network: {network}\narguments: {{width: [4, 8]}}\n"
        "training: {learning_rate: {low: 1e-3, high: 0.1, log: true}}\n"
        "usage: {use: {low: 0.9, high: 1}, changed_ck: [0, 0.1]}\n"
        "data: fer.csv\nadd: {ck: ck/}\n"
    )
    plan = read_plan(path)
    assert plan.choices["learning_rate"] == Range(0.001, 0.1, log=True)
    assert (plan.data, plan.add) == ("fer.csv", {"ck": "ck/"})
    factors = plan.factors(plan.random(1, 0))
    assert factors["ck"].use == 1.0 and 0.9 <= factors[MAIN].use <= 1
    path.write_text("network: fer7\nusage: {changed_ck: 1}\n")
    with pytest.raises(InputError, match="E-SEARCH-SPACE usage: there is no changed_ck"):
        read_plan(path)


@pytest.fixture(scope="module")
def runs(network, dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "many"
    run_plan(options(network, out, None, "label_smoothing=0,0.2", "use=0.5,1"), {MAIN: dataset})
    return out


def test_differences_are_those_to_the_reference(runs):
    records = find_runs(runs)
    reference = comparison.reference_run(records[0])
    found = comparison.compare(records, reference)
    by_name = {one.record.name: one for one in found}
    assert by_name["run-0001"].options == {} and by_name["run-0001"].likeness == 0
    assert by_name["run-0002"].options == {"use": (1, 0.5)}
    assert by_name["run-0004"].options == {"label_smoothing": (0.2, 0.0), "use": (1, 0.5)}
    for one in found:
        part = comparison.TEST_PART
        assert one.accuracy[part] == pytest.approx(one.record.accuracy - records[0].accuracy)
        own, base = (comparison.shares(r.scores.confusion) for r in (one.record, records[0]))
        assert one.likeness == pytest.approx(((own - base) ** 2).mean())
    accuracies = [one.record.accuracy for one in found]
    assert accuracies == sorted(accuracies, reverse=True)
    alike = comparison.compare(records, reference, sort="likeness")
    assert alike[0].likeness == 0


def test_other_data_are_measured_with_the_stored_networks(runs, dataset):
    record = find_runs(runs)[0]
    assert comparison.measured(record)[comparison.TEST_PART].accuracy == record.accuracy
    again = comparison.measured(record, [replace(dataset, name="again")])["again"]
    assert np.array_equal(again.confusion, record.scores.confusion)
    with pytest.raises(InputError, match="E-COMPARE-DATA"):
        comparison.measured(record, [dataset, dataset])


def test_matrices_can_be_the_reference(runs, tmp_path):
    records = find_runs(runs)
    path = tmp_path / "original.csv"
    path.write_text(",light,dark\nlight,0.9,0.1\ndark,0.25,0.75\n")
    part, names = [comparison.TEST_PART], records[0].class_names
    reference = comparison.reference_matrices([path], part, names)
    assert np.allclose(reference.matrices[part[0]], [[0.75, 0.25], [0.1, 0.9]])
    found = comparison.compare(records, reference, sort="likeness")
    assert found[0].accuracy == {} and found[0].likeness <= found[-1].likeness
    assert {"use", "label_smoothing"} == set(found[0].options)  # what differs among the runs
    path.write_text("light,dark\n1,2\n")
    with pytest.raises(InputError, match="E-COMPARE-MATRIX"):
        comparison.reference_matrices([path], part, names)


def test_a_folder_without_a_finished_run_says_so(tmp_path, runs):
    with pytest.raises(InputError, match="E-RUN-MISSING"):
        find_runs(tmp_path)
    (tmp_path / "run.json").write_text('{"options": 3}')
    with pytest.raises(InputError, match="E-RUN-FILE"):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    ("choices", "code"),
    [(["mixup=0,99"], "E-TRAIN-OPTION"), (["loss=cosine,angle"], "E-TRAIN-OPTION"),
     (["use=1,1.5"], "E-USAGE-FACTOR"), (["width=4,many"], "E-NETWORK-ARGUMENT"),
     (["epochs=2,1", "qat_epochs=2"], "E-TRAIN-OPTION")],
)  # fmt: skip
def test_all_choices_are_checked_before_the_first_run(network, dataset, tmp_path, choices, code):
    out = tmp_path / "many"
    plan = options(network, out, None, *choices)
    with pytest.raises(InputError, match=code):
        many_runs.planned_runs(plan, dataset)
    with pytest.raises(InputError, match=code):
        run_plan(plan, {MAIN: dataset})
    assert not out.exists()


def test_no_combination_is_trained_twice(network, dataset, tmp_path):
    grid = options(network, tmp_path, None, "width=4,8,4", "mixup=0,0.0")
    assert many_runs.planned_runs(grid, dataset) == [
        {"width": 4, "mixup": 0.0}, {"width": 8, "mixup": 0.0}
    ]  # fmt: skip
    drawn = many_runs.planned_runs(options(network, tmp_path, 9, "width=4,8,12"), dataset)
    assert sorted(one["width"] for one in drawn) == [4, 8, 12]
    fewer = many_runs.planned_runs(options(network, tmp_path, 2, "width=4,8,12"), dataset)
    assert fewer == drawn[:2]


def test_a_folder_of_runs_goes_on_with_its_data_and_not_with_fewer(network, dataset, tmp_path):
    out = tmp_path / "many"
    plan = options(network, out, None, "width=4,5")
    other = Dataset(dataset.name, dataset.class_names, bright(60, 7), dataset.test)
    out.mkdir()
    (out / "plan.json").write_text('{"plan": "of a call that trained nothing"}')
    run_plan(plan, {MAIN: dataset})
    with pytest.raises(InputError, match=r"E-PLAN-OTHER.*another data"):
        run_plan(plan, {MAIN: other})
    fewer = replace(plan, plan=options(network, out, None, "width=4").plan)
    with pytest.raises(InputError, match=r"E-PLAN-OTHER"):
        run_plan(fewer, {MAIN: dataset})
    drawn = options(network, tmp_path / "drawn", 2, "width=4:64")
    run_plan(drawn, {MAIN: dataset})
    with pytest.raises(InputError, match=r"E-PLAN-OTHER.*number of runs, 2"):
        run_plan(replace(drawn, runs=1), {MAIN: dataset})


@pytest.mark.parametrize("name", ["plan.json", "run-0001/failed.json"])
def test_broken_files_of_a_plan_are_named(network, dataset, tmp_path, name):
    out = tmp_path / "many"
    plan = options(network, out, None, "width=4")
    (out / "run-0001").mkdir(parents=True)
    (out / name).write_text("{")
    with pytest.raises(InputError, match=rf"E-PLAN-FILE .*{name}"):
        run_plan(plan, {MAIN: dataset})


def _altered(run: Path, copy: Path, **changes) -> Path:
    """A copy of a run with other metrics, or another checksum of its test part."""
    shutil.copytree(run, copy)
    content = json.loads((copy / "run.json").read_text())
    content["dataset"]["test_crc32"] = changes.pop("test_crc32", content["dataset"]["test_crc32"])
    content["metrics"] |= changes
    (copy / "run.json").write_text(json.dumps(content))
    return copy


def test_runs_are_compared_class_by_class_whatever_their_order(runs, tmp_path):
    records = find_runs(runs)
    reference = comparison.reference_run(records[0])
    shares = dict(reversed(records[1].metrics["class_accuracy"].items()))
    turned = _altered(
        runs / "run-0002", tmp_path / "turned", class_accuracy=shares,
        confusion=np.array(records[1].metrics["confusion"])[::-1, ::-1].tolist(),
    )  # fmt: skip
    pair = [records[1], *find_runs(turned)]
    first, second = comparison.compare(pair, reference, sort="likeness")
    assert first.likeness == second.likeness
    part = comparison.TEST_PART
    assert np.array_equal(first.scores[part].confusion, second.scores[part].confusion)
    numbered = _altered(runs / "run-0002", tmp_path / "n", class_accuracy={"0": 1, "1": 0})
    assert comparison.compare(find_runs(numbered), reference)[0].likeness == first.likeness
    other = _altered(runs / "run-0002", tmp_path / "other", class_accuracy={"cat": 1, "dog": 0})
    with pytest.raises(InputError, match=r"E-COMPARE-CLASSES .*other knows cat, dog; run-0001"):
        comparison.compare(find_runs(other), reference)


def test_runs_of_one_name_are_told_apart(runs, tmp_path, monkeypatch):
    shutil.copytree(runs, tmp_path / "x" / "many")
    shutil.copytree(runs / "run-0001", tmp_path / "y" / "many" / "run-0001")
    shutil.copytree(runs / "run-0001", tmp_path / "single")
    records = [one for name in ("x/many", "y/many", "single") for one in find_runs(tmp_path / name)]
    names = set(comparison.labels(records).values())
    assert {"x/many/run-0001", "y/many/run-0001", "run-0002", "single"} < names and len(names) == 6
    reference = comparison.reference_run(records[4], among=records)
    assert reference.name == "y/many/run-0001"
    drawn, curves = {}, {}
    monkeypatch.setattr(comparison, "draw_confusions", lambda path, all, names: drawn.update(all))
    monkeypatch.setattr(comparison, "draw_runs", lambda path, lost, *_: curves.update(lost))
    found = comparison.compare(records[:1], reference)
    comparison.write_files(found, reference, tmp_path / "out")
    assert len(drawn) == len(curves) == 2


def test_runs_of_other_data_and_without_a_result_are_named(runs, tmp_path):
    many = tmp_path / "many"
    shutil.copytree(runs, many)
    (many / "run-0003" / "run.json").unlink()
    assert unfinished(many) == [many / "run-0003"] and len(find_runs(many)) == 3
    _altered(runs / "run-0002", many / "run-0009", test_crc32=1)
    records = find_runs(many)
    found = comparison.compare(records, comparison.reference_run(records[0]))
    assert [one.record.name for one in found if not one.same_data] == ["run-0009"]


def test_the_rows_of_a_matrix_follow_their_names(tmp_path):
    path = tmp_path / "original.csv"
    part, names = [comparison.TEST_PART], ("dark", "light")
    path.write_text(",dark,light\nlight,10,90\ndark,75,25\n")
    reference = comparison.reference_matrices([path], part, names)
    assert np.allclose(reference.matrices[part[0]], [[0.75, 0.25], [0.1, 0.9]])
    path.write_text(",dark,light\nlight,10,90\ngrey,75,25\n")
    with pytest.raises(InputError, match="E-COMPARE-MATRIX"):
        comparison.reference_matrices([path], part, names)
