"""What `check` and `synthesize` say about the choices that the planner makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import assert_one_error, run

from max78k.network import Layer, Network, Operation, Pool


def chain(path: Path, shape: tuple[int, int, int], *channels: int, pool: int = 1) -> Path:
    rng = np.random.default_rng(6)
    layers, source, inputs = [], "input", shape[0]
    for number, outputs in enumerate(channels):
        weight = rng.integers(-8, 8, (outputs, inputs, 3, 3)).astype(np.int8)
        window = Pool("max", (pool, pool), (pool, pool)) if number and pool > 1 else None
        layers.append(
            Layer(f"l{number}", Operation.CONV2D, (source,), weight, padding=1, pool=window)
        )
        source, inputs = f"l{number}", outputs
    Network("chain", shape, tuple(layers), (source,)).save(path)
    return path


def test_check_names_the_layers_that_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = chain(tmp_path / "large.npz", (3, 100, 100), 8, 12, pool=2)
    picture = tmp_path / "memory.png"
    shown = run(capsys, "check", model, "--picture", picture)
    assert shown.code == 0 and picture.stat().st_size > 1000
    assert "through FIFOs; layers that stream: l0, l1." in shown.out
    data = json.loads(run(capsys, "check", model, "--json").out)
    assert (data["feed"], data["streaming"]) == ("fifo", ["l0", "l1"])
    project = run(capsys, "synthesize", model, "--out", tmp_path / "firmware")
    assert project.code == 0 and "known answer checked" in project.out


def test_input_that_fits_comes_through_fifos_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = chain(tmp_path / "small.npz", (5, 20, 20), 8, 12)
    assert "is written to data memory." in run(capsys, "check", model).out
    assert "The input comes through FIFOs." in run(capsys, "check", model, "--fifo").out
    outcome = run(capsys, "check", chain(tmp_path / "many.npz", (17, 20, 20), 8), "--fifo")
    assert_one_error(outcome, 2, "E-RULE-FIFO-INPUT", "17 channels", "at most 16")


def test_check_says_why_streaming_does_not_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = chain(tmp_path / "larger.npz", (3, 100, 100), 8, 12)
    outcome = run(capsys, "check", model)
    assert_one_error(outcome, 2, "E-RULE-DATA-OUTPUT", "40000 bytes")
    assert "E-PLAN-STREAM with the first 2 layers streaming" in outcome.err


def test_a_longer_search_finds_a_cheaper_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = chain(tmp_path / "wide.npz", (48, 6, 6), 10, 33, 10, 20, 20, 20)
    columns = []
    for seconds in ("0", "5"):
        outcome = run(capsys, "check", model, "--json", "--search-seconds", seconds)
        columns.append(
            json.loads(outcome.out)["resources"]["kernel columns of a processor"]["used"]
        )
    assert columns[1] < columns[0]
