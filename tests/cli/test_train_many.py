"""``train-many`` and ``compare`` from the command line."""

from __future__ import annotations

import csv
import json

import pytest
from command import assert_one_error, run

NETWORK = """
from torch import nn
from max78k.training.layers import Conv2d, Linear


class Net(nn.Sequential):
    def __init__(self, classes: int, width: int = 4) -> None:
        super().__init__(Conv2d(1, width, pool=8), Linear(width * 36, classes))
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NETWORK)
    return f"{path}:Net"


def test_runs_are_made_continued_and_compared(capsys, tmp_path, net):
    out = tmp_path / "many"
    command = ["train-many", "--network", net, "--data", "faces:train=28,test=14", "--epochs", 1,
               "--batch-size", 14, "--threads", 1, "--out", out, "--vary", "use=0.5:1.0",
               "--vary", "width=4,8"]  # fmt: skip
    outcome = run(capsys, *command, "--runs", 1, "--json")
    assert outcome.code == 0, outcome.err
    first = json.loads(outcome.out)["runs"]
    outcome = run(capsys, *command, "--runs", 2, "--json")
    both = json.loads(outcome.out)["runs"]
    assert both[:1] == first and len(both) == 2
    text = run(capsys, *command, "--runs", 2)
    assert text.code == 0 and "2 of 2 runs, the best first" in text.out
    assert_one_error(run(capsys, *command, "--mixup", 0.5), 2, "E-PLAN-OTHER", "training")
    compared = run(capsys, "compare", out, "--reference", out / "run-0002", "--out",
                   tmp_path / "comparison", "--json")  # fmt: skip
    assert compared.code == 0, compared.err
    report = json.loads(compared.out)
    assert report["reference"] == "run-0002" and len(report["runs"]) == 2
    for name in ("curves.png", "confusion.png", "comparison.json"):
        assert (tmp_path / "comparison" / name).stat().st_size > 100
    rows = list(csv.DictReader((tmp_path / "comparison" / "comparison.csv").open()))
    assert {row["use"] for row in rows} == {str(one["chosen"]["use"]) for one in both}
    text = run(capsys, "compare", out, "--data", "faces:train=1,test=9")
    assert text.code == 0 and "faces: accuracy" in text.out and "use 0." in text.out


def test_bad_input_is_one_line(capsys, tmp_path, net):
    start = ("train-many", "--network", net, "--data", "faces:train=9,test=9", "--out", tmp_path)
    assert_one_error(run(capsys, *start, "--vary", "depth=1"), 2, "E-SEARCH-SPACE", "depth")
    assert_one_error(run(capsys, *start, "--vary", "use_ck=1"), 2, "E-SEARCH-SPACE", "use_ck")
    assert_one_error(run(capsys, *start, "--add", "ck"), 2, "E-PLAN-SOURCE", "ck")
    assert_one_error(run(capsys, *start, "--add", "a-b=faces"), 2, "E-PLAN-SOURCE", "a-b")
    twice = (*start, "--vary", "width=4", "--vary")
    assert_one_error(run(capsys, *twice, "width=8"), 2, "E-SEARCH-SPACE", "width is given twice")
    assert_one_error(run(capsys, *twice, "mixup=0,1", "--mixup", 0.5), 2, "E-PLAN-TWICE", "mixup")
    assert_one_error(run(capsys, *start, "--add", "ck=a.npz", "--add", "ck=b.npz"), 2,
                     "E-PLAN-SOURCE", "ck names two")  # fmt: skip
    assert_one_error(run(capsys, "compare", tmp_path), 2, "E-RUN-MISSING")
    assert_one_error(run(capsys, "train-many", tmp_path / "no.yaml"), 2, "E-")
