"""Metrics for TensorBoard, in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from max78k.errors import InputError


class TensorBoardLog:
    """Writes each epoch's row of metrics.

    Args:
        folder: where the event files go.
        first: epoch with which this process begins; what an earlier one wrote of it or later is
            hidden.

    Raises:
        InputError: E-TRAIN-TENSORBOARD where the package is not installed.
    """

    def __init__(self, folder: Path, first: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "E-TRAIN-TENSORBOARD",
                "the Python package tensorboard is not installed.",
                "pip install 'max78k[tensorboard]'.",
            ) from None
        self._writer = SummaryWriter(str(folder), purge_step=first)

    def write(self, row: dict[str, Any]) -> None:
        """One epoch."""
        for name, value in row.items():
            if isinstance(value, float):
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """No more rows."""
        self._writer.close()
