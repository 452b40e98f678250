"""A recording of Wi-Fi CSI at each step on its way to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.report import style


def draw_csi_steps(path: Path, steps: Mapping[str, npt.NDArray[np.float64]], title: str) -> None:
    """Draw pictures one above the other.

    Args:
        path: PNG file to write.
        steps: by name, what there is after that step, [channels or frequencies, packets or times].
        title: above the figure.
    """
    with style.figure(path, 8.5, 1.75 * len(steps) + 0.4) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        for axes, (name, values) in zip(
            figure.subplots(len(steps), 1, squeeze=False)[:, 0], steps.items(), strict=True
        ):
            moves = values.min() < 0
            reach = float(np.quantile(np.abs(values), 0.995)) or 1.0
            least = -reach if moves else min(float(np.quantile(values, 0.005)), reach - 1)
            image = axes.imshow(
                values, aspect="auto", interpolation="nearest", origin="lower",
                cmap="RdBu_r" if moves else "viridis", vmin=least, vmax=reach,
            )  # fmt: skip
            axes.set_title(name)
            axes.spines[:].set_visible(False)
            figure.colorbar(image, ax=axes, pad=0.01)
