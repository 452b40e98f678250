"""Tables for generated pages."""

from __future__ import annotations

from collections.abc import Iterable

GENERATED = "<!-- Made from the package's tables by tools/write_docs.py; do not edit. -->\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table; bars inside of cells are escaped."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [_row(head), _row(("---",) * len(head)), *map(_row, cells)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
