"""The extended Cohn-Kanade data set (CK+): sequences of faces from neutral to an expression.

Two layouts are read. As published: ``cohn-kanade-images/S005/001/*.png`` with
``Emotion/S005/001/S005_001_00000011_emotion.txt``, which holds the number of the expression at the
sequence's end. As passed on (CK+48): folders of classes with files named ``S010_004_00000017.png``.
A person's pictures are never in both parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.dice import permutation
from max78k.datasets.images import load_image
from max78k.errors import InputError

# The numbers of the emotion files, from 0.
CLASS_NAMES = (
    "neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise",
)  # fmt: skip
PEAK_FRAMES = 3  # of a sequence's end that show its expression
TEST_SHARE = 0.15  # of the persons

_IMAGES, _LABELS = "cohn-kanade-images", "Emotion"
_FILE = re.compile(r"(S\d{3})_\d{3}_\d{8}", re.IGNORECASE)


@dataclass(frozen=True)
class _Face:
    path: Path
    person: str
    label: int


def is_ckplus(root: Path) -> bool:
    """Whether a folder is CK+ in either layout."""
    if is_published(root):
        return True
    folders = [entry for entry in root.iterdir() if entry.is_dir()]
    first = (next(iter(sorted(folder.glob("*.png"))), None) for folder in folders)
    return bool(folders) and all(path is not None and _FILE.match(path.name) for path in first)


def is_published(root: Path) -> bool:
    """Whether a folder is CK+ as published, whose pictures are not in folders of classes."""
    return (root / _IMAGES).is_dir()


def load_ckplus(root: Path, input_shape: tuple[int, ...], *, seed: int = 0) -> Dataset:
    """Read CK+; the first frame of each sequence as published is taken as neutral.

    Args:
        root: the folder.
        input_shape: (1, rows, columns) or (3, rows, columns).
        seed: chooses the persons of the test part.

    Raises:
        InputError: E-DATA-CKPLUS for a folder without labels or with a label that is none,
            E-DATA-IMAGE for a file that is no image.
    """
    faces = list(_published(root) if is_published(root) else _by_class(root))
    if not faces:
        raise InputError(
            "E-DATA-CKPLUS",
            f"{root} has no labelled pictures of CK+.",
            f"put the folders {_IMAGES} and {_LABELS} side by side.",
        )
    persons = sorted({face.person for face in faces})
    order = permutation(len(persons), seed)
    held = {persons[n] for n in order[: max(round(TEST_SHARE * len(persons)), 1)]}
    parts = [
        _read(root, [face for face in faces if (face.person in held) == test], input_shape)
        for test in (False, True)
    ]
    return Dataset(root.name, CLASS_NAMES, parts[0], parts[1], parts_named=False)


def _published(root: Path) -> Iterator[_Face]:
    for note in sorted((root / _LABELS).glob("S*/*/*_emotion.txt")):
        person, sequence = note.parts[-3:-1]
        frames = sorted((root / _IMAGES / person / sequence).glob("*.png"))
        label = _label(note)
        if frames:
            yield _Face(frames[0], person, 0)
            for frame in frames[1:][-PEAK_FRAMES:]:
                yield _Face(frame, person, label)


def _label(note: Path) -> int:
    text = note.read_text(encoding="ascii", errors="replace").strip()
    try:
        label = int(float(text))
    except ValueError:
        label = -1
    if not 0 <= label < len(CLASS_NAMES):
        raise InputError(
            "E-DATA-CKPLUS",
            f"{note} holds {text[:20]!r}, no number 0 ... {len(CLASS_NAMES) - 1}.",
            "fetch the file again.",
        )
    return label


def _by_class(root: Path) -> Iterator[_Face]:
    for folder in sorted(entry for entry in root.iterdir() if entry.is_dir()):
        name = meaning(folder.name)
        if name not in CLASS_NAMES:
            raise InputError(
                "E-DATA-CKPLUS",
                f"{folder} is none of the classes of CK+.",
                f"rename it: {', '.join(CLASS_NAMES)}.",
            )
        for path in sorted(folder.glob("*.png")):
            match = _FILE.match(path.name)
            if match is None:
                raise InputError(
                    "E-DATA-CKPLUS",
                    f"{path} does not begin with a person and a sequence.",
                    "files of CK+ are named like S010_004_00000017.png.",
                )
            yield _Face(path, match[1].upper(), CLASS_NAMES.index(name))


def _read(root: Path, faces: list[_Face], input_shape: tuple[int, ...]) -> Split:
    pictures = [load_image(face.path, input_shape, crop=True) for face in faces]
    inputs = np.stack(pictures) if pictures else np.zeros((0, *input_shape), np.uint8)
    labels = np.array([face.label for face in faces], dtype=np.int64)
    origin = np.array([face.path.relative_to(root).as_posix() for face in faces], dtype=np.str_)
    return Split(inputs, labels, origin=origin)
