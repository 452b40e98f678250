"""A grid of images with what they show and what they were taken for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from max78k.report import style


def draw_contact_sheet(
    path: Path,
    images: npt.NDArray[np.uint8],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    predictions: Sequence[int] | None = None,
    confidences: Sequence[float] | None = None,
    columns: int = 8,
    title: str = "",
) -> None:
    """Draw all images, row by row.

    Args:
        path: PNG file to write.
        images: uint8 [N, 1, rows, columns] grey or [N, 3, rows, columns] red, green, blue.
        labels: true class numbers.
        class_names: their names.
        predictions: answers; right ones are shown green, wrong ones red with the true class.
        confidences: 0 ... 1, shown beside the answers.
        columns: images in a row.
        title: above the figure.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    with style.figure(path, 1.15 * columns + 0.2, 1.4 * rows + (0.4 if title else 0.1)) as figure:
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        cells = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in cells:
            axes.set_axis_off()
        for number, (axes, image) in enumerate(zip(cells, images, strict=False)):
            axes.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0, vmax=255)
            text, colour = class_names[labels[number]], style.INK
            if predictions is not None:
                right = predictions[number] == labels[number]
                colour = style.GREEN if right else style.RED
                answer = class_names[predictions[number]]
                if confidences is not None:
                    answer += f" {100 * confidences[number]:.0f} %"
                text = answer if right else f"{answer}\n(is {text})"
            axes.set_title(text, fontsize=7, color=colour, loc="center", fontweight="normal", pad=2)
