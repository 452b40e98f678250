"""The confusion matrix: what each class was taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from max78k.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_confusion(
    path: Path,
    confusion: npt.NDArray[np.int64],
    class_names: Sequence[str],
    title: str = "Confusion matrix",
) -> None:
    """Draw counts int64 [classes, classes] (row: true class, column: answer).

    Each cell shows the share of its row in percent and, smaller, the count.
    """
    draw_confusions(path, {title: confusion}, class_names)


def draw_confusions(
    path: Path, confusions: Mapping[str, npt.NDArray[np.int64]], class_names: Sequence[str]
) -> None:
    """Draw matrices of the same classes side by side, each under its title."""
    side = max(4.2, 0.72 * len(class_names) + 1.8)
    with style.figure(path, (side + 0.4) * len(confusions), side) as figure:
        cells = figure.subplots(1, len(confusions), squeeze=False)[0]
        for axes, (title, confusion) in zip(cells, confusions.items(), strict=True):
            _draw_matrix(axes, confusion, class_names, title)


def _draw_matrix(
    axes: Axes, confusion: npt.NDArray[np.int64], class_names: Sequence[str], title: str
) -> None:
    classes = len(class_names)
    support = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(support, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= 20:
        for row, column in np.ndindex(classes, classes):
            if confusion[row, column]:
                _write_cell(axes, row, column, shares[row, column], confusion[row, column])
    axes.set_xticks(range(classes), class_names, rotation=35, ha="right")
    axes.set_yticks(
        range(classes),
        [f"{name} ({number:,})" for name, number in zip(class_names, support[:, 0], strict=True)],
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("answer")
    axes.set_ylabel("true class (samples)")
    total, right = int(confusion.sum()), int(np.trace(confusion))
    axes.set_title(f"{title}: {100 * right / max(total, 1):.2f} % of {total:,} right")


def _write_cell(axes: Axes, row: int, column: int, share: float, number: int) -> None:
    colour = "white" if share > 0.5 else style.INK
    axes.text(column, row - 0.1, f"{100 * share:.0f} %", ha="center", va="center", color=colour)
    axes.text(
        column, row + 0.24, f"{number:,}", ha="center", va="center", color=colour, fontsize=6.5,
        alpha=0.8,
    )  # fmt: skip
