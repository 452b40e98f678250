"""Scores against counts made by hand, and text that is aligned."""

from __future__ import annotations

import numpy as np
import pytest

from max78k.report import tables
from max78k.report.metrics import accuracy, confusion_matrix, scores

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
ANSWERS = np.array([0, 0, 1, 2, 1, 1, 0, 2, 2, 2])


def test_confusion_matrix_has_true_classes_in_rows() -> None:
    assert confusion_matrix(LABELS, ANSWERS, 4).tolist() == [
        [2, 1, 1, 0], [1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_scores_are_those_counted_by_hand() -> None:
    found = scores(LABELS, ANSWERS, 4)
    assert found.accuracy == accuracy(LABELS, ANSWERS) == 0.7
    assert found.precision == pytest.approx([2 / 3, 2 / 3, 3 / 4, 0])
    assert found.recall == pytest.approx([2 / 4, 2 / 3, 1, 0])
    assert found.f1 == pytest.approx([4 / 7, 2 / 3, 6 / 7, 0])
    assert found.support.tolist() == [4, 3, 3, 0]
    assert found.macro == pytest.approx((25 / 36, 13 / 18, 44 / 63))
    weighted_precision = (4 * 2 / 3 + 3 * 2 / 3 + 3 * 3 / 4) / 10
    assert found.weighted[0] == pytest.approx(weighted_precision)
    assert found.weighted[1] == pytest.approx(found.accuracy)


def test_scores_of_nothing_are_zero() -> None:
    nothing = np.array([], dtype=np.int64)
    found = scores(nothing, nothing, 3)
    assert found.accuracy == accuracy(nothing, nothing) == 0
    assert found.macro == found.weighted == (0, 0, 0)


@pytest.mark.parametrize(
    ("labels", "answers"), [([0, 1], [0]), ([0, 3], [0, 0]), ([0, 0], [0, -1])]
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], answers: list[int]) -> None:
    with pytest.raises(ValueError):
        confusion_matrix(np.array(labels), np.array(answers), 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (tables.seconds(0), "0 s"),
        (tables.seconds(1.2345e-3), "1.234 ms"),
        (tables.seconds(123.44e-6), "123.4 µs"),
        (tables.seconds(999.97e-6), "1 ms"),
        (tables.seconds(2e-8), "20 ns"),
        (tables.seconds(75.0), "75 s"),
        (tables.size(9), "9 B"),
        (tables.size(442368), "432 KiB"),
        (tables.size(3 << 19), "1.5 MiB"),
        (tables.count(1234567), "1,234,567"),
        (tables.percent(0.98765), "98.8 %"),
    ],
)
def test_numbers_carry_their_units(text: str, expected: str) -> None:
    assert text == expected


def test_a_table_aligns_numbers_to_the_right() -> None:
    text = tables.table(("layer", "bytes"), [("conv1", "1,234"), ("fc", 56)], ("all", "1,290"))
    assert text.splitlines() == [
        "layer  bytes",
        "-----  -----",
        "conv1  1,234",
        "fc        56",
        "-----  -----",
        "all    1,290",
    ]
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        tables.table(("a", "b"), [("x",)])
    assert tables.table(("a", "b"), []).splitlines() == ["a  b", "-  -"]


def test_a_table_of_scores_names_classes_and_means() -> None:
    lines = tables.scores_table(scores(LABELS, ANSWERS, 3), ("cat", "dog", "ant")).splitlines()
    assert lines[2].split() == ["cat", "66.7", "%", "50.0", "%", "57.1", "%", "4"]
    assert lines[-1].split() == ["accuracy", "70.00", "%", "10"]
    assert [line.split("  ")[0] for line in lines[5:7]] == ["macro mean", "weighted mean"]
