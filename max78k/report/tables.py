"""Numbers with units, and tables with aligned columns, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from max78k.report.metrics import Scores

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((1 << 20, "MiB"), (1 << 10, "KiB"))


def count(value: int) -> str:
    """12345 -> "12,345"."""
    return f"{value:,}"


def percent(share: float, digits: int = 1) -> str:
    """0.6789 -> "67.9 %"."""
    return f"{100 * share:.{digits}f} %"


def seconds(value: float) -> str:
    """0.0001234 -> "123.4 µs"; four digits at most."""
    if value == 0:
        return "0 s"
    unit, name = time_unit(value)
    return f"{_short(value / unit)} {name}"


def time_unit(value: float) -> tuple[float, str]:
    """The unit in which ``value`` seconds is best shown: its length in seconds, and its name."""
    return next((entry for entry in _TIMES if abs(value) >= entry[0] * 0.99995), _TIMES[-1])


def size(value: int) -> str:
    """442368 -> "432 KiB"; below 1 KiB in bytes."""
    for unit, name in _SIZES:
        if abs(value) >= unit:
            return f"{_short(value / unit)} {name}"
    return f"{value} B"


def _short(value: float) -> str:
    """Four digits at most, no zeros at the end."""
    borders = (9.9995, 99.995, 999.95)
    digits = len(borders) - sum(abs(value) >= border for border in borders)
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(
    headers: Sequence[str], rows: Sequence[Sequence[object]], total: Sequence[object] | None = None
) -> str:
    """Lines of aligned columns under a ruled header.

    Columns of numbers (also those that end in a unit) are aligned to the right, others to the
    left. Floats are shown as they are given: format them first.

    Args:
        headers: one name per column.
        rows: cells, as many as there are headers.
        total: a last row under a rule.
    """
    body = [[str(cell) for cell in row] for row in rows]
    last = [] if total is None else [[str(cell) for cell in total]]
    for row in (*body, *last):
        if len(row) != len(headers):
            raise ValueError(f"a row has {len(row)} cells for {len(headers)} columns")
    columns = list(zip(headers, *body, *last, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [_numeric(column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = [line(headers), rule, *map(line, body)]
    return "\n".join([*lines, rule, *map(line, last)] if last else lines)


def _numeric(cells: Sequence[str]) -> bool:
    """Whether every cell that says something begins like a number."""
    said = [cell for cell in cells if cell not in ("", "-")]
    return bool(said) and all(cell.lstrip("+-.")[:1].isdigit() for cell in said)


def scores_table(scores: Scores, class_names: Sequence[str]) -> str:
    """Precision, recall, F1 and samples of each class, their means, and the accuracy."""
    rows: list[list[str]] = [
        [name, *map(percent, map(float, values)), count(int(support))]
        for name, *values, support in zip(
            class_names, scores.precision, scores.recall, scores.f1, scores.support, strict=True
        )
    ]
    samples = count(int(scores.support.sum()))
    for name, means in (("macro mean", scores.macro), ("weighted mean", scores.weighted)):
        rows.append([name, *map(percent, means), samples])
    headers = ("class", "precision", "recall", "F1", "samples")
    return table(headers, rows, ("accuracy", percent(scores.accuracy, 2), "", "", samples))
