"""Accuracy, latency and weight bytes of many networks in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from max78k.report import style


@dataclass(frozen=True)
class Point:
    """A network: accuracy 0 ... 1, microseconds of an inference, bytes of weights.

    ``best``: no other one is at least as good in all three and better in one.
    """

    number: int
    accuracy: float
    microseconds: float
    weight_bytes: int
    best: bool


def draw_pareto(path: Path, points: Sequence[Point], budget: float | None = None) -> None:
    """Draw latency to the right, accuracy upwards, weight bytes as colour.

    Args:
        path: PNG file to write.
        points: at least one.
        budget: longest latency that was allowed, in microseconds; drawn as a line.
    """
    with style.figure(path, 7.5, 4.4) as figure:
        axes = figure.subplots()
        best = sorted((p for p in points if p.best), key=lambda p: (p.microseconds, -p.accuracy))
        drawn = axes.scatter(
            [p.microseconds / 1000 for p in points],
            [100 * p.accuracy for p in points],
            c=[p.weight_bytes / 1024 for p in points],
            cmap="viridis",
            s=[46 if p.best else 18 for p in points],
            edgecolors=[style.INK if p.best else "none" for p in points],
            linewidths=1.2,
        )
        figure.colorbar(drawn, label="weights in KiB")
        for point in best:
            axes.annotate(
                str(point.number),
                (point.microseconds / 1000, 100 * point.accuracy),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize=7.5,
            )
        if budget is not None:
            axes.axvline(budget / 1000, color=style.RED, lw=1, ls="--")
        axes.set_xlabel("estimated latency in ms")
        axes.set_ylabel("accuracy in %")
        axes.set_title(f"{len(points)} networks; ringed and numbered: the best trade-offs")
        style.grid(axes, "both")
