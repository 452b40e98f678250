"""The folder of a training run: metrics.csv, run.json, last.pt, best.pt, network.npz.

Several processes see the same folder; the first one alone writes.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from max78k import __version__
from max78k.errors import InputError
from max78k.files import write_text
from max78k.training.checkpoint import BEST, LAST

COLUMNS = (
    "epoch", "phase", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
    "images_per_second", "seconds",
)  # fmt: skip

Row = dict[str, Any]


class RunFolder:
    """Paths and plain-text files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.csv"
        self.summary = path / "run.json"
        self.last = path / LAST
        self.best = path / BEST
        self.network = path / "network.npz"
        self.tensorboard = path / "tensorboard"

    def begin(self, rows: list[Row]) -> None:
        """Write metrics.csv anew with ``rows``: a resumed run drops what its checkpoint lacks."""
        write_text(self.metrics, ",".join(COLUMNS) + "\n" + "".join(map(_line, rows)))

    def append(self, row: Row) -> None:
        """Add one whole line to metrics.csv."""
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(_line(row))

    def require_new(self) -> None:
        """Raise InputError if there is a run already."""
        if self.last.exists():
            raise InputError(
                "E-RUN-EXISTS",
                f"{self.path} holds a run already.",
                "resume it, or choose another folder.",
            )

    def write_summary(self, content: dict[str, Any]) -> None:
        """Write run.json: ``content`` with the versions of what computed it."""
        versions = {
            "max78k": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "platform": sys.platform,
            "threads": torch.get_num_threads(),
        }
        text = json.dumps({"versions": versions, **content}, indent=2, default=str)
        write_text(self.summary, text + "\n")


def _line(row: Row) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([_cell(row[name]) for name in COLUMNS])
    return stream.getvalue()


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
