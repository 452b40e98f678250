"""Training a CSI transformer, alone or taught by a transformer that sees the face."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.csi.windows import Windows
from max78k.errors import InputError
from max78k.training.augment import to_integers
from max78k.training.vit import CsiVit, class_columns, face_images

_IMAGES_IN_MEMORY = 1 << 30  # bytes
CHOOSING_SHARE = 5  # every fifth recording of the train part chooses the epoch

Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class VitOptions:
    """How a transformer is trained; Adam, the rate times ``gamma`` after each milestone.

    Attributes:
        feature_weight: of the squared difference of the last hidden states.
        logit_weight: of the divergence from the teacher's scores at ``temperature``, over the
            classes that both know.
        bf16: bfloat16 where precision allows it (autocast).
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    milestones: tuple[int, ...] = (10, 80)
    gamma: float = 0.1
    feature_weight: float = 0.001
    logit_weight: float = 0.0
    temperature: float = 2.0
    bf16: bool = False
    seed: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class Teacher:
    """A transformer of faces, and the frame of each train window, uint8 [N, 1 or 3, ...]."""

    model: nn.Module
    frames: npt.NDArray[np.uint8]


def train_vit(
    student: CsiVit,
    windows: Windows,
    options: VitOptions,
    teacher: Teacher | None = None,
    progress: Progress = lambda steps, note: None,
) -> float:
    """Train ``student`` and leave it in its best epoch's state; returns that epoch's loss.

    The loss that chooses is on recordings of the train part that are not learnt from; the test
    part is not looked at.

    Raises InputError ``E-VIT-FRAMES`` for frames that are not one for each window, ``E-VIT-SHAPE``
    where the hidden states differ in shape.
    """
    torch.manual_seed(options.seed)
    split, device = windows.data.train, torch.device(options.device)
    inputs = _Images(student, split.inputs)
    labels = torch.from_numpy(split.labels)
    lesson = None
    if teacher is not None:
        lesson = _Lesson(teacher, options, windows.data.class_names, len(split))
    chooses = torch.from_numpy(windows.groups["train"] % CHOOSING_SHARE == 0)
    learnt, choosing = (torch.nonzero(rows).flatten() for rows in (~chooses, chooses))
    if not len(learnt) or not len(choosing):
        learnt = choosing = torch.arange(len(split))
    student.to(device)
    trained = [value for value in student.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=options.learning_rate)
    course = torch.optim.lr_scheduler.MultiStepLR(
        optimizer, list(options.milestones), gamma=options.gamma
    )
    best, state = float("inf"), copy.deepcopy(student.state_dict())
    for epoch in range(options.epochs):
        student.train()
        order = learnt[torch.randperm(len(learnt))]
        for rows in torch.split(order, options.batch_size):
            with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
                seen, wanted = inputs.take(rows).to(device), labels[rows].to(device)
                loss = _loss(student, seen, wanted, lesson, rows)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        course.step()
        found = _choosing_loss(student, inputs, choosing, labels, options)
        if found < best:
            best, state = found, copy.deepcopy(student.state_dict())
        progress(1, f"epoch {epoch + 1} loss {found:.3f}")
    student.load_state_dict(state)
    student.eval()
    return best


@torch.no_grad()
def vit_scores(student: CsiVit, inputs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Shares of the classes for stored windows, uint8 [N, channels, packets]."""
    student.eval()
    device = next(student.parameters()).device
    parts = torch.split(to_integers(torch.from_numpy(inputs)) / 128, 64)
    shares = [student(part.to(device)).float().softmax(dim=1).cpu() for part in parts]
    return np.asarray(torch.cat(shares).double().numpy())


class _Lesson:
    """What the teacher says of each train window, asked once."""

    def __init__(
        self, teacher: Teacher, options: VitOptions, names: tuple[str, ...], count: int
    ) -> None:
        if len(teacher.frames) != count:
            raise InputError(
                "E-VIT-FRAMES", f"{len(teacher.frames)} frames for {count} train windows."
            )
        self.options = options
        model = teacher.model.to(options.device).eval().requires_grad_(False)
        columns = class_columns(model, names) if options.logit_weight else []
        scores, hidden = [], []
        with torch.no_grad():
            for part in torch.split(torch.from_numpy(teacher.frames), 32):
                images = face_images(part, model).to(options.device)
                found = model(pixel_values=images, output_hidden_states=True)
                scores.append(found.logits[:, columns])
                hidden.append(found.hidden_states[-1].half())  # thousands of windows fit
        self.scores, self.hidden = torch.cat(scores), torch.cat(hidden)

    def loss(self, scores: Tensor, hidden: Tensor, rows: Tensor) -> Tensor:
        """What the teacher adds to the loss."""
        options = self.options
        rows = rows.to(self.hidden.device)
        wanted = self.hidden[rows].float()
        if wanted.shape != hidden.shape:
            raise InputError(
                "E-VIT-SHAPE",
                f"hidden states are {list(wanted.shape[1:])} in the teacher and "
                f"{list(hidden.shape[1:])} in the student.",
                "begin the student from the teacher.",
            )
        loss = options.feature_weight * F.mse_loss(hidden.float(), wanted)
        if options.logit_weight:
            heat = options.temperature
            loss = loss + options.logit_weight * heat**2 * F.kl_div(
                F.log_softmax(scores.float() / heat, dim=1),
                F.log_softmax(self.scores[rows] / heat, dim=1),
                reduction="batchmean",
                log_target=True,
            )
        return loss


def _loss(
    student: CsiVit, images: Tensor, labels: Tensor, lesson: _Lesson | None, rows: Tensor
) -> Tensor:
    scores, hidden = student.look(images)
    loss = F.cross_entropy(scores, labels)
    return loss if lesson is None else loss + lesson.loss(scores, hidden, rows)


class _Images:
    """Images of stored windows, made once where they fit into memory."""

    def __init__(self, student: CsiVit, stored: npt.NDArray[np.uint8]) -> None:
        self._student, self._stored = student, torch.from_numpy(stored)
        side, count = student.picture.side, stored.shape[0] * stored.shape[1]
        self._images: Tensor | None = None
        if 4 * count * side**2 <= _IMAGES_IN_MEMORY:
            every = torch.arange(len(stored))
            self._images = torch.cat([self._make(rows) for rows in torch.split(every, 64)])

    def take(self, rows: Tensor) -> Tensor:
        """Images of some windows."""
        return self._make(rows) if self._images is None else self._images[rows]

    @torch.no_grad()
    def _make(self, rows: Tensor) -> Tensor:
        return self._student.images(to_integers(self._stored[rows]) / 128)


@torch.no_grad()
def _choosing_loss(
    student: CsiVit, inputs: _Images, rows: Tensor, labels: Tensor, options: VitOptions
) -> float:
    student.eval()
    total = 0.0
    for part in torch.split(rows, 64):
        scores = student.look(inputs.take(part).to(options.device))[0].float()
        wanted = labels[part].to(options.device)
        total += float(F.cross_entropy(scores, wanted, reduction="sum"))
    return total / len(rows)
