"""Small plots as SVG text for a page: no library, no script, colours from the page's style.

All are WIDTH units wide, about a phone's width in pixels, so that their letters stay readable
there. Colours are CSS variables (``--ink``, ``--faint``, ``--c0`` ... ``--c5``) of the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

WIDTH = 340
COLOURS = 6  # --c0 ... --c5
_LETTER = 6.2  # width of a letter of 11 units, about
_MOST_POINTS = 400  # of a time line; more would be drawn on top of each other

Format = Callable[[float], str]


class Drawing:
    """Shapes that become one ``<svg>``; y grows downward."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> None:
        """Text whose baseline is at ``y``; ``anchor``: start, middle or end."""
        style = f' class="{kind}"' if kind else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
        )

    def bar(
        self, x: float, y: float, width: float, height: float, colour: int, tip: str = "",
        share: float = 1.0,
    ) -> None:  # fmt: skip
        """A rectangle; ``tip`` is shown when it is pointed at, ``share`` is its opacity."""
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" '
            f'fill="var(--c{colour % COLOURS})" fill-opacity="{share:.2f}">{title}</rect>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> None:
        """A straight line; ``kind``: axis, grid, mark or dashes."""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], colour: int) -> None:
        """Straight lines from point to point."""
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{way}" fill="none" stroke="var(--c{colour % COLOURS})"/>'
        )

    def finish(self, height: float, label: str) -> str:
        """The ``<svg>``; ``label`` is what a screen reader says."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
            + "".join(self._parts)
            + "</svg>"
        )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(times * power for times in (1, 2, 5, 10) if times * power >= raw * 0.999999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def bars(
    values: Mapping[str, float], shown: Format, label: str, longest: float | None = None
) -> str:
    """A bar for each value from 0 on; ``longest`` is the value as long as the drawing is wide."""
    drawing, row = Drawing(), 34
    end = longest or max(values.values(), default=0) or 1.0
    for number, (name, value) in enumerate(values.items()):
        top = row * number
        drawing.text(0, top + 12, name)
        drawing.text(WIDTH, top + 12, shown(value), "end", "strong")
        drawing.bar(0, top + 17, WIDTH * value / end, 10, 0, f"{name}: {shown(value)}")
    return drawing.finish(row * max(len(values), 1), label)


def stacked(
    values: Mapping[str, float], shown: Format, label: str, longest: float | None = None
) -> str:
    """One bar in parts, and a line for each part with its value and share."""
    drawing = Drawing()
    whole = sum(values.values())
    end, left = longest or whole or 1.0, 0.0
    for number, (name, value) in enumerate(values.items()):
        width = WIDTH * value / end
        drawing.bar(left, 0, width, 22, number, f"{name}: {shown(value)}")
        left += width
        top = 30 + 18 * number
        drawing.bar(0, top, 11, 11, number)
        drawing.text(18, top + 10, name)
        drawing.text(WIDTH - 60, top + 10, shown(value), "end")
        drawing.text(WIDTH, top + 10, f"{100 * value / (whole or 1):.1f} %", "end")
    bottom = 30 + 18 * len(values)
    drawing.text(18, bottom + 10, "together", kind="strong")
    drawing.text(WIDTH - 60, bottom + 10, shown(whole), "end", "strong")
    return drawing.finish(bottom + 16, label)


def histogram(
    values: Sequence[float],
    marks: Mapping[str, float],
    shown: Format,
    scale: tuple[float, str],
    label: str,
) -> str:
    """How often which value; ``marks`` are lines with names. Equal values give one bin.

    ``scale``: the axis's unit: its size in units of the values, and its name.
    """
    drawing, height, bins = Drawing(), 120.0, 40
    array = np.asarray(values, np.float64)
    low, high = float(array.min()), float(array.max())
    reach = max(high - low, abs(high) * 1e-3, 1e-9)
    low, high = low - 0.05 * reach, high + 0.05 * reach
    counts, edges = np.histogram(array, bins=bins, range=(low, high))

    def x_of(value: float) -> float:
        return WIDTH * (value - low) / (high - low)

    for count, start, stop in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            tall = height * count / counts.max()
            tip = f"{shown(start)} to {shown(stop)}: {count:,}"
            drawing.bar(x_of(start), height - tall, x_of(stop) - x_of(start) - 0.5, tall, 0, tip)
    drawing.line(0, height, WIDTH, height)
    _axis(drawing, low, high, height, scale)
    for number, (name, value) in enumerate(marks.items()):
        x, top = x_of(value), height + 38 + 15 * number
        drawing.line(x, 0, x, height, "mark" if not number else "dashes")
        drawing.text(0, top, name)
        drawing.text(WIDTH, top, shown(value), "end", "strong")
    return drawing.finish(height + 40 + 15 * len(marks) - 10, label)


def time_line(
    seconds: Sequence[float], values: Sequence[float], shown: Format, name: str, colour: int
) -> str:
    """Values over time from 0 on; of many between two columns of the drawing the extremes stay."""
    drawing, top, height = Drawing(), 24.0, 90.0
    end = max(seconds[-1], 1e-9)
    high = max(values) * 1.05 or 1.0
    drawing.bar(0, 0, 11, 11, colour)
    drawing.text(18, 10, name)
    for tick in ticks(0, high, 3):
        y = top + height * (1 - tick / high)
        drawing.line(0, y, WIDTH, y, "grid")
        drawing.text(0, y - 2, shown(tick), kind="small")
    points = [(WIDTH * at / end, top + height * (1 - value / high))
              for at, value in _thinned(seconds, values)]  # fmt: skip
    drawing.path(points, colour)
    drawing.line(0, top + height, WIDTH, top + height)
    drawing.text(0, top + height + 14, "0 s", kind="small")
    drawing.text(WIDTH, top + height + 14, f"{end:.4g} s", "end", "small")
    return drawing.finish(top + height + 20, name)


def matrix(counts: Sequence[Sequence[int]], names: Sequence[str], label: str) -> str:
    """A confusion matrix: a row for each true class, a column for each answer."""
    drawing, size = Drawing(), len(counts)
    left = min(110.0, 10 + _LETTER * max((len(name) for name in names), default=0))
    cell = (WIDTH - left) / max(size, 1)
    for row, (name, cells) in enumerate(zip(names, counts, strict=True)):
        y, whole = 16 + cell * row, max(sum(cells), 1)
        drawing.text(left - 5, y + cell / 2 + 4, _cut(name, left), "end", "small")
        for column, count in enumerate(cells):
            tip = f"{name} answered as {names[column]}: {count:,} of {sum(cells):,}"
            share = 0.08 + 0.8 * count / whole
            colour = 2 if row == column else 3
            drawing.bar(left + cell * column + 0.5, y + 0.5, cell - 1, cell - 1, colour, tip,
                        share if count else 0.06)  # fmt: skip
            if count and cell >= 14:
                x = left + cell * (column + 0.5)
                drawing.text(x, y + cell / 2 + 4, str(count), "middle", "small")
    drawing.text(left, 11, "answer, in the same order →", kind="small")
    return drawing.finish(18 + cell * size, label)


def _axis(drawing: Drawing, low: float, high: float, y: float, scale: tuple[float, str]) -> None:
    """Round numbers below a drawing, with as many digits as tell neighbours apart."""
    unit, name = scale
    low, high = low / unit, high / unit
    places = ticks(low, high, 3)
    step = min((b - a for a, b in pairwise(places)), default=high - low)
    digits = max(0, -math.floor(math.log10(step)))
    for tick in places:
        x, text = WIDTH * (tick - low) / (high - low), f"{tick:.{digits}f} {name}"
        half = _LETTER * len(text) / 2
        drawing.line(x, y, x, y + 4)
        drawing.text(min(max(x, half), WIDTH - half), y + 16, text, "middle", "small")


def _thinned(seconds: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """At most about _MOST_POINTS points; of each stretch its lowest and highest."""
    size = -(-2 * len(values) // _MOST_POINTS)
    points: list[tuple[float, float]] = []
    for start in range(0, len(values), size):
        rows = range(start, min(start + size, len(values)))
        chosen = {min(rows, key=values.__getitem__), max(rows, key=values.__getitem__)}
        points += [(seconds[row], values[row]) for row in sorted(chosen)]
    return points


def _cut(name: str, room: float) -> str:
    letters = int((room - 8) / _LETTER)
    return name if len(name) <= letters else name[: max(letters - 1, 1)] + "…"
