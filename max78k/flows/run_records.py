"""What finished training runs left in their folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from max78k.errors import InputError
from max78k.report.metrics import Scores, scores_of
from max78k.training.run_folder import RunFolder

USAGE_FILE = "usage.json"  # of a run that learnt from a chosen part of the data
_PICTURES, _ARGUMENTS = "augmentation", "network_arguments"


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished run.

    Attributes:
        folder: its folder.
        options: of training, with those of the augmentation, arguments of the network and usage
            factors beside them.
        history: a line of metrics.csv for each epoch.
        metrics: of run.json.
        data: what it was trained and measured with: name, samples and checksums of the parts.
    """

    folder: Path
    options: Mapping[str, Any]
    history: list[dict[str, str]]
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What to call it."""
        return self.folder.resolve().name

    @property
    def float_accuracy(self) -> float | None:
        """Of the float network; None if it was not measured."""
        return self.metrics.get("float_accuracy")

    @property
    def integer_accuracy(self) -> float | None:
        """Of the integer network; None for a run that made none."""
        return self.metrics.get("integer_accuracy")

    @property
    def accuracy(self) -> float | None:
        """Of what the run made: the integer network, else the float one."""
        whole = self.integer_accuracy
        return self.float_accuracy if whole is None else whole

    @property
    def seconds(self) -> float:
        """Of all epochs."""
        return float(self.metrics.get("seconds", 0.0))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.metrics.get("class_accuracy") or ())

    @cached_property
    def scores(self) -> Scores | None:
        """On the test part; None where no confusion matrix was stored."""
        confusion = self.metrics.get("confusion")
        return None if confusion is None else scores_of(np.array(confusion, np.int64))

    def column(self, name: str) -> list[float]:
        """A column of metrics.csv, one number for each epoch."""
        return [float(row[name]) for row in self.history]


def read_run(folder: Path) -> RunRecord:
    """The finished run in ``folder``.

    Raises InputError ``E-RUN-MISSING`` where there is none and ``E-RUN-FILE`` for files that are
    not those of a run.
    """
    files = RunFolder(folder)
    if not files.summary.is_file():
        raise InputError(
            "E-RUN-MISSING",
            f"{folder} holds no finished run: it has no {files.summary.name}.",
            "a folder of train-qat or train-many; --resume finishes a run that was stopped.",
        )
    try:
        content = json.loads(files.summary.read_text(encoding="utf-8"))
        options, metrics = dict(content["options"]), dict(content["metrics"])
        data = dict(content.get("dataset") or {})
        usage_file = folder / USAGE_FILE
        usage = json.loads(usage_file.read_text("utf-8")) if usage_file.is_file() else {}
        options |= {**options.pop(_PICTURES), **options.pop(_ARGUMENTS)}
        options |= usage.get("factors", {})
        with files.metrics.open(encoding="utf-8", newline="") as stream:
            history = list(csv.DictReader(stream))
        record = RunRecord(folder, options, history, metrics, data)
        for name in ("train_loss", "train_accuracy", "test_accuracy"):
            record.column(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "E-RUN-FILE", f"{folder} holds no usable run ({type(error).__name__}: {error})."
        ) from None
    return record


def find_runs(folder: Path) -> list[RunRecord]:
    """The run in ``folder``, or the finished ones right under it.

    Raises InputError ``E-RUN-MISSING`` where there is none.
    """
    files = RunFolder(folder)
    inside = sorted(path.parent for path in folder.glob(f"*/{files.summary.name}"))
    if files.summary.is_file() or not inside:
        return [read_run(folder)]
    return [read_run(path) for path in inside]


def unfinished(folder: Path) -> list[Path]:
    """Folders right under ``folder`` whose runs were begun and have no result."""
    files = RunFolder(folder)
    begun = (path.parent for path in folder.glob(f"*/{files.metrics.name}"))
    return sorted(path for path in begun if not (path / files.summary.name).is_file())
