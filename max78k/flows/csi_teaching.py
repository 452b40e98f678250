"""What a teacher says of CSI windows, or of the pictures beside them, as their soft labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from max78k.csi.pairing import FACES_FILE, WINDOWS_FILE
from max78k.csi.windows import Windows, read_windows
from max78k.datasets.arrays import load_npz
from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import Split
from max78k.errors import InputError
from max78k.training.checkpoint import TrainedModel, float_checkpoint, load_model
from max78k.training.distillation import load_teacher
from max78k.training.evaluate import scores
from max78k.training.layers import Mode
from max78k.training.options import TrainOptions
from max78k.training.vit import is_csi_vit

_BATCH = 64  # of a transformer's windows, 10 MB each as images


def taught_windows(
    source: Path,
    teacher: Path,
    *,
    onto: Path | None = None,
    network: str | None = None,
    share: float = 0.5,
    temperature: float = 2.0,
) -> tuple[Windows, float]:
    """Windows with soft labels.

    Args:
        source: a folder of pairs that :func:`max78k.csi.pairing.write_pairs` wrote, whose pictures
            the teacher sees; or a file of windows, which it then reads itself.
        teacher: run folder or checkpoint, which answers in real numbers; or the folder of a
            transformer of CSI, which reads the windows of either. One of pictures may know more
            classes; those of the windows are taken by their names.
        onto: other windows of the same moments, which get the labels: for a network that reads
            images, from a teacher that reads series.
        network: the teacher's class, for one of a user's file.
        share: of the teacher in the soft labels of the train part; the label gets the rest. The
            test part keeps its labels alone.
        temperature: that its scores are divided by before they become shares.

    Returns:
        The windows, and the share of the test part that the teacher answers right.

    Raises:
        InputError: E-CSI-PAIR for files that do not belong together, E-TEACHER-CLASSES,
            E-TEACHER-SHAPE; those of :func:`max78k.training.checkpoint.load_model` and
            :func:`read_windows`.
    """
    windows = read_windows(source / WINDOWS_FILE if source.is_dir() else source)
    if source.is_dir() and not is_csi_vit(teacher):
        said = _of_pictures(windows, source, teacher, network)
    else:
        said = _of_windows(windows, teacher, network)
    if onto is not None:
        windows = _same_moments(windows, read_windows(onto))
    taught = {}
    for part, split in windows.data.parts().items():
        soft = np.eye(len(windows.data.class_names), dtype=np.float32)[split.labels]
        if part == "train":
            shares = (said[part] / temperature).softmax(dim=1).numpy()
            soft = share * shares + (1 - share) * soft
        taught[part] = Split(split.inputs, split.labels, soft.astype(np.float32))
    right = float((said["test"].argmax(dim=1).numpy() == windows.data.test.labels).mean())
    return replace(windows, data=windows.data.with_parts(taught)), right


def _of_pictures(
    windows: Windows, pairs: Path, teacher: Path, network: str | None
) -> dict[str, Tensor]:
    """Scores of the windows' classes for the picture of each, by part."""
    trained = load_model(float_checkpoint(teacher), network)
    faces = load_npz(pairs / FACES_FILE, trained.input_shape)
    columns = _columns(trained, windows.data.class_names)
    said = {}
    for part, split in windows.data.parts().items():
        seen = faces.parts()[part]
        if not np.array_equal(seen.labels, split.labels):
            raise InputError(
                "E-CSI-PAIR", f"{WINDOWS_FILE} and {FACES_FILE} of {pairs} are not of one run."
            )
        outputs = scores(trained.model, torch.from_numpy(seen.inputs), Mode.FLOAT)
        said[part] = outputs.float()[:, columns]
    return said


def _of_windows(windows: Windows, teacher: Path, network: str | None) -> dict[str, Tensor]:
    """Scores for each window, by part."""
    data = windows.data
    options = TrainOptions(teacher=str(teacher), teacher_network=network)
    model = load_teacher(options, data.class_names, data.input_shape)
    said = {}
    for part, split in data.parts().items():
        batches = torch.split(torch.from_numpy(split.inputs), _BATCH)
        said[part] = torch.cat([scores(model, one, Mode.FLOAT).float() for one in batches])
    return said


def _same_moments(windows: Windows, other: Windows) -> Windows:
    """The other windows, if row n of each part is of the same packets."""
    parts = windows.data.parts()
    same = (windows.recordings, windows.reverse) == (other.recordings, other.reverse) and all(
        np.array_equal(windows.groups[part], other.groups[part])
        and np.array_equal(parts[part].labels, split.labels)
        and np.array_equal(windows.seconds[part], other.seconds[part], equal_nan=True)
        for part, split in other.data.parts().items()
    )
    if not same:
        raise InputError(
            "E-CSI-PAIR",
            f"{windows.data.name} and {other.data.name} are not windows of the same moments.",
            "prepare both from the same recordings with the same --window, --step, --median, "
            "--rate, --split, --share, --seed and --reverse.",
        )
    return other


def _columns(teacher: TrainedModel, names: tuple[str, ...]) -> list[int]:
    """Where the windows' classes stand among the teacher's."""
    known = list(map(meaning, teacher.class_names))
    missing = [name for name in names if meaning(name) not in known]
    if missing:
        raise InputError(
            "E-TEACHER-CLASSES",
            f"{teacher.name} knows {', '.join(teacher.class_names)}, not {missing[0]}.",
            "class folders named as the teacher's classes.",
        )
    return [known.index(meaning(name)) for name in names]
