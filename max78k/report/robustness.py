"""Accuracy on clean and on spoilt pictures, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from max78k.report import style


def draw_robustness(
    path: Path, clean: Mapping[str, float], spoilt: Mapping[str, Mapping[str, float]]
) -> None:
    """Draw shares of right answers 0 ... 1.

    Args:
        path: PNG file to write.
        clean: by data set, on its pictures as they are.
        spoilt: by data set, by kind of corruption.
    """
    kinds = ["clean", *next(iter(spoilt.values()))]
    width = 0.8 / len(clean)
    with style.figure(path, 1.1 * len(kinds) + 1.6, 3.2) as figure:
        axes = figure.subplots()
        for number, name in enumerate(clean):
            heights = [100 * clean[name], *(100 * share for share in spoilt[name].values())]
            places = [kind + (number - (len(clean) - 1) / 2) * width for kind in range(len(kinds))]
            bars = axes.bar(
                places, heights, width * 0.92, color=style.layer_colour(number), label=name
            )
            axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=1)
        axes.set_xticks(range(len(kinds)), kinds)
        axes.set_ylim(0, 108)
        axes.set_ylabel("right answers, %")
        axes.set_title("What spoilt pictures cost")
        axes.legend(loc="upper right", fontsize=7)
        style.grid(axes)
