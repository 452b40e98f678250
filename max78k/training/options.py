"""What a training run can be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from max78k.errors import InputError
from max78k.training.augment import Augmentation

EXPONENT_RULES = ("mse", "max")


@dataclass(frozen=True)
class TrainOptions:
    """Options of a run; the defaults are the recipe for FER-2013 on a CPU.

    Attributes:
        network: a shipped network's name or "path/to/file.py:Class".
        folder: the run folder.
        epochs: epochs in all, those of quantization-aware training included.
        qat_epochs: the last epochs, which are quantization-aware; None: an eighth, at least one.
        batch_size: samples in a step.
        learning_rate: peak of the float phase (linear rise, then cosine to zero).
        qat_learning_rate: start of the quantization-aware phase (cosine to zero).
        weight_decay: on weights, not on biases or batch norm.
        label_smoothing: share of the target that is spread over all classes.
        distillation: share of the loss that the trained float network teaches in the
            quantization-aware phase; 0 is none.
        exponents: how steps are chosen: "mse" or "max".
        bf16: bfloat16 in the float phase; None: where the CPU multiplies it in hardware.
        seed: of everything random.
        resume: continue the run in ``folder``.
        augmentation: changes of the pictures.
    """

    network: str = "fer7"
    folder: Path = Path("runs/fer7")
    epochs: int = 30
    qat_epochs: int | None = None
    batch_size: int = 128
    learning_rate: float = 0.1
    qat_learning_rate: float = 0.005
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    distillation: float = 0.5
    exponents: str = "mse"
    bf16: bool | None = None
    seed: int = 1
    resume: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 10_000),
            ("batch_size", 1, 65_536),
            ("learning_rate", 0.0, 100.0),
            ("qat_learning_rate", 0.0, 100.0),
            ("weight_decay", 0.0, 1.0),
            ("label_smoothing", 0.0, 0.9),
            ("distillation", 0.0, 1.0),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError("E-TRAIN-OPTION", f"{name} is {value}; it must be {low}...{high}.")
        if self.qat_epochs is not None and not 0 < self.qat_epochs <= self.epochs:
            raise InputError(
                "E-TRAIN-OPTION",
                f"qat_epochs is {self.qat_epochs} of {self.epochs} epochs.",
                "at least one, at most all of them.",
            )
        if self.exponents not in EXPONENT_RULES:
            raise InputError("E-TRAIN-OPTION", f"exponents is {self.exponents!r}.", "mse or max.")

    @property
    def float_epochs(self) -> int:
        """Epochs before the quantization-aware ones."""
        qat = max(1, round(self.epochs / 8)) if self.qat_epochs is None else self.qat_epochs
        return self.epochs - qat

    def stored(self) -> dict[str, Any]:
        """What decides the result, as plain data (not the folder, nor whether it is resumed)."""
        values = asdict(self)
        del values["folder"], values["resume"]
        return values

    @staticmethod
    def restored(values: dict[str, Any], folder: Path) -> TrainOptions:
        """Options from :meth:`stored`, to continue the run in ``folder``."""
        known = {item.name for item in fields(TrainOptions)}
        kept = {name: value for name, value in values.items() if name in known}
        try:
            kept["augmentation"] = Augmentation(**kept["augmentation"])
            return TrainOptions(**{**kept, "folder": folder, "resume": True})
        except (KeyError, TypeError) as error:
            raise InputError(
                "E-RESUME-OPTIONS",
                f"the options stored in {folder} are not those of this version ({error}).",
                "begin a new run.",
            ) from error


@dataclass(frozen=True)
class TrainProgress:
    """Where a run is; ``row`` is the epoch's line of metrics after its last step, else None."""

    epoch: int
    epochs: int
    phase: str
    step: int
    steps: int
    loss: float
    row: dict[str, Any] | None = None


ProgressCallback = Callable[[TrainProgress], None]
