"""What a training run can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from max78k.errors import InputError
from max78k.training.option_table import About, check, option
from max78k.training.quantize import RULES

LEARNED = "learned"
EXPONENT_RULES = (*RULES, LEARNED)
SCHEDULES = ("cosine", "one-cycle", "multistep", "plateau", "constant")
LOSSES = ("cross-entropy", "cosine")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SELF = "self"  # the teacher that is the run's own float network

_LENGTH = "Length"
_BATCHES = "Batches"
_OPTIMIZER = "Optimizer"
_RATE = "Learning rate"
_LOSS = "Loss"
_TEACHER = "Distillation"
_QUANTIZATION = "Quantization"
_MACHINE = "Machine"
_PICTURES = "Augmentation"


@dataclass(frozen=True)
class Augmentation:
    """How far a picture may be changed; every amount is drawn evenly from [-amount, amount].

    Noise has a standard deviation drawn evenly from [0, amount].
    """

    flip: bool = option(True, About(_PICTURES, "Mirror left and right with probability 1/2."))
    rotate: float = option(12.0, About(_PICTURES, "Turn by up to so many degrees.", 0, 180))
    scale: float = option(0.12, About(_PICTURES, "Change the size by up to this share.", 0, 0.9))
    shift: float = option(
        0.08, About(_PICTURES, "Move by up to this share of the width and height.", 0, 1)
    )
    brightness: float = option(20.0, About(_PICTURES, "Grey levels added or taken.", 0, 255))
    contrast: float = option(
        0.25,
        About(_PICTURES, "Change the distance from the picture's mean by up to this share.", 0, 1),
    )
    cutout: int = option(0, About(
        _PICTURES, "Side of a square set to the mid grey 128, in pixels. 0: none.", 0))  # fmt: skip
    noise: float = option(
        0.0,
        About(
            _PICTURES,
            "Gaussian noise; each picture's standard deviation is drawn from 0 to this share of "
            "the range of grey levels.",
            0,
            1,
        ),
    )

    def only_mirrors(self) -> Augmentation:
        """Pictures are mirrored as before, and not changed otherwise."""
        still: dict[str, Any] = {item.name: 0 for item in fields(self) if item.name != "flip"}
        return replace(self, **still)


@dataclass(frozen=True)
class TrainOptions:
    """Options of a run; the defaults are the recipe for FER-2013 on a CPU.

    The other attributes say what they are in their ``About``; docs/training.md has them as tables.

    Attributes:
        network: a shipped network's name or "path/to/file.py:Class".
        network_arguments: keyword arguments of the class, besides ``classes``.
        folder: the run folder.
        resume: continue the run in ``folder``.
        augmentation: changes of the pictures.
    """

    network: str = "fer7"
    network_arguments: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path("runs/fer7")
    resume: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)

    epochs: int = option(
        30, About(_LENGTH, "All epochs, the quantization-aware ones included.", 1, 100_000)
    )
    qat_epochs: int | None = option(
        None,
        About(_LENGTH, "The last epochs, trained quantization-aware; an eighth if not given.", 1),
    )
    patience: int = option(
        0,
        About(
            _LENGTH,
            "Epochs without a better test accuracy that end a phase; its best state is "
            "restored. 0: never.",
            0,
        ),
    )

    initial: str | None = option(
        None,
        About(
            _LENGTH,
            "Checkpoint whose weights the run starts from; layers of another shape, as the last "
            "one for other classes, begin anew; several with commas: the mean of their weights.",
        ),
    )
    clean_epochs: int = option(
        0,
        About(
            _LENGTH,
            "The last epochs, whose samples are at most mirrored, neither changed nor blended: "
            "batch norm and weights then meet what the network will be asked.",
            0,
        ),
    )

    batch_size: int = option(
        128, About(_BATCHES, "Samples in a step, those of all processes together.", 1, 65_536)
    )
    oversample: bool = option(
        False, About(_BATCHES, "Draw samples so that all classes come equally often.")
    )
    mixup: float = option(
        0.0,
        About(
            _BATCHES, "Blend pairs of samples; parameter of the Beta distribution. 0: none.", 0, 10
        ),
    )
    cutmix: float = option(
        0.0,
        About(
            _BATCHES,
            "Paste a part of another sample; parameter of the Beta distribution. 0: none.",
            0,
            10,
        ),
    )
    cutmix_columns: bool = option(
        False,
        About(_BATCHES, "Paste whole columns: for images whose columns are points in time."),
    )

    optimizer: str = option(
        "sgd", About(_OPTIMIZER, "sgd is with Nesterov momentum.", choices=OPTIMIZERS)
    )
    momentum: float = option(
        0.9, About(_OPTIMIZER, "Of sgd and rmsprop; the first beta of adam and adamw.", 0, 0.999)
    )
    weight_decay: float = option(
        5e-4, About(_OPTIMIZER, "On weights, not on biases or batch norm.", 0, 1)
    )
    clip_norm: float = option(
        0.0,
        About(
            _OPTIMIZER, "Largest norm of the gradient; what is longer is scaled down. 0: any.", 0
        ),
    )
    ema: float = option(
        0.0,
        About(
            _OPTIMIZER,
            "Decay of an exponential moving average of the weights, which is then what is "
            "measured and stored. 0: none.",
            0,
            0.99999,
        ),
    )

    learning_rate: float = option(0.1, About(_RATE, "Peak of the float phase.", 0, 100))
    qat_learning_rate: float = option(
        0.005, About(_RATE, "Peak of the quantization-aware phase.", 0, 100)
    )
    schedule: str = option("cosine", About(_RATE, "Course of the float phase.", choices=SCHEDULES))
    qat_schedule: str = option(
        "cosine", About(_RATE, "Course of the quantization-aware phase.", choices=SCHEDULES)
    )
    warm_up: float = option(
        0.15, About(_RATE, "Share of the float phase in which the rate rises.", 0, 0.9)
    )
    milestones: tuple[float, ...] = option(
        (0.5, 0.75), About(_RATE, "multistep: shares of a phase after which the rate falls.", 0, 1)
    )
    gamma: float = option(
        0.1, About(_RATE, "multistep, plateau: factor by which the rate falls.", 0, 1)
    )
    plateau: int = option(
        3,
        About(
            _RATE, "plateau: epochs without a better test accuracy after which the rate falls.", 1
        ),
    )

    loss: str = option(
        "cross-entropy",
        About(
            _LOSS,
            "Of the data. cosine: 1 - cosine of the angle between outputs and target.",
            choices=LOSSES,
        ),
    )
    label_smoothing: float = option(
        0.1, About(_LOSS, "Share of the target that is spread over all classes.", 0, 0.9)
    )
    class_weights: str = option(
        "none",
        About(
            _LOSS, "balanced (the rarer the heavier), a number for each class with commas, or none."
        ),
    )

    distillation: float = option(
        0.5, About(_TEACHER, "Share of the loss that the teacher's scores give.", 0, 1)
    )
    temperature: float = option(
        2.0,
        About(
            _TEACHER,
            "By which scores are divided before student and teacher are compared.",
            0.1,
            100,
        ),
    )
    feature_distillation: float = option(
        0.0,
        About(
            _TEACHER,
            "Weight of the difference from the teacher in what the last layer reads, after a "
            "projection that only training has.",
            0,
            1000,
        ),
    )
    teacher: str = option(
        SELF,
        About(
            _TEACHER,
            "self: the run's own float network, in the quantization-aware phase; or a "
            "checkpoint, or a folder of `csi train-vit`, in both phases; several with commas teach "
            "the mean of what they say.",
        ),
    )
    teacher_flip: bool = option(
        False,
        About(_TEACHER, "The teacher says the mean of what it says of a picture and its mirror."),
    )
    teacher_network: str | None = option(
        None,
        About(
            _TEACHER,
            "path/to/file.py:Class of the teacher, where the checkpoint is of no shipped "
            "network; any torch.nn module with its state dict.",
        ),
    )

    exponents: str = option(
        "mse",
        About(
            _QUANTIZATION,
            "How steps are chosen: least squared error, nothing clipped, 0.01 % clipped; learned: "
            "by the first, then trained with the weights until a fifth is left.",
            choices=EXPONENT_RULES,
        ),
    )
    weight_bits: str | None = option(
        None,
        About(
            _QUANTIZATION,
            "1, 2, 4, 8, a policy FILE.yaml, or auto: the widths that fit into the budget with the "
            "least loss; the network's own if not given.",
        ),
    )
    budget: str | None = option(
        None, About(_QUANTIZATION, "Kernel memory for auto, like 300KiB; all of it if not given.")
    )

    device: str = option(
        "cpu", About(_MACHINE, "cpu, cuda, cuda:1, mps. Results are measured on the CPU, exactly.")
    )
    bf16: bool | None = option(
        None,
        About(
            _MACHINE,
            "bfloat16 in the float phase and in the backward pass of the other, whose forward "
            "pass stays exact; where the machine multiplies it in hardware if not said.",
        ),
    )
    seed: int = option(1, About(_MACHINE, "Of everything random.", 0, 2**63 - 1))
    tensorboard: bool = option(False, About(
        _MACHINE, "Also write the metrics for TensorBoard, into the run folder."))  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
        check(self.augmentation)
        if self.qat_epochs is not None and self.qat_epochs > self.epochs:
            raise InputError(
                "E-TRAIN-OPTION",
                f"qat_epochs is {self.qat_epochs} of {self.epochs} epochs.",
                "at least one, at most all of them.",
            )

    def is_clean(self, epoch: int) -> bool:
        """Whether the samples of a planned epoch are left as they are, mirrors apart."""
        return epoch >= self.epochs - self.clean_epochs

    @property
    def float_epochs(self) -> int:
        """Epochs before the quantization-aware ones."""
        qat = max(1, round(self.epochs / 8)) if self.qat_epochs is None else self.qat_epochs
        return self.epochs - qat

    def stored(self) -> dict[str, Any]:
        """What decides the result, as plain data: neither places, devices nor logs."""
        values = asdict(self)
        for name in ("folder", "resume", "tensorboard", "device"):
            del values[name]
        return {**values, "milestones": list(self.milestones)}

    @staticmethod
    def restored(values: dict[str, Any], folder: Path) -> TrainOptions:
        """Options from :meth:`stored`, to continue the run in ``folder``."""
        known = {item.name for item in fields(TrainOptions)}
        kept = {name: value for name, value in values.items() if name in known}
        try:
            kept["augmentation"] = Augmentation(**kept["augmentation"])
            kept["milestones"] = tuple(kept["milestones"])
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
