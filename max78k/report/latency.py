"""Latency of a run on the board: how long each phase took, over many inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from max78k.report import style
from max78k.report.tables import seconds, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_latency(path: Path, phases: Mapping[str, Sequence[float]], title: str = "Latency") -> None:
    """Draw a histogram for each phase, with its median and 95th percentile.

    Args:
        path: PNG file to write.
        phases: seconds of each input, by the name of the phase ("input load", "inference", ...).
        title: above the figure.
    """
    with style.figure(path, 7.2, 0.8 + 1.25 * max(len(phases), 1)) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        rows = figure.subplots(max(len(phases), 1), 1, squeeze=False)[:, 0]
        for number, (axes, (name, times)) in enumerate(zip(rows, phases.items(), strict=False)):
            _draw_phase(axes, name, np.asarray(times, np.float64), style.layer_colour(number))


def _draw_phase(
    axes: Axes, name: str, times: np.ndarray[tuple[int, ...], np.dtype[np.float64]], colour: str
) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    unit, unit_name = time_unit(float(np.median(times)) if times.size else 1.0)
    axes.set_ylabel(f"{name}\nin {unit_name}", rotation=0, ha="right", va="center")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    if not times.size:
        axes.set_title("no measurement", fontsize=9, fontweight="normal")
        return
    median, high = (float(np.percentile(times, share)) for share in (50, 95))
    shown = times / unit
    # Equal times still need a bin that can be seen.
    reach = max(float(shown.max() - shown.min()), abs(median / unit) * 1e-3, 1e-6)
    limits = (float(shown.min()) - 0.02 * reach, float(shown.max()) + 0.02 * reach)
    axes.hist(shown, bins=48, range=limits, color=colour, alpha=0.75)
    for value, dashes in ((median, "-"), (high, "--")):
        axes.axvline(value / unit, color=style.INK, lw=1.1, ls=dashes)
    axes.set_xlim(*limits)
    axes.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_title(
        f"median {seconds(median)} (line)   95 % within {seconds(high)} (dashes)   "
        f"{times.size:,} inputs",
        fontsize=8.5,
        fontweight="normal",
    )
