"""What trained networks say of pictures, as soft labels for other networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.training.augment import to_integers
from max78k.training.checkpoint import TrainedModel, float_checkpoint, load_model
from max78k.training.distillation import require_known
from max78k.training.dropped import measure_norms
from max78k.training.evaluate import accuracy, model_input, scores
from max78k.training.layers import Mode, set_mode
from max78k.training.processes import has_fast_bf16

VIEWS = 10  # the picture, moved in four directions, and the mirror of each
_NORM_BATCH = 256


@dataclass(frozen=True)
class Taught:
    """A data set that teachers have labelled.

    Attributes:
        dataset: the train part's soft labels are the teachers' shares and what was there before.
        alone: share of the test part that each teacher has right, by all its views.
        together: that of their mean.
    """

    dataset: Dataset
    alone: tuple[float, ...]
    together: float


def taught_pictures(
    dataset: Dataset,
    teachers: Sequence[Path],
    *,
    network: str | None = None,
    share: float = 0.7,
    shift: int = 3,
    progress: Callable[[int, str], None] = lambda steps, note: None,
) -> Taught:
    """Pictures with the mean of what teachers say of several views of each.

    A view is the picture or its mirror, as it is or moved by ``shift`` pixels up, down, left or
    right with its edge repeated. Batch norm's statistics are taken anew from the train part's
    pictures: those that training left are of turned, cut and brightened ones.

    Args:
        dataset: pictures; soft labels of the train part stand for its labels. Its classes get the
            names that the first teacher has for them.
        teachers: run folders or checkpoints; they answer in real numbers.
        network: the teachers' class, where they are of a user's file.
        share: of the teachers in a soft label of the train part; the rest is as before. The other
            parts are not changed.
        shift: in pixels; 0: the picture and its mirror alone.
        progress: is told of every view of a teacher: :func:`steps` in all.

    Raises:
        InputError: E-TEACHER-SHAPE, E-TEACHER-CLASSES; those of
            :func:`max78k.training.checkpoint.load_model`.
    """
    loaded = [load_model(float_checkpoint(path), network) for path in teachers]
    dataset = dataset.named_like(loaded[0].class_names)
    for teacher, path in zip(loaded, teachers, strict=True):
        _check(teacher, path, dataset)
    pictures = {part: torch.from_numpy(dataset.parts()[part].inputs) for part in ("train", "test")}
    found: dict[str, list[Tensor]] = {part: [] for part in pictures}
    for teacher in loaded:
        _renew_norms(teacher.model, pictures["train"])
        progress(2, f"{teacher.name}: batch norm")
        for part, inputs in pictures.items():
            found[part].append(_shares(teacher, inputs, shift, progress))
    labels = torch.from_numpy(dataset.test.labels)
    mean = {part: torch.stack(shares).mean(dim=0) for part, shares in found.items()}
    train = dataset.train
    soft = np.eye(len(dataset.class_names))[train.labels] if train.soft is None else train.soft
    mixed = (share * mean["train"].numpy() + (1 - share) * soft).astype(np.float32)
    return Taught(
        dataset.with_parts({**dataset.parts(), "train": replace(train, soft=mixed)}),
        tuple(accuracy(shares, labels) for shares in found["test"]),
        accuracy(mean["test"], labels),
    )


def steps(teachers: int, shift: int) -> int:
    """What the progress of :func:`taught_pictures` adds up to."""
    return teachers * (2 + 2 * (VIEWS if shift else 2))


def _check(teacher: TrainedModel, path: Path, dataset: Dataset) -> None:
    """Refuse a teacher that does not take the pictures or has other classes."""
    if tuple(teacher.input_shape) != dataset.input_shape or len(dataset.input_shape) != 3:
        raise InputError(
            "E-TEACHER-SHAPE",
            f"{path} takes inputs of {tuple(teacher.input_shape)}, {dataset.name} has "
            f"{dataset.input_shape}.",
            "teachers and data of pictures of one size.",
        )
    require_known(path, teacher.class_names, dataset.class_names)


def _renew_norms(model: nn.Module, pictures: Tensor) -> None:
    """Batch norm's statistics of all pictures and their mirrors."""
    both = torch.cat([pictures, pictures.flip(-1)])
    order = torch.randperm(len(both), generator=torch.Generator().manual_seed(0))
    set_mode(model, Mode.FLOAT)
    batches = (
        model_input(to_integers(both[rows]), Mode.FLOAT)
        for rows in torch.split(order, _NORM_BATCH)
        if len(rows) > 1  # of one sample, 1 x 1 in the end, there is no spread
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bf16(torch.device("cpu"))):
        measure_norms(model, batches)


def _shares(
    teacher: TrainedModel, pictures: Tensor, shift: int, progress: Callable[[int, str], None]
) -> Tensor:
    """Mean share of each class over the views of each picture, float32 [N, classes]."""
    fast = has_fast_bf16(torch.device("cpu"))
    total = torch.zeros(())
    for number, view in enumerate(_views(pictures, shift)):
        total = total + scores(teacher.model, view, Mode.FLOAT, fast).float().softmax(dim=1)
        progress(1, f"{teacher.name}: view {number + 1}")
    return total / total.sum(dim=1, keepdim=True)


def _views(pictures: Tensor, shift: int) -> Iterator[Tensor]:
    rows, columns = pictures.shape[2:]
    wide = F.pad(pictures.float(), (shift,) * 4, mode="replicate").to(pictures.dtype)
    places = [(0, 0), (-shift, 0), (shift, 0), (0, -shift), (0, shift)] if shift else [(0, 0)]
    for down, across in places:
        top, left = shift + down, shift + across
        view = wide[:, :, top : top + rows, left : left + columns]
        yield view
        yield view.flip(-1)
