"""Cycles of each layer of a network on the accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from max78k.chip import limits
from max78k.report import style
from max78k.report.tables import count, percent, seconds


def draw_layers(
    path: Path,
    cycles: Mapping[str, int],
    *,
    clock_hz: int = limits.CNN_CLOCK_HZ,
    title: str = "Accelerator cycles by layer",
) -> None:
    """Draw one bar per layer, in the order of execution, with its time at ``clock_hz``."""
    total = sum(cycles.values())
    with style.figure(path, 7.2, 1.2 + 0.3 * max(len(cycles), 1)) as figure:
        axes = figure.subplots()
        rows = range(len(cycles))
        axes.barh(rows, list(cycles.values()), color=[style.layer_colour(row) for row in rows],
                  height=0.72)  # fmt: skip
        for row, value in zip(rows, cycles.values(), strict=True):
            share = percent(value / max(total, 1))
            text = f" {count(value)} = {seconds(value / clock_hz)}, {share}"
            axes.text(value, row, text, va="center", fontsize=8)
        axes.set_yticks(rows, list(cycles))
        axes.invert_yaxis()
        axes.set_xlim(0, max([*cycles.values(), 1]) * 1.42)
        axes.set_xlabel("cycles")
        axes.xaxis.set_major_formatter(lambda value, _position: count(round(value)))
        style.grid(axes, "x")
        clock = f"{clock_hz / 1e6:g} MHz"
        axes.set_title(f"{title}: {count(total)}, {seconds(total / clock_hz)} at {clock}")
