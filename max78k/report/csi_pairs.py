"""Windows of CSI beside the faces that were seen at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.report import style


def draw_csi_pairs(
    path: Path,
    faces: npt.NDArray[np.uint8],
    windows: npt.NDArray[np.uint8],
    titles: Sequence[str],
    captions: Sequence[str],
) -> None:
    """A strip: faces above, what moved on the subcarriers below.

    Args:
        path: PNG file to write.
        faces: uint8 [N, 1 or 3, rows, columns].
        windows: uint8 [N, channels, packets] or [N, channels, rows, columns], 128 is no change.
        titles: above each face.
        captions: below each window.
    """
    count = len(faces)
    with style.figure(path, 1.5 * count + 0.6, 3.3) as figure:
        cells = figure.subplots(2, count, squeeze=False)
        for number, (face, window) in enumerate(zip(faces, windows, strict=True)):
            above, below = cells[:, number]
            above.imshow(face.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
            above.set_axis_off()
            above.set_title(titles[number], fontsize=8, loc="center")
            series = window.reshape(len(window), -1).astype(float) - 128
            reach = float(np.quantile(np.abs(series), 0.995)) or 1.0
            below.imshow(
                series, aspect="auto", interpolation="nearest", origin="lower", cmap="RdBu_r",
                vmin=-reach, vmax=reach,
            )  # fmt: skip
            below.set_xticks([])
            below.set_xlabel(captions[number], fontsize=7)
            if number:
                below.set_yticks([])
        cells[1, 0].set_ylabel("subcarrier", fontsize=7)
