"""Accuracy over how much pictures are spoilt, as curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from max78k.report import style

Points = Sequence[tuple[float, float]]


def draw_robustness(
    path: Path, curves: Mapping[str, Mapping[str, Points]], axis_names: Mapping[str, str]
) -> None:
    """Draw a panel for each kind of corruption, with a curve for each data set.

    Args:
        path: PNG file to write.
        curves: by data set, by kind: amount (0: as they are), and share of right answers 0 ... 1.
        axis_names: what the amount of each kind is.
    """
    with style.figure(path, 4.3 * len(axis_names), 3.4) as figure:
        figure.suptitle("What spoilt pictures cost", x=0.01, ha="left", fontweight="bold")
        for axes, kind in zip(
            figure.subplots(1, len(axis_names), squeeze=False)[0], axis_names, strict=True
        ):
            for number, (name, kinds) in enumerate(curves.items()):
                amounts = [amount for amount, _ in kinds[kind]]
                heights = [100 * share for _, share in kinds[kind]]
                colour = style.layer_colour(number)
                axes.plot(amounts, heights, marker="o", markersize=4, color=colour, label=name)
                place = (0, -12 if number % 2 else 5)
                for amount, height in zip(amounts, heights, strict=True):
                    axes.annotate(
                        f"{height:.1f}", (amount, height), xytext=place, fontsize=7,
                        textcoords="offset points", ha="center", color=colour,
                    )  # fmt: skip
            axes.set_xlabel(axis_names[kind])
            axes.set_xticks(amounts)
            axes.set_ylim(0, 108)
            axes.set_ylabel("right answers, %")
            style.grid(axes)
        axes.legend(loc="upper right", fontsize=7)
