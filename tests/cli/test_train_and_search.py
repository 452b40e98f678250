"""``train-qat`` and ``search`` from the command line: every option arrives, errors are lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from command import assert_one_error, run

from max78k.cli.main import cli
from max78k.network import Network
from max78k.training.checkpoint import load_checkpoint
from max78k.training.option_table import described
from max78k.training.options import Augmentation, TrainOptions

NETWORK = """
from torch import nn
from max78k.training.layers import Conv2d, Linear


class Net(nn.Sequential):
    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__(Conv2d(1, width, pool=8), Linear(width * 36, classes))
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "net.py"
    path.write_text(NETWORK)
    return f"{path}:Net"


SMALL = ("--data", "faces:train=40,test=16", "--epochs", 2, "--threads", 1)
# an example of every option, other than its default
GIVEN = {
    "qat_epochs": 1, "patience": 9, "batch_size": 8, "oversample": True, "mixup": 0.2,
    "cutmix": 0.3, "optimizer": "adamw", "momentum": 0.8, "weight_decay": 0.01, "clip_norm": 2.0,
    "ema": 0.9, "learning_rate": 0.01, "qat_learning_rate": 0.002, "schedule": "multistep",
    "qat_schedule": "plateau", "warm_up": 0.2, "milestones": [0.25, 0.5], "gamma": 0.3,
    "plateau": 2, "label_smoothing": 0.05, "class_weights": "balanced", "distillation": 0.25,
    "temperature": 3.0, "feature_distillation": 0.125, "exponents": "max", "bf16": False,
    "seed": 5, "loss": "cosine", "weight_bits": "auto", "budget": "300KiB", "clean_epochs": 1,
    "cutmix_columns": True, "teacher_flip": True,
}  # fmt: skip
PICTURES = {
    "flip": False, "rotate": 3.0, "scale": 0.25, "shift": 0.125, "brightness": 9.0,
    "contrast": 0.5, "cutout": 4, "noise": 0.0625,
}  # fmt: skip
ELSEWHERE = {"epochs", "initial", "teacher", "teacher_network", "device", "tensorboard"}


def words(options: dict[str, object]) -> list[str]:
    found = []
    for name, value in options.items():
        word = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{word}" if value else f"--no-{word}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            found += [f"--{word}", text]
    return found


def test_every_option_reaches_the_run_and_resuming_keeps_it(capsys, tmp_path, net):
    assert set(GIVEN) | ELSEWHERE == set(described(TrainOptions))
    assert set(PICTURES) == set(described(Augmentation))
    out = tmp_path / "run"
    where = ["--network", net, "--out", out, "--argument", "width=8"]
    outcome = run(capsys, "train-qat", *where, *SMALL, *words(GIVEN | PICTURES), "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["test_samples"] == 16
    stored = load_checkpoint(out / "last.pt")["options"]
    assert {name: stored[name] for name in GIVEN} == GIVEN
    assert stored["augmentation"] == PICTURES
    assert stored["network_arguments"] == {"width": 8}
    for name in ("curves.png", "confusion.png", "metrics.csv", "run.json", "network.npz"):
        assert (out / name).stat().st_size > 0
    model = tmp_path / "model"
    named = ("--network", net, "--name", "other", "--format", "yaml", "--out", model)
    assert run(capsys, "export", out, *named).code == 0
    assert Network.load(model / "network.npz").name == "other"
    assert "arch: other" in (model / "network.yaml").read_text()
    again = ("train-qat", "--network", net, "--out", out, "--data", SMALL[1], "--resume")
    assert run(capsys, *again, "--device", "cpu").code == 0
    assert_one_error(run(capsys, *again, "--mixup", "0.4"), 2, "E-RESUME-OPTIONS", "--mixup")


def test_help_stands_under_headings_in_the_order_of_the_table():
    text = CliRunner().invoke(cli, ["train-qat", "--help"]).output
    headings = [f"\n{about.group}:\n" for about, _, _ in described(TrainOptions).values()]
    places = [text.index(heading) for heading in dict.fromkeys(headings)]
    assert places == sorted(places)
    assert "[default: 0.5,0.75]" in " ".join(text.split())


def test_bad_values_are_one_line(capsys, tmp_path, net):
    out = ("--network", net, "--out", tmp_path / "x", *SMALL)
    assert_one_error(run(capsys, "train-qat", *out, "--ema", "2"), 2, "E-TRAIN-OPTION ema is 2.0")
    wrong = run(capsys, "train-qat", *out, "--argument", "width")
    assert_one_error(wrong, 2, "E-NETWORK-ARGUMENT")
    assert run(capsys, "train-qat", *out, "--milestones", "half").code == 2


def test_a_search_prints_its_best_networks(capsys, tmp_path, net):
    pytest.importorskip("optuna", reason="searches need optuna")
    out = tmp_path / "search"
    command = ["search", "--network", net, "--choose", "width=4,8", "--choose", "batch_size=8",
               "--data", SMALL[1], "--trials", 2, "--epochs", 1, "--out", out]  # fmt: skip
    outcome = run(capsys, *command, "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)["candidates"]
    assert sum(row["accuracy"] is not None for row in report) == 2
    assert all(row["training"] == {"batch_size": 8} for row in report)
    text = run(capsys, *command)
    assert text.code == 0 and "2 trained; best trade-offs" in text.out
    wrong = run(capsys, "search", "--network", net, "--choose", "depth=1,2", "--out", out)
    assert_one_error(wrong, 2, "E-SEARCH-SPACE", "depth")
