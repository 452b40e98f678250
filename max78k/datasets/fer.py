"""FER-2013 as the CSV file of its competition: columns emotion, pixels, Usage."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from max78k.datasets.dataset import Dataset, Split
from max78k.errors import InputError

CLASS_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIDE = 48
TEST_SHARE = 0.1  # held out of a file without a column Usage

_USAGES = {"training": "train", "publictest": "test", "privatetest": "final"}
_PIXELS = {str(value): value for value in range(256)}
_LABELS = {str(value): value for value in range(len(CLASS_NAMES))}


@dataclass
class _Rows:
    """Good rows of one part, as they come."""

    pixels: list[bytes] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def split(self) -> Split:
        """All rows as arrays."""
        pixels = np.frombuffer(b"".join(self.pixels), np.uint8)
        pictures = pixels.reshape(-1, 1, SIDE, SIDE)
        labels, rows = (np.array(values, dtype=np.int64) for values in (self.labels, self.rows))
        return Split(pictures, labels, origin=rows)


class _BadRow(Exception):
    """What is wrong with a row."""


def load_csv(path: Path, *, skip_bad_rows: bool = False, seed: int = 0) -> Dataset:
    """Read FER-2013.

    Column names may be in any order and case, with spaces around them. Usage Training becomes
    train, PublicTest test, PrivateTest final. Without a column Usage a share of every class,
    chosen by ``seed``, becomes test.

    Raises:
        InputError: E-DATA-ROW for rows that cannot be used (unless ``skip_bad_rows``, which counts
            them), E-DATA-COLUMNS, E-DATA-FILE, E-DATA-EMPTY.
    """
    parts = {part: _Rows() for part in _USAGES.values()}
    first_bad, bad = "", 0
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            columns = _columns(path, _cells(stream.readline()))
            for number, line in enumerate(stream):
                if not line.strip():
                    continue
                try:
                    _read_row(_cells(line), columns, parts, number)
                except _BadRow as error:
                    first_bad = first_bad or f"line {number + 2}: {error}"
                    bad += 1
    except OSError as error:
        raise InputError("E-DATA-FILE", f"{path} cannot be read: {error.strerror}.") from None
    if bad and not skip_bad_rows:
        raise InputError(
            "E-DATA-ROW",
            f"{path} {first_bad}; {bad} such {'row' if bad == 1 else 'rows'} in all.",
            "mend the file, or leave such rows out: --skip-bad-rows.",
        )
    final = parts["final"].split() if parts["final"].labels else None
    train, test = parts["train"].split(), parts["test"].split()
    named = "usage" in columns
    if not named:
        train, test = train.divide(TEST_SHARE, seed)
    return Dataset(path.name, CLASS_NAMES, train, test, final, bad, named)


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Position of each column, by its name in lower case."""
    columns = {name.lower(): position for position, name in enumerate(header)}
    missing = [name for name in ("emotion", "pixels") if name not in columns]
    if missing:
        found = ", ".join(repr(name[:20]) for name in header[:5])
        raise InputError(
            "E-DATA-COLUMNS",
            f"{path} has no column {' and no column '.join(missing)}; its first line has {found}.",
            "give a file whose first line is emotion,pixels,Usage.",
        )
    return columns


def _cells(line: str) -> list[str]:
    """Cells of a line; no cell of this format holds a comma."""
    return [cell.strip().strip('"').strip() for cell in line.split(",")]


def _read_row(
    row: list[str], columns: dict[str, int], parts: dict[str, _Rows], number: int
) -> None:
    """Add the row with this number to its part; raises _BadRow."""
    last = max(columns[name] for name in ("emotion", "pixels", "usage") if name in columns)
    if len(row) <= last:
        raise _BadRow(f"{len(row)} columns instead of {len(columns)}")
    emotion = row[columns["emotion"]]
    if emotion not in _LABELS:
        raise _BadRow(f"emotion {emotion[:20]!r} is not a number 0 ... {len(_LABELS) - 1}")
    usage = row[columns["usage"]] if "usage" in columns else "training"
    if usage.lower() not in _USAGES:
        raise _BadRow(f"Usage {usage[:20]!r} is none of Training, PublicTest, PrivateTest")
    tokens = row[columns["pixels"]].split()
    if len(tokens) != SIDE * SIDE:
        raise _BadRow(f"{len(tokens)} pixels instead of {SIDE * SIDE}")
    try:
        pixels = bytes(map(_PIXELS.__getitem__, tokens))
    except KeyError as error:
        raise _BadRow(f"pixel {error.args[0][:20]!r} is not a number 0 ... 255") from None
    rows = parts[_USAGES[usage.lower()]]
    rows.pixels.append(pixels)
    rows.labels.append(_LABELS[emotion])
    rows.rows.append(number)
