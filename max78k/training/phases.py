"""The two phases of a run: real numbers first, then the chip's integers."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.training.layers import Mode
from max78k.training.options import TrainOptions


@dataclass(frozen=True)
class Phase:
    """A phase: how layers compute, how many epochs, and the course of the learning rate."""

    mode: Mode
    epochs: int
    learning_rate: float
    schedule: str
    warm_up: float


def phases(options: TrainOptions) -> tuple[Phase, ...]:
    """The phases of a run that have an epoch."""
    first = options.float_epochs
    all_of_them = (
        Phase(Mode.FLOAT, first, options.learning_rate, options.schedule, options.warm_up),
        Phase(
            Mode.QAT,
            options.epochs - first,
            options.qat_learning_rate,
            options.qat_schedule,
            options.warm_up if options.qat_schedule == "one-cycle" else 0.0,
        ),
    )
    return tuple(phase for phase in all_of_them if phase.epochs)
