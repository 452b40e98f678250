"""``max78k adjust``: answers about as frequent as the labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from corner_data import NETWORKS, corners, write_npz
from torch import nn

from max78k.cli.main import cli
from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.flows.adjustment import adjust
from max78k.training.checkpoint import load_checkpoint, load_model
from max78k.training.evaluate import accuracy
from max78k.training.fit import train
from max78k.training.layers import Conv2d
from max78k.training.logit_adjustment import add_to_biases, integer_scores, matching_offsets
from max78k.training.options import TrainOptions

TINY = f"{NETWORKS}:Tiny"


def dim_corners() -> Dataset:
    """Corners that can hardly be seen, half of them a."""
    train_part, test_part = corners(300, 0, 25), corners(90, 1, 25)
    rows = np.flatnonzero((train_part.labels == 0) | (np.arange(300) % 2 == 0))
    return Dataset("dim", ("a", "b", "c"), train_part.take(rows), test_part)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adjust") / "run"
    options = TrainOptions(
        network=TINY, folder=folder, epochs=3, qat_epochs=1, batch_size=32, class_weights="0.3,1,1"
    )
    train(options, dim_corners())
    return folder


def test_answers_become_as_frequent_as_labels(run, tmp_path):
    data, out = dim_corners(), tmp_path / "adjusted.pt"
    found = adjust(run, data, out, 1.0, TINY)
    before, after = (
        sum(abs(shares[step] - shares[2]) for shares in found.answered.values()) for step in (0, 1)
    )
    assert before > 0.1 and after < before / 2
    labels = torch.from_numpy(data.test.labels)
    for path, wanted in ((run, found.before), (out, found.after)):
        reals = integer_scores(load_model(path, TINY).model, torch.from_numpy(data.test.inputs))
        assert accuracy(reals, labels) == wanted["test"]
    assert found.before["train"] == accuracy(
        integer_scores(load_model(run, TINY).model, torch.from_numpy(data.train.inputs)),
        torch.from_numpy(data.train.labels),
    )


def test_only_the_last_biases_change_and_in_proportion_to_the_share(run, tmp_path):
    results = {
        share: adjust(run, dim_corners(), tmp_path / f"{share}.pt", share, TINY)
        for share in (0.0, 0.25, 1.0)
    }
    states = {share: load_checkpoint(tmp_path / f"{share}.pt")["model"] for share in results}
    first = load_checkpoint(run)["model"]
    for share, state in states.items():
        changed = [key for key in first if not torch.equal(first[key], state[key])]
        assert changed == (["output.bias"] if share else [])
        moved = (state["output.bias"] - first["output.bias"]).tolist()
        assert moved == pytest.approx(list(results[share].offsets.values()), abs=1e-6)
    quarter, whole = results[0.25].offsets, results[1.0].offsets
    assert quarter == pytest.approx({name: value / 4 for name, value in whole.items()}, abs=1e-6)


def test_offsets_match_counts():
    torch.manual_seed(0)
    reals = torch.randn(4000, 3) + torch.tensor([0.0, 1.0, -1.0])
    labels = torch.randint(0, 3, (4000,))
    answers = (reals + matching_offsets(reals, labels)).argmax(1)
    found, wanted = torch.bincount(answers), torch.bincount(labels)
    assert (found - wanted).abs().max() < 80  # of 1,333; 800 and more before


def test_the_verb_writes_what_export_takes(run, tmp_path):
    write_npz(tmp_path / "dim.npz", dim_corners())
    out, model = tmp_path / "adjusted.pt", tmp_path / "model"
    words = [
        "adjust",
        run,
        "--data",
        tmp_path / "dim.npz",
        "--out",
        out,
        "--network",
        TINY,
        "--json",
    ]
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.exception
    assert set(json.loads(result.stdout)["after"]) == {"train", "test"}
    words = ["export", out, "--out", model, "--network", TINY, "--format", "onnx"]
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0 and (model / "network.npz").is_file(), result.exception


def test_what_cannot_be_adjusted_is_told(run, tmp_path):
    out = tmp_path / "out.pt"
    with pytest.raises(InputError, match="E-ADJUST-FLOAT"):
        adjust(run / "float.pt", dim_corners(), out, 0.5, TINY)
    with pytest.raises(InputError, match="E-ADJUST-CLASSES"):
        adjust(run, replace(dim_corners(), class_names=("x", "y", "z")), out, 0.5, TINY)
    with pytest.raises(InputError, match="E-ADJUST-LAYER"):
        add_to_biases(nn.Sequential(Conv2d(1, 3, bias=False)), torch.zeros(3))
    assert not out.exists()
