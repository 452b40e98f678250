"""Ratios of two benches: right means, intervals that hold what is true, honest notes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from max78k.errors import InputError
from max78k.flows.bench_compare import compare
from max78k.flows.bench_runs import StoredRun
from max78k.host.bench_rows import Row


def run(
    name: str, inference: np.ndarray, *, scale: float = 1.0, right: float | None = None,
    **summary: Any,
) -> StoredRun:  # fmt: skip
    rows = tuple(
        Row("measured", n, 0, 0.01 * n * scale, None if right is None else 1, 1, 0.0, 190.0,
            float(us), 5.0, 2.0, 900.0, 0.1, 0.12, "estimate", 7, n, (n, 2))
        for n, us in enumerate(inference)
    )  # fmt: skip
    content = {
        "device": {"network_id": 1}, "link": {"pipelined": False}, "accuracy": right,
        "energy": {"kind": "estimate"}, **summary,
    }  # fmt: skip
    return StoredRun(name, content, rows)


def by_name(comparison):
    return {one.name: one for one in comparison.ratios}


def test_ratios_are_second_to_first():
    first, second = run("a", np.full(100, 3000.0)), run("b", np.full(80, 1500.0), scale=2.0)
    ratios = by_name(compare(first, second))
    one = ratios["inference (accelerator)"]
    assert (one.first, one.second, one.ratio, one.low, one.high) == (3000, 1500, 0.5, 0.5, 0.5)
    assert ratios["rate, link included"].ratio == pytest.approx(0.5)
    assert ratios["rate, link included"].first == pytest.approx(100.0)


def test_nineteen_of_twenty_intervals_hold_the_true_ratio():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        first = run("a", rng.normal(3000, 300, 60))
        second = run("b", rng.normal(1500, 200, 90))
        one = by_name(compare(first, second))["inference (accelerator)"]
        assert one.low is not None and one.high is not None and one.low < one.ratio < one.high
        hits += one.low <= 0.5 <= one.high
    assert 180 <= hits <= 199


def test_neighbours_that_resemble_each_other_widen_the_interval():
    rng = np.random.default_rng(1)
    drift = np.repeat(rng.normal(3000, 100, 20), 50)
    alike = by_name(compare(run("a", drift), run("b", drift[::-1])))["inference (accelerator)"]
    mixed = rng.permutation(drift)
    apart = by_name(compare(run("a", mixed), run("b", mixed[::-1])))["inference (accelerator)"]
    assert alike.high - alike.low > 3 * (apart.high - apart.low)


def test_one_inference_has_no_interval():
    one = compare(run("a", np.array([3.0])), run("b", np.array([6.0]))).ratios
    assert [(r.ratio, r.low, r.high) for r in one if r.name.startswith("inference")] == [
        (2.0, None, None)
    ]


def test_accuracy_of_two_perfect_runs_is_not_certain():
    change = compare(run("a", np.ones(50), right=1.0), run("b", np.ones(50), right=1.0)).accuracy
    assert change is not None and change.difference == 0.0
    assert change.low < 0 < change.high and math.isclose(change.low, -change.high)


def test_same_inputs_are_matched_by_what_they_are():
    first, second = run("a", np.ones(5)), run("b", np.ones(3))
    rows = [*second.rows[:2], Row(**{**second.rows[2].__dict__, "scores": (9, 9)})]
    found = compare(first, StoredRun("b", second.summary, tuple(rows)))
    assert (found.same_inputs, found.same_scores) == (3, 2)


def test_what_makes_runs_less_comparable_is_said():
    other = run("b", np.ones(3), device={"network_id": 2}, link={"pipelined": True},
                energy={"kind": "measured"})  # fmt: skip
    note = compare(run("a", np.ones(3)), other).note
    assert "different networks" in note and "pipelined" in note and "measured" in note
    assert "estimate" in note


def test_a_run_without_inferences_is_refused():
    with pytest.raises(InputError, match=r"E-BENCH-COMPARE b has no"):
        compare(run("a", np.ones(3)), run("b", np.ones(0)))
