"""Transformers for CSI: who teaches, what is taught with, and how well it is learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from max78k.csi.windows import Windows
from max78k.datasets.face_traits import EMOTIONS
from max78k.datasets.faces import faces
from max78k.errors import InputError
from max78k.report.metrics import Scores, scores
from max78k.training.vit import (
    TINY,
    CsiVit,
    Picture,
    face_images,
    freeze,
    load_vit,
    new_vit,
    student_of,
)
from max78k.training.vit_lessons import Progress, Teacher, VitOptions, train_vit, vit_scores

DRAWN = "drawn"
_DRAWN_FACES = 2100  # to teach the teacher of drawn faces
_DRAWN_EPOCHS = 12


def make_student(
    windows: Windows,
    options: VitOptions,
    *,
    teacher: str | None = None,
    frames: Path | None = None,
    tiny: bool = False,
    frozen_layers: int = 0,
    progress: Progress = lambda steps, note: None,
) -> CsiVit:
    """Train a transformer of CSI windows.

    Args:
        windows: of form "series".
        options: of the training.
        teacher: a model id or folder of a transformer of faces; "drawn" for a small one that is
            first taught drawn faces; None for no teacher.
        frames: .npz with ``frames`` uint8 [train windows, 1 or 3, rows, columns], what the camera
            saw in each, or the data set of pictures that `csi pair` writes; None for drawn faces
            with the class's emotion.
        tiny: small transformers and pictures.
        frozen_layers: first layers that keep the teacher's weights.
        progress: gets each epoch.

    Raises:
        InputError: E-VIT-..., E-CSI-FORM.
    """
    inputs, names = windows.data.train.inputs, windows.data.class_names
    if inputs.ndim != 3:
        raise InputError(
            "E-CSI-FORM", "a transformer makes its images itself.", "windows of --form series."
        )
    picture = TINY if tiny else Picture()
    torch.manual_seed(options.seed)
    if teacher is None:
        vit = new_vit(names, inputs.shape[1], picture.side, tiny)
        student, lesson = CsiVit(vit, picture), None
    else:
        model = _drawn_teacher(options.seed, picture.side, tiny) if teacher == DRAWN else (
            load_vit(teacher))  # fmt: skip
        side = int(model.config.image_size)  # type: ignore[union-attr,arg-type]
        fitting = Picture(picture.segment, picture.hop, side)
        student = CsiVit(student_of(model, names, inputs.shape[1]), fitting)
        seen = _drawn_frames(windows, options.seed) if frames is None else _read_frames(frames)
        lesson = Teacher(model, seen)
    freeze(student.vit, frozen_layers)
    train_vit(student, windows, options, lesson, progress)
    return student


def score_vit(student: CsiVit, windows: Windows) -> Scores:
    """Scores over all windows of the test part."""
    split = windows.data.test
    found = vit_scores(student, split.inputs).argmax(axis=1)
    return scores(split.labels, found, len(windows.data.class_names))


def _drawn_frames(windows: Windows, seed: int) -> npt.NDArray[np.uint8]:
    """A drawn face with the emotion of each train window's class."""
    names = windows.data.class_names
    unknown = [name for name in names if name not in EMOTIONS]
    if unknown:
        raise InputError(
            "E-VIT-FRAMES",
            f"no face can be drawn for {unknown[0]}.",
            f"--frames FILE.npz, or classes among {', '.join(EMOTIONS)}.",
        )
    labels = windows.data.train.labels
    most = int(np.bincount(labels).max())
    pictures, shown = faces(len(EMOTIONS) * most, seed)
    frames = np.empty((len(labels), *pictures.shape[1:]), np.uint8)
    for label, name in enumerate(names):
        rows = np.flatnonzero(labels == label)
        frames[rows] = pictures[shown == EMOTIONS.index(name)][: len(rows)]
    return frames


def _read_frames(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if "frames" in archive.files:
                frames = archive["frames"]
            else:  # pictures of `csi pair`
                frames = archive["images"][archive["usage"] == "train"]
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1] not in (1, 3):
            raise ValueError(f"frames are {frames.dtype} {list(frames.shape)}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            "E-VIT-FRAMES",
            f"{path} holds no frames: {error}.",
            "an .npz with frames uint8 [train windows, 1 or 3, rows, columns], or faces.npz of "
            "`csi pair`.",
        ) from None
    return np.asarray(frames)


def _drawn_teacher(seed: int, side: int, tiny: bool) -> torch.nn.Module:
    """A transformer that has learnt the seven emotions of drawn faces."""
    model = new_vit(EMOTIONS, 1, side, tiny)
    pictures, labels = faces(_DRAWN_FACES, seed + 1)
    images, wanted = face_images(torch.from_numpy(pictures), model), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(_DRAWN_EPOCHS):
        for rows in torch.split(torch.randperm(len(wanted)), 32):
            loss = F.cross_entropy(model(pixel_values=images[rows]).logits, wanted[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model
