"""The confusion matrix: what each class was taken for."""

from __future__ import annotations

from collections.abc import Sequence
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
    classes = len(class_names)
    support = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(support, 1)
    side = max(4.2, 0.72 * classes + 1.8)
    right = int(np.trace(confusion))
    with style.figure(path, side + 0.4, side) as figure:
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if classes <= 20:
            for row, column in np.ndindex(classes, classes):
                if confusion[row, column]:
                    _write_cell(axes, row, column, shares[row, column], confusion[row, column])
        axes.set_xticks(range(classes), class_names, rotation=35, ha="right")
        axes.set_yticks(
            range(classes),
            [
                f"{name} ({number:,})"
                for name, number in zip(class_names, support[:, 0], strict=True)
            ],
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("answer")
        axes.set_ylabel("true class (samples)")
        total = int(confusion.sum())
        axes.set_title(f"{title}: {100 * right / max(total, 1):.2f} % of {total:,} right")


def _write_cell(axes: Axes, row: int, column: int, share: float, number: int) -> None:
    colour = "white" if share > 0.5 else style.INK
    axes.text(column, row - 0.1, f"{100 * share:.0f} %", ha="center", va="center", color=colour)
    axes.text(
        column, row + 0.24, f"{number:,}", ha="center", va="center", color=colour, fontsize=6.5,
        alpha=0.8,
    )  # fmt: skip
