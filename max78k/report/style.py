"""The look that all figures share, and how they are written: the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from max78k.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#22303c"  # text and axes
GREY = "#8a97a3"
LIGHT = "#e6eaee"
BLUE = "#1f6fb4"
ORANGE = "#d9731a"
GREEN = "#2f9e63"
RED = "#c8403a"
DOTS_PER_INCH = 120

# Neighbours differ in hue and lightness, so that bordering layers can be told apart.
_LAYER_COLOURS = (
    "#1f6fb4", "#f0a03c", "#2f9e63", "#c8403a", "#8e6bbf", "#7cc4e8", "#8c5a3c", "#e58bb8",
    "#5b6770", "#b6c93a", "#1c9a9a", "#f4c9a0", "#31518f", "#a3d6a5", "#a02c6d", "#d8c34a",
)  # fmt: skip
_PARAMETERS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": LIGHT,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def layer_colour(number: int) -> str:
    """Colour of the layer with this number, from 0."""
    return _LAYER_COLOURS[number % len(_LAYER_COLOURS)]


def ink_on(colour: str) -> str:
    """Black or white, whichever can be read on ``colour``."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of ``width`` x ``height`` inches, written to ``path`` as PNG when the block ends.

    The settings of the user and the display are left out of it; the file holds no date and no
    version.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_PARAMETERS)
        drawing = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        with atomic_write(path) as stream:
            drawing.savefig(stream, format="png", metadata={"Software": None})


def grid(axes: Axes, axis: Literal["x", "y", "both"] = "y") -> None:
    """Faint lines behind the marks; ``axis`` is "x", "y" or "both"."""
    axes.grid(True, axis=axis)
    axes.tick_params(length=0)
