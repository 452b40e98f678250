"""One picture and what a classifier thinks of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.report import style


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
        image.imshow(picture.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
        image.set_axis_off()
        colours = [style.BLUE if n == best else style.GREY for n in range(len(shares))]
        drawn = bars.barh(range(len(shares)), [100 * share for share in shares], color=colours)
        bars.bar_label(drawn, fmt="%.1f %%", fontsize=7.5, padding=2)
        bars.set_yticks(range(len(shares)), class_names)
        bars.invert_yaxis()
        bars.set_xlim(0, 118)
        bars.set_xticks(())
        bars.spines[:].set_visible(False)
        bars.tick_params(length=0)
