"""The two phases of a run: real numbers first, then the chip's integers."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.errors import InputError
from max78k.training.layers import Mode
from max78k.training.options import TrainOptions

_OF_INTEGERS = ("qat_epochs", "weight_bits", "budget", "exponents")


@dataclass(frozen=True)
class Phase:
    """A phase: how layers compute, which epochs, and the course of the learning rate.

    ``first`` is the number that its first epoch has in the plan. It is a smaller one in the run
    where the phase before was ended early.
    """

    mode: Mode
    first: int
    epochs: int
    learning_rate: float
    schedule: str
    warm_up: float


def phases(options: TrainOptions, plain: bool = False) -> tuple[Phase, ...]:
    """The phases of a run that have an epoch; of a ``plain`` network all epochs are real numbers.

    Raises InputError ``E-TRAIN-PLAIN`` if integers of a plain network are wanted.
    """
    first = options.epochs if plain else options.float_epochs
    for name in _OF_INTEGERS if plain else ():
        if (given := getattr(options, name)) != getattr(TrainOptions, name):
            raise InputError(
                "E-TRAIN-PLAIN",
                f"{options.network} has no layer of the chip, {name} is {given}.",
                "leave it out, or write the network in the layers of max78k.training.layers.",
            )
    all_of_them = (
        Phase(Mode.FLOAT, 0, first, options.learning_rate, options.schedule, options.warm_up),
        Phase(
            Mode.QAT,
            first,
            options.epochs - first,
            options.qat_learning_rate,
            options.qat_schedule,
            options.warm_up if options.qat_schedule == "one-cycle" else 0.0,
        ),
    )
    return tuple(phase for phase in all_of_them if phase.epochs)
