"""Pictures and what a classifier thinks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from max78k.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_probabilities(
    path: Path,
    picture: npt.NDArray[np.uint8],
    shares: Sequence[float],
    class_names: Sequence[str],
    title: str,
) -> None:
    """Draw the picture with a bar for each class.

    Args:
        path: PNG file to write.
        picture: uint8 [1, rows, columns] grey or [3, rows, columns] red, green, blue.
        shares: 0 ... 1 by class.
        class_names: their names.
        title: above the figure.
    """
    best = int(np.argmax(shares))
    with style.figure(path, 6.2, max(2.4, 0.32 * len(shares) + 0.7)) as figure:
        image, bars = figure.subplots(1, 2, width_ratios=(1, 1.6))
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        _show(image, picture)
        _bars(bars, shares, class_names, {best: style.BLUE})


def draw_samples(
    path: Path,
    pictures: npt.NDArray[np.uint8],
    labels: Sequence[int],
    shares: npt.NDArray[np.float64],
    class_names: Sequence[str],
    title: str,
) -> None:
    """Draw pictures beside their bars, two to a line: the true class green, a wrong answer red.

    Args:
        path: PNG file to write.
        pictures: uint8 [N, 1 or 3, rows, columns].
        labels: true class numbers [N].
        shares: 0 ... 1, [N, classes].
        class_names: their names.
        title: above the figure.
    """
    lines = -(-len(pictures) // 2)
    with style.figure(path, 9.6, lines * (0.22 * len(class_names) + 0.5) + 0.4) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        cells = figure.subplots(lines, 4, squeeze=False, width_ratios=(1, 1.6, 1, 1.6))
        for axes in cells.flat:
            axes.set_axis_off()
        for (image, bars), picture, label, mine in zip(
            cells.reshape(-1, 2), pictures, labels, shares, strict=False
        ):
            _show(image, picture)
            bars.set_axis_on()
            _bars(bars, mine, class_names, {int(mine.argmax()): style.RED, label: style.GREEN})


def _show(axes: Axes, picture: npt.NDArray[np.uint8]) -> None:
    axes.imshow(picture.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()


def _bars(
    axes: Axes,
    shares: Sequence[float] | npt.NDArray[np.float64],
    class_names: Sequence[str],
    colours: Mapping[int, str],
) -> None:
    painted = [colours.get(n, style.GREY) for n in range(len(shares))]
    drawn = axes.barh(range(len(shares)), [100 * share for share in shares], color=painted)
    axes.bar_label(drawn, fmt="%.1f %%", fontsize=7.5, padding=2)
    axes.set_yticks(range(len(shares)), class_names)
    axes.invert_yaxis()
    axes.set_xlim(0, 118)
    axes.set_xticks(())
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
