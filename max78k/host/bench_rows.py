"""The rows of a benchmark, one per inference, and the CSV file that holds them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from max78k.errors import InputError

Part = Literal["first", "warm-up", "single", "measured"]
BOARD_PHASES = ("window", "load", "inference", "unload", "post")
PHASES = (*BOARD_PHASES, "link")
STATISTICS = ("min", "p50", "mean", "p95", "p99", "max", "std")


@dataclass(frozen=True)
class Row:
    """One inference. Times in microseconds, energy in millijoules.

    Attributes:
        part: "first": the session's first inference; "warm-up": not counted; "single": one at a
            time, ahead of a pipelined measurement; "measured": what the statistics are of.
        index, round: number of the input and of the repetition, from 0.
        at_s: the host's seconds from the session's first inference on, when the result was there.
        window_us: making the input from CSI packets on the board; 0 for inputs that come whole.
        load_us, inference_us, unload_us, post_us: the other phases, by the board's timer.
        link_us: the host's wall time less the board's phases; in a pipeline, since the last result.
        inference_energy_mj, energy_mj: of the accelerator's run; of all the board's phases.
        input_crc: CRC-32 of the input, by which runs with the same inputs are compared.
        scores: the output values.
    """

    part: Part
    index: int
    round: int
    at_s: float
    label: int | None
    predicted: int | None
    window_us: float
    load_us: float
    inference_us: float
    unload_us: float
    post_us: float
    link_us: float
    inference_energy_mj: float
    energy_mj: float
    energy_kind: str
    boot_id: int
    input_crc: int
    scores: tuple[int, ...]

    @property
    def board_us(self) -> float:
        """All phases on the board."""
        return sum(float(getattr(self, f"{phase}_us")) for phase in BOARD_PHASES)

    @property
    def processor_us(self) -> float:
        """The phases in which the processor works and the accelerator does not."""
        return self.board_us - self.inference_us


CSV_COLUMNS = tuple(Row.__dataclass_fields__)
_TEXTS = ("part", "energy_kind")
_MAY_BE_EMPTY = ("label", "predicted")
_WHOLE = ("index", "round", "label", "predicted", "boot_id", "input_crc")


def phase_times(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Microseconds by phase, and of ``board``, their sum without ``link``; a phase that these rows
    do not have is left out."""
    times = {name: [float(getattr(row, f"{name}_us")) for row in rows] for name in PHASES}
    if not any(times["window"]):
        del times["window"]
    return {**times, "board": [row.board_us for row in rows]}


def summarize(values: Sequence[float]) -> dict[str, float]:
    """STATISTICS of at least one value; percentiles interpolate, ``std`` is of the population."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    p50, p95, p99 = np.percentile(array, (50, 95, 99))
    figures = (array.min(), p50, array.mean(), p95, p99, array.max(), array.std())
    return {name: float(figure) for name, figure in zip(STATISTICS, figures, strict=True)}


def phase_statistics(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """STATISTICS by phase, see :func:`phase_times`; nothing without rows."""
    if not rows:
        return {}
    return {phase: summarize(values) for phase, values in phase_times(rows).items()}


@contextmanager
def csv_log(path: Path) -> Iterator[Callable[[Row], None]]:
    """A function for ``on_row`` that writes rows to ``path`` as they come.

    Rows go, flushed one by one, to ``path`` with ``.part`` added, which takes its final name when
    the block ends, also by an error or Ctrl-C: even a killed process leaves its rows. A block that
    fails before the first row leaves ``path`` as it was. ``scores`` are joined by semicolons.
    """
    part = path.with_name(path.name + ".part")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = part.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "E-BENCH-FILE", f"{part}: {error.strerror}.", "name a file that can be written"
        ) from error
    with stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)

        def write(row: Row) -> None:
            nonlocal written
            _write_row(writer, row)
            stream.flush()
            written += 1

        try:
            yield write
        except BaseException:
            stream.close()
            _finish(part, path, keep=written > 0)
            raise
    _finish(part, path, keep=True)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all ``rows`` at once, in the format of :func:`csv_log`."""
    with csv_log(path) as write:
        for row in rows:
            write(row)


def read_csv(path: Path) -> list[Row]:
    """The rows that :func:`csv_log` wrote; raises InputError ``E-BENCH-RUN`` for another file."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != CSV_COLUMNS:
                raise ValueError("its columns are not those of a bench")
            return [Row(**{name: _value(name, row[name]) for name in CSV_COLUMNS})
                    for row in reader]  # fmt: skip
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            "E-BENCH-RUN", f"{path} holds no rows of a bench: {error}.",
            "name the folder that `max78k bench --out FOLDER` wrote",
        ) from None  # fmt: skip


def _value(name: str, text: str) -> Any:
    if name == "scores":
        return tuple(int(score) for score in text.split(";") if score)
    if name in _TEXTS:
        return text
    if name in _MAY_BE_EMPTY and not text:
        return None
    return int(text) if name in _WHOLE else float(text)


def _write_row(writer: Any, row: Row) -> None:
    """One line; a value that is not there is an empty cell, numbers keep all their digits."""
    cells = [getattr(row, name) for name in CSV_COLUMNS]
    cells[CSV_COLUMNS.index("scores")] = ";".join(map(str, row.scores))
    writer.writerow(["" if cell is None else cell for cell in cells])


def _finish(part: Path, path: Path, *, keep: bool) -> None:
    if keep:
        part.replace(path)
    else:
        part.unlink()
