"""Samples of each class and part, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from max78k.report import style


def draw_class_chart(
    path: Path, counts: Mapping[str, Sequence[int]], class_names: Sequence[str], title: str
) -> None:
    """Draw counts by part, each a number for every class."""
    width = 0.82 / len(counts)
    with style.figure(path, max(4.5, 0.95 * len(class_names) + 1.2), 3.0) as figure:
        axes = figure.subplots()
        for number, (part, values) in enumerate(counts.items()):
            offset = (number - (len(counts) - 1) / 2) * width
            places = [place + offset for place in range(len(class_names))]
            bars = axes.bar(
                places, values, width * 0.94, color=style.layer_colour(number), label=part
            )
            axes.bar_label(bars, [f"{value:,}" for value in values], fontsize=6.5, padding=1)
        axes.set_xticks(range(len(class_names)), class_names)
        axes.set_ylabel("samples")
        axes.set_title(title)
        if len(counts) > 1:
            axes.legend(fontsize=7)
        style.grid(axes)
