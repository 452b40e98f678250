"""A whole run: accuracy of integers, files, interruption, resumption, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from corner_data import NETWORKS, corner_data, corners

from max78k.datasets.dataset import Dataset, Split
from max78k.errors import InputError, Max78kError
from max78k.network import Network, reference
from max78k.training.checkpoint import fill_matching, float_checkpoint, load_checkpoint, load_model
from max78k.training.convert import to_network
from max78k.training.evaluate import class_accuracy, confusion_matrix, scores
from max78k.training.fit import stored_options, train
from max78k.training.layers import Mode
from max78k.training.options import Augmentation, TrainOptions
from max78k.training.post_training import QuantizeMethod, quantize_checkpoint
from max78k.training.registry import build
from max78k.training.run_folder import RunFolder

STILL = Augmentation(flip=False, rotate=5.0, scale=0.05, shift=0.05, cutout=3)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return corner_data()


@pytest.fixture
def options(tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        network=f"{NETWORKS}:Tiny", folder=tmp_path / "run", epochs=5, qat_epochs=2,
        batch_size=32, learning_rate=0.05, augmentation=STILL,
    )  # fmt: skip


def stop_in(epoch: int, step: int):
    def progress(event):
        if event.row is None and (event.epoch, event.step) == (epoch, step):
            raise KeyboardInterrupt

    return progress


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "last.pt")["model"]


def test_a_run_learns_and_measures_the_integers(options, dataset):
    events = []
    result = train(options, dataset, progress=events.append)
    assert result.accuracy > 0.9
    assert result.confusion.shape == (3, 3) and result.confusion.sum() == 90
    stored = Network.load(options.folder / "network.npz")
    values = reference.outputs(stored, stored.from_pixels(dataset.test.inputs))
    assert (values.argmax(1) == dataset.test.labels).mean() == result.accuracy
    assert [row["phase"] for row in result.history] == ["float"] * 3 + ["qat"] * 2
    best = max(row["test_accuracy"] for row in result.history[3:])
    assert result.accuracy == pytest.approx(best)
    first = next(row["epoch"] for row in result.history[3:] if row["test_accuracy"] == best)
    assert load_checkpoint(options.folder / "best.pt")["epoch"] == first + 1
    assert sum(event.row is not None for event in events) == 5
    assert set(result.class_accuracy) == {"a", "b", "c"}


def test_a_run_keeps_the_float_network_that_it_rounds(options, dataset):
    result = train(options, dataset)
    file = float_checkpoint(options.folder)
    assert file == options.folder / "float.pt" and float_checkpoint(file) == file
    trained = load_model(file, options.network)
    assert not trained.quantized
    outputs = scores(trained.model, torch.from_numpy(dataset.test.inputs), Mode.FLOAT)
    found = float((outputs.argmax(1).numpy() == dataset.test.labels).mean())
    assert found == pytest.approx(result.history[2]["test_accuracy"])
    file.unlink()
    assert float_checkpoint(options.folder) == options.folder / "best.pt"
    (options.folder / "best.pt").unlink()
    assert float_checkpoint(options.folder) == options.folder / "last.pt"


def test_a_run_starts_from_the_weights_of_another(options, dataset, tmp_path):
    train(options, dataset)
    once = replace(options, folder=tmp_path / "next", epochs=2, qat_epochs=1, learning_rate=1e-6)
    initial = str(options.folder / "best.pt")
    assert train(replace(once, initial=initial), dataset).history[0]["test_accuracy"] > 0.9
    once = replace(once, folder=tmp_path / "alone")
    assert train(once, dataset).history[0]["test_accuracy"] < 0.8


def test_layers_of_another_shape_begin_anew(options, dataset, tmp_path):
    train(options, dataset)
    first = load_checkpoint(options.folder / "best.pt")["model"]
    model = build(options.network, 5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    left = fill_matching(model, options.folder / "best.pt")
    assert left == ("output.weight", "output.bias")
    assert torch.equal(model.conv2.weight, first["conv2.weight"])
    assert torch.equal(model.output.weight, before["output.weight"])
    with pytest.raises(InputError, match="E-INITIAL-NETWORK"):
        fill_matching(torch.nn.Linear(3, 4), options.folder / "best.pt")


def test_the_mean_of_several_checkpoints_can_be_started_from(options, dataset, tmp_path):
    train(replace(options, epochs=2), dataset)
    first = options.folder / "best.pt"
    other, narrow = load_checkpoint(first), load_checkpoint(first)
    other["model"] = {
        key: value + 3 if value.is_floating_point() else value + 1
        for key, value in other["model"].items()
    }
    narrow["model"]["conv2.weight"] = narrow["model"]["conv2.weight"][:2]
    paths = tmp_path / "other.pt", tmp_path / "narrow.pt"
    for path, content in zip(paths, (other, narrow), strict=True):
        torch.save(content, path)
    model, single = build(options.network, 3), build(options.network, 3)
    fill_matching(single, first)
    assert fill_matching(model, first, paths[0]) == ()
    torch.testing.assert_close(model.conv1.weight, single.conv1.weight + 1.5)
    assert int(model.conv1.out_exponent) == int(single.conv1.out_exponent)
    assert fill_matching(model, first, paths[1]) == ("conv2.weight",)
    both = replace(
        options, folder=tmp_path / "both", epochs=1, qat_epochs=1, initial=f"{first}, {first}"
    )
    alone = replace(both, folder=tmp_path / "alone", initial=str(first))
    again = [train(one, dataset).history for one in (both, alone)]
    assert again[0][0]["test_loss"] == again[1][0]["test_loss"]


def test_a_run_leaves_its_files(options, dataset):
    result = train(options, dataset)
    with (options.folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == list(range(5))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    summary = json.loads((options.folder / "run.json").read_text())
    assert summary["options"]["seed"] == options.seed
    assert summary["metrics"]["integer_accuracy"] == result.accuracy
    trained = load_model(options.folder / "best.pt", options.network)
    assert trained.quantized and trained.class_names == ("a", "b", "c")
    again = to_network(trained.model, name="x", input_shape=trained.input_shape)
    for ours, theirs in zip(again.layers, result.network.layers, strict=True):
        np.testing.assert_array_equal(ours.weight, theirs.weight)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
        assert ours.output_shift == theirs.output_shift


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_an_interrupted_run_continues_to_the_same_weights(options, dataset, epoch):
    whole = train(replace(options, folder=options.folder / "whole"), dataset)
    with pytest.raises(Max78kError, match=f"E-TRAIN-INTERRUPTED stopped after {epoch} of 5"):
        train(options, dataset, progress=stop_in(epoch, 4))
    lines = (options.folder / "metrics.csv").read_text().splitlines()
    assert len(lines) == 1 + epoch
    resumed = train(stored_options(RunFolder(options.folder), options.network), dataset)
    for name, tensor in weights(whole.folder.path).items():
        assert torch.equal(tensor, weights(options.folder)[name]), name
    assert resumed.accuracy == whole.accuracy
    assert len((options.folder / "metrics.csv").read_text().splitlines()) == 6


def test_another_seed_gives_other_weights(options, dataset):
    short = replace(options, epochs=1, qat_epochs=1)
    first = train(replace(short, folder=options.folder / "1"), dataset)
    second = train(replace(short, folder=options.folder / "2", seed=9), dataset)
    name = "conv1.weight"
    assert not torch.equal(weights(first.folder.path)[name], weights(second.folder.path)[name])


def test_interruption_before_the_first_epoch_says_so(options, dataset):
    with pytest.raises(Max78kError, match="before the first epoch"):
        train(options, dataset, progress=stop_in(0, 2))


def test_a_finished_run_is_not_overwritten(options, dataset):
    short = replace(options, epochs=1, qat_epochs=1)
    train(short, dataset)
    with pytest.raises(InputError, match="E-RUN-EXISTS"):
        train(short, dataset)


def test_resuming_refuses_other_options_data_and_networks(options, dataset):
    short = replace(options, epochs=2, qat_epochs=1)
    train(short, dataset)
    again = replace(short, resume=True)
    with pytest.raises(InputError, match=r"E-RESUME-OPTIONS option learning_rate was 0\.05"):
        train(replace(again, learning_rate=0.01), dataset)
    changed = Dataset("corners", dataset.class_names, corners(300, 5), dataset.test)
    with pytest.raises(InputError, match="E-RESUME-DATA data train_crc32"):
        train(again, changed)
    with pytest.raises(InputError, match=r"E-CHECKPOINT-NETWORK .*conv2.weight is \(8, 8, 3, 3\)"):
        load_model(options.folder / "last.pt", f"{NETWORKS}:Other")


def test_a_diverging_run_stops_with_a_hint(options, dataset):
    wild = replace(options, learning_rate=100.0, augmentation=Augmentation(flip=False))
    endless = replace(wild, epochs=40, qat_epochs=1, weight_decay=1.0)
    with pytest.raises(InputError, match="E-TRAIN-DIVERGED"):
        train(endless, dataset)


def test_data_of_another_shape_are_refused(options, dataset):
    fer = replace(options, network="fer7")
    with pytest.raises(InputError, match=r"E-TRAIN-SHAPE fer7 takes inputs of \(1, 48, 48\)"):
        train(fer, dataset)


def test_a_forward_that_depends_on_data_is_refused_before_training(options, dataset):
    with pytest.raises(InputError, match="E-TRAIN-GRAPH"):
        train(replace(options, network=f"{NETWORKS}:Branching"), dataset)
    assert not (options.folder / "last.pt").exists()


def test_a_float_checkpoint_is_quantized_without_training(options, dataset):
    train_first_epochs = stop_in(3, 1)
    with pytest.raises(Max78kError, match="E-TRAIN-INTERRUPTED"):
        train(options, dataset, progress=train_first_epochs)
    last = options.folder / "last.pt"
    assert not load_model(last, options.network).quantized
    for rule in ("mse", "max"):
        method = QuantizeMethod(rule=rule)
        quantized = quantize_checkpoint(last, dataset, method, network=options.network)
        assert quantized.float_accuracy > 0.9
        assert abs(quantized.accuracy - quantized.float_accuracy) < 0.05
    small = Split(dataset.train.inputs[..., :10], dataset.train.labels)
    with pytest.raises(InputError, match="E-QUANTIZE-SHAPE"):
        quantize_checkpoint(
            last, Dataset("small", dataset.class_names, small, small), network=options.network
        )


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_other_files_are_not_taken_for_checkpoints(tmp_path, content):
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        load_checkpoint(path)


class Harmful:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"format": 1, "model": Harmful(tmp_path / "touched")}, path)
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        load_checkpoint(path)
    assert not (tmp_path / "touched").exists()


def test_a_file_named_by_a_checkpoint_is_not_run_unasked(options, dataset, tmp_path):
    train(replace(options, epochs=1, qat_epochs=1), dataset)
    last = options.folder / "last.pt"
    trap = tmp_path / "trap.py"
    trap.write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    torch.save({**load_checkpoint(last), "network": f"{trap}:Net"}, last)
    with pytest.raises(InputError, match="E-CHECKPOINT-CODE"):
        load_model(last)
    with pytest.raises(InputError, match="E-CHECKPOINT-CODE"):
        stored_options(RunFolder(options.folder))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_with_foreign_content_is_refused(options, dataset):
    train(replace(options, epochs=1, qat_epochs=1), dataset)
    path = options.folder / "last.pt"
    content = torch.load(path, weights_only=True)
    for change in ({"options": {"epochs": 3}}, {"options": {"augmentation": {"spin": 1}}}):
        torch.save({**content, **change}, path)
        with pytest.raises(InputError, match="E-RESUME-OPTIONS"):
            stored_options(RunFolder(options.folder), options.network)
    torch.save({**content, "model": [1, 2]}, path)
    with pytest.raises(InputError, match="E-CHECKPOINT-FILE"):
        load_checkpoint(path)
    torch.save({**content, "model": {"conv1.weight": 3}}, path)
    with pytest.raises(InputError, match="E-CHECKPOINT-NETWORK"):
        load_model(path, options.network)
    torch.save({**content, "format": 99}, path)
    with pytest.raises(InputError, match="E-CHECKPOINT-FORMAT"):
        load_checkpoint(path)


def test_options_out_of_range_are_refused():
    for wrong in ({"epochs": 0}, {"qat_epochs": 99}, {"exponents": "best"}, {"distillation": 2.0}):
        with pytest.raises(InputError, match="E-TRAIN-OPTION"):
            TrainOptions(**wrong)


def test_rows_of_the_confusion_matrix_are_the_true_classes():
    labels, predictions = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    confusion = confusion_matrix(labels, predictions, 3)
    assert confusion.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    shares = class_accuracy(confusion)
    assert shares[:2] == [1 / 3, 1.0] and np.isnan(shares[2])
