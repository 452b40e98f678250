"""Learning from a teacher: its scores (arXiv:1503.02531) and what its last layer reads (1412.6550).

The teacher may be any ``torch.nn`` module with the same classes. Features are compared after a
linear projection of the student's channels, which is trained along and belongs to no network that
is stored for use.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import is_unnamed
from max78k.errors import InputError
from max78k.training.checkpoint import fill, float_checkpoint, load_model
from max78k.training.layers import ChipLayer, Mode, set_mode
from max78k.training.options import TrainOptions
from max78k.training.registry import build
from max78k.training.vit import is_csi_vit, load_csi_vit


class Student(nn.Module):
    """A model, and the projection of what its last layer reads onto the teacher's channels.

    Args:
        model: the network that is trained.
        projection: weight [teacher's channels, student's channels]; None: features are not read.
    """

    def __init__(self, model: nn.Module, projection: nn.Parameter | None = None) -> None:
        super().__init__()
        self.model = model
        self.projection = projection

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor | None]:
        """Outputs, and projected features [N, teacher's channels, ...] or None."""
        if self.projection is None:
            return self.model(data), None
        outputs, features = outputs_and_features(self.model, data)
        return outputs, torch.einsum("tc,nc...->nt...", self.projection, features.float())


class Lessons:
    """What a teacher adds to the loss.

    Args:
        teacher: takes real numbers (the chip's integers / 128); is not trained.
        options: the shares and the temperature.
    """

    def __init__(self, teacher: nn.Module, options: TrainOptions) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        set_mode(self.teacher, Mode.FLOAT)
        self._options = options

    @property
    def reads_features(self) -> bool:
        """Whether features are compared."""
        return self._options.feature_distillation > 0

    def loss(self, loss: Tensor, outputs: Tensor, features: Tensor | None, real: Tensor) -> Tensor:
        """The data's ``loss`` with the teacher's part.

        Args:
            loss: of the data.
            outputs: the student's, float32 [N, classes].
            features: the student's, projected.
            real: what the teacher reads, real numbers [N, C, ...].
        """
        options = self._options
        with torch.no_grad():
            if features is None:
                scores = self.teacher(real)
            else:
                scores, wanted = outputs_and_features(self.teacher, real)
            if options.teacher_flip:
                scores = mean_of_shares([scores, self.teacher(real.flip(-1))])
        if options.distillation:
            heat = options.temperature
            taught = F.kl_div(
                F.log_softmax(outputs / heat, dim=1),
                F.log_softmax(scores.float().flatten(1) / heat, dim=1),
                reduction="batchmean",
                log_target=True,
            )
            loss = (1 - options.distillation) * loss + options.distillation * heat**2 * taught
        if features is None:
            return loss
        return loss + options.feature_distillation * _distance(features, wanted.float())


def new_projection(student: nn.Module, teacher: nn.Module, sample: Tensor) -> nn.Parameter:
    """A projection between the features of two models that leaves the first channels as they are.

    Args:
        student, teacher: models of real numbers.
        sample: an input [1, C, ...] for both.
    """
    was_training = student.training
    with torch.no_grad():
        own = outputs_and_features(student.eval(), sample)[1]
        wanted = outputs_and_features(teacher.eval(), sample)[1]
    student.train(was_training)
    return nn.Parameter(torch.eye(wanted.shape[1], own.shape[1], device=sample.device))


def outputs_and_features(model: nn.Module, data: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and what the last layer with weights read."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen[:] = [arguments[0]]

    hooks = [layer.register_forward_pre_hook(keep) for layer in _weighted(model)]
    try:
        outputs = model(data)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs, seen[0]


def _weighted(model: nn.Module) -> list[nn.Module]:
    """Layers with weights of their own; batch norms within our layers do not count."""
    inner = {
        id(part)
        for layer in model.modules()
        if isinstance(layer, ChipLayer)
        for part in layer.modules()
        if part is not layer
    }
    return [
        module
        for module in model.modules()
        if id(module) not in inner and next(module.parameters(recurse=False), None) is not None
    ]


def _distance(features: Tensor, wanted: Tensor) -> Tensor:
    """Mean of 1 - cosine over samples and positions; it does not depend on the scale."""
    if features.ndim != wanted.ndim:
        features, wanted = (v.flatten(2).mean(2) if v.ndim > 2 else v for v in (features, wanted))
    elif features.shape[2:] != wanted.shape[2:]:
        pool = F.adaptive_avg_pool1d if wanted.ndim == 3 else F.adaptive_avg_pool2d
        wanted = pool(wanted, features.shape[2:])  # type: ignore[arg-type]
    return (1 - F.cosine_similarity(features, wanted, dim=1)).mean()


def own_teacher(model: nn.Module) -> nn.Module:
    """The float network as it is now."""
    return copy.deepcopy(model)


class Several(nn.Module):
    """Teachers that say together what they share: the mean of their shares, as scores.

    Networks that were trained alike but for the seed differ where the data leave it open; their
    mean is a better teacher than each of them (arXiv:1503.02531).
    """

    def __init__(self, teachers: list[nn.Module]) -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)

    def forward(self, data: Tensor) -> Tensor:
        """Logarithms of the mean shares, float32 [N, classes]."""
        return mean_of_shares([teacher(data) for teacher in self.teachers])


def mean_of_shares(scores: list[Tensor]) -> Tensor:
    """Scores [N, classes] whose softmax is the mean of the softmax of each of ``scores``."""
    shares = [one.float().flatten(1).softmax(dim=1) for one in scores]
    return torch.stack(shares).mean(dim=0).clamp_min(1e-12).log()


def load_teacher(
    options: TrainOptions, class_names: tuple[str, ...], input_shape: tuple[int, ...]
) -> nn.Module:
    """The teacher that ``options`` name, or all of them as one, on the CPU.

    Raises:
        InputError: E-TEACHER-SHAPE for one that does not take the data, or has another number of
            classes; E-TEACHER-CLASSES for one that has others, or the same in another order;
            E-TEACHER-SEVERAL for features of several; those of
            :func:`max78k.training.checkpoint.load_model`.
    """
    paths = [Path(name.strip()) for name in options.teacher.split(",")]
    if len(paths) > 1 and options.feature_distillation:
        raise InputError(
            "E-TEACHER-SEVERAL",
            f"{len(paths)} teachers have no features in common to learn.",
            "--feature-distillation 0, or one teacher.",
        )
    teachers = [_load_one(path, options, class_names, input_shape) for path in paths]
    return teachers[0] if len(teachers) == 1 else Several(teachers)


def _load_one(
    path: Path, options: TrainOptions, class_names: tuple[str, ...], input_shape: tuple[int, ...]
) -> nn.Module:
    """The teacher in a checkpoint or folder."""
    classes = len(class_names)
    if is_csi_vit(path):
        transformer = load_csi_vit(path)
        require_known(path, transformer.class_names, class_names)
        return _checked(transformer, path, classes, input_shape)
    path = float_checkpoint(path)
    state = None if options.teacher_network is None else _plain_state(path)
    if state is None:
        trained = load_model(path, options.teacher_network)
        require_known(path, trained.class_names, class_names)
        teacher = trained.model
    else:
        assert options.teacher_network is not None
        teacher = build(options.teacher_network, classes)
        fill(teacher, state, path)
    return _checked(teacher, path, classes, input_shape)


def require_known(path: Path, known: tuple[str, ...], class_names: tuple[str, ...]) -> None:
    """Refuse a teacher in ``path`` whose classes do not mean those of the data, in their order.

    Raises InputError ``E-TEACHER-CLASSES``. Classes without names (0, 1, ...) may be any
    of the same number.
    """
    nameless = is_unnamed(known) or is_unnamed(class_names)
    if nameless and len(known) == len(class_names):
        return
    if list(map(meaning, known)) != list(map(meaning, class_names)):
        raise InputError(
            "E-TEACHER-CLASSES",
            f"{path} knows {', '.join(known)}; the data have {', '.join(class_names)}.",
            "a teacher of the same classes in the same order.",
        )


def _checked(
    teacher: nn.Module, path: Path, classes: int, input_shape: tuple[int, ...]
) -> nn.Module:
    """The teacher, if it takes the data and has their classes."""
    teacher.eval()
    set_mode(teacher, Mode.FLOAT)
    try:
        with torch.no_grad():
            found = tuple(teacher(torch.zeros(1, *input_shape)).flatten(1).shape)
    except (RuntimeError, ValueError) as error:  # transformers raise the second
        raise InputError(
            "E-TEACHER-SHAPE",
            f"{path} does not take inputs of {input_shape} ({error}).",
            "a teacher of the data's shape; for images of CSI see `max78k csi teach --onto`.",
        ) from None
    if found != (1, classes):
        raise InputError("E-TEACHER-SHAPE", f"{path} has {found[1]} outputs, not {classes}.")
    return teacher


def _plain_state(path: Path) -> dict[str, Tensor] | None:
    """The state dict in ``path``, if it holds one and nothing else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, BadZipFile):
        return None  # load_model says what is wrong
    plain = isinstance(content, dict) and all(isinstance(v, Tensor) for v in content.values())
    return content if plain else None
