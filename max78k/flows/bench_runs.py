"""The folder of a bench: what is stored, read again, and shown on a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from max78k import __version__
from max78k.errors import InputError
from max78k.files import write_text
from max78k.host.bench_result import SCHEMA, SCHEMA_VERSION, BenchResult
from max78k.host.bench_rows import BOARD_PHASES, Row, phase_times, read_csv
from max78k.report.bench_page import BenchView, Table, bench_page
from max78k.report.metrics import confusion_matrix
from max78k.report.tables import percent

ROWS_FILE = "bench.csv"
SUMMARY_FILE = "bench.json"
PAGE_FILE = "report.html"


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A bench as its folder holds it.

    Attributes:
        name: what to call it beside others.
        summary: contents of ``bench.json``: see ``BenchResult.to_json``, and ``port``,
            ``started``, ``max78k``, ``data``, ``options``, ``class_names``, ``confusion``.
        rows: contents of ``bench.csv``.
    """

    name: str
    summary: dict[str, Any]
    rows: tuple[Row, ...]

    def part(self, part: str) -> list[Row]:
        """Rows of one part: "measured", "single", ..."""
        return [row for row in self.rows if row.part == part]


@dataclass(frozen=True)
class Circumstances:
    """What a run was made with, for its summary.

    Attributes:
        port: of the board.
        data: where the inputs came from.
        class_names: by index; may be empty.
        options: plain data.
        started: when.
    """

    port: str
    data: str
    class_names: Sequence[str]
    options: dict[str, Any]
    started: datetime

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the names of the classes."""
        return {
            "port": self.port,
            "started": self.started.isoformat(timespec="seconds"),
            "max78k": __version__,
            "data": self.data,
            "options": self.options,
        }


def write_run(folder: Path, result: BenchResult, about: Circumstances) -> None:
    """Write ``bench.json``; ``bench.csv`` has been written as the rows came."""
    names, confusion = _confusion(result, tuple(about.class_names))
    summary = {**result.to_json(), **about.to_json(), "class_names": names, "confusion": confusion}
    write_text(folder / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")


def read_run(folder: Path, name: str | None = None) -> StoredRun:
    """Read a run; raises InputError ``E-BENCH-RUN`` for a folder that holds none."""
    path = folder / SUMMARY_FILE
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(summary, dict) or (
            (summary.get("schema"), summary.get("schema_version")) != (SCHEMA, SCHEMA_VERSION)
        ):
            raise ValueError(f"it is no {SCHEMA} of version {SCHEMA_VERSION}")
    except (OSError, ValueError) as error:
        several = sorted(child.parent.name for child in folder.glob(f"*/{SUMMARY_FILE}"))
        inside = f"; it holds the runs {', '.join(several)}" if several else ""
        raise InputError(
            "E-BENCH-RUN", f"{path} is no summary of a bench: {error}{inside}.",
            "name the folder that `max78k bench --out FOLDER` wrote, or one of its boards'",
        ) from None  # fmt: skip
    return StoredRun(name or folder.name, summary, tuple(read_csv(folder / ROWS_FILE)))


def view(run: StoredRun) -> BenchView:
    """The run as a column of a page."""
    summary, rows = run.summary, run.part("measured")
    times = phase_times(rows) if rows else {}
    return BenchView(
        name=run.name,
        facts=_facts(summary),
        figures=summary["phases_us"],
        times_us={phase: times[phase] for phase in times if phase != "board"},
        board_phases=BOARD_PHASES,
        board_us=times.get("board", []),
        at_s=[row.at_s - rows[0].at_s for row in rows],
        starts=_starts(summary),
        energy=summary["energy"],
        class_names=tuple(summary["class_names"]),
        confusion=summary["confusion"],
        faults=summary["link"]["faults"],
        rates=_rates(summary),
        warning=_warning(summary),
    )


def _facts(summary: dict[str, Any]) -> dict[str, str]:
    device, link = summary["device"], summary["link"]
    accuracy = summary["accuracy"]
    facts = {
        "network": f"{device['network_name']} ({device['network_id']:08x})",
        "port": str(summary["port"]),
        "firmware": f"{device['firmware']}, core {device['core_clock_hz'] / 1e6:g} MHz",
        "inputs": str(summary["data"]),
        "inferences": f"{summary['frames']:,}",
        "how": "pipelined" if link["pipelined"] else "one by one",
        "rate": f"{summary['frames_per_s']:.1f} per second, link included",
        "line": f"{summary['baud']:,} baud",
        "accuracy": "" if accuracy is None else percent(accuracy, 2),
        "started": str(summary["started"]),
        "max78k": str(summary["max78k"]),
    }
    return {name: text for name, text in facts.items() if text}


def _starts(summary: dict[str, Any]) -> dict[str, float]:
    """Microseconds of what happens once, beside the steady state."""
    first, single = summary["first"], summary["single_us"]
    steady = summary["phases_us"].get("board", {}).get("p50")
    values = {
        "loading the weights, once": summary["weights_us"],
        "first inference": first and first["board"],
        "one at a time (median)": single and single["board"]["p50"],
        "steady state (median)": steady,
    }
    return {name: float(value) for name, value in values.items() if value}


def _rates(summary: dict[str, Any]) -> dict[str, float]:
    """Frames per second: what was reached, and what bounds it."""
    rates = {"reached, link included": summary["frames_per_s"]}
    throughput = summary["link"]["throughput"]
    if throughput is not None:
        rates["reached, by the board's timer"] = throughput["frames_per_s"]
        rates["what the line carries"] = throughput["line_per_s"]
        rates["what the accelerator takes"] = throughput["inference_per_s"]
    return rates


def _warning(summary: dict[str, Any]) -> str:
    reason = summary["interruption"]
    if reason is None:
        return ""
    return f"This run ended early, its figures are of what was measured before: {reason['message']}"


def _confusion(
    result: BenchResult, names: tuple[str, ...]
) -> tuple[list[str], list[list[int]] | None]:
    """Names of the classes and counts [true class][answer]; None without labels or classes."""
    pairs = [(row.label, row.predicted) for row in result.rows
             if row.label is not None and row.predicted is not None]  # fmt: skip
    if not pairs:
        return list(names), None
    labels, answers = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    classes = max(len(names), int(labels.max()) + 1, int(answers.max()) + 1)
    shown = [*names, *(str(number) for number in range(len(names), classes))]
    return shown, confusion_matrix(labels, answers, classes).tolist()


def write_page(path: Path, runs: Sequence[StoredRun], table: Table | None = None) -> None:
    """Write the runs side by side as one page; ``table`` compares them."""
    networks = dict.fromkeys(str(run.summary["device"]["network_name"]) for run in runs)
    title = f"Bench of {', '.join(networks)}"
    write_text(path, bench_page(title, [view(run) for run in runs], table))
