"""What a network of faces says of paired pictures, as soft labels of their CSI windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from max78k.csi.pairing import FACES_FILE, WINDOWS_FILE
from max78k.csi.windows import Windows, read_windows
from max78k.datasets.arrays import load_npz
from max78k.datasets.dataset import Split
from max78k.errors import InputError
from max78k.training.checkpoint import TrainedModel, load_model
from max78k.training.evaluate import scores
from max78k.training.layers import Mode
from max78k.training.run_folder import RunFolder


def taught_windows(
    pairs: Path,
    teacher: Path,
    *,
    network: str | None = None,
    share: float = 0.5,
    temperature: float = 2.0,
) -> tuple[Windows, float]:
    """Windows of a folder of pairs with soft labels.

    Args:
        pairs: what :func:`max78k.csi.pairing.write_pairs` wrote.
        teacher: run folder or checkpoint of a network of faces, which answers in real numbers. It
            may know more classes; those of the windows are taken by their names.
        network: the teacher's class, for one of a user's file.
        share: of the teacher in the soft labels of the train part; the label gets the rest. The
            test part keeps its labels alone.
        temperature: that its scores are divided by before they become shares.

    Returns:
        The windows, and the share of the test part's pictures that the teacher answers right.

    Raises:
        InputError: E-CSI-PAIR for files that do not belong together, E-TEACHER-CLASSES; those of
            :func:`max78k.training.checkpoint.load_model` and :func:`read_windows`.
    """
    windows = read_windows(pairs / WINDOWS_FILE)
    trained = load_model(RunFolder(teacher).best if teacher.is_dir() else teacher, network)
    faces = load_npz(pairs / FACES_FILE, trained.input_shape)
    columns = _columns(trained, windows.data.class_names)
    taught = {}
    for part, split in windows.data.parts().items():
        seen = faces.parts()[part]
        if not np.array_equal(seen.labels, split.labels):
            raise InputError(
                "E-CSI-PAIR", f"{WINDOWS_FILE} and {FACES_FILE} of {pairs} are not of one run."
            )
        shares = _shares(trained, seen, columns, temperature)
        soft = np.eye(len(columns), dtype=np.float32)[split.labels]
        if part == "train":
            soft = share * shares + (1 - share) * soft
        taught[part] = Split(split.inputs, split.labels, soft.astype(np.float32))
    right = float((shares.argmax(axis=1) == windows.data.test.labels).mean())
    return replace(windows, data=windows.data.with_parts(taught)), right


def _columns(teacher: TrainedModel, names: tuple[str, ...]) -> list[int]:
    """Where the windows' classes stand among the teacher's."""
    known = [name.lower() for name in teacher.class_names]
    missing = [name for name in names if name.lower() not in known]
    if missing:
        raise InputError(
            "E-TEACHER-CLASSES",
            f"{teacher.name} knows {', '.join(teacher.class_names)}, not {missing[0]}.",
            "class folders named as the teacher's classes.",
        )
    return [known.index(name.lower()) for name in names]


def _shares(
    teacher: TrainedModel, pictures: Split, columns: list[int], temperature: float
) -> npt.NDArray[np.float32]:
    outputs = scores(teacher.model, torch.from_numpy(pictures.inputs), Mode.FLOAT).float()
    return np.asarray((outputs[:, columns] / temperature).softmax(dim=1).numpy())
