"""Writing a data set: one .npz file, or folders of pictures. The loaders read both back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from max78k.datasets.dataset import Dataset
from max78k.datasets.face_finder import FaceFinder, cut
from max78k.datasets.frames import PngNames
from max78k.datasets.images import decoded
from max78k.errors import InputError
from max78k.files import atomic_write, whole_folder

NO_FACE, UNREADABLE = "no face", "no image that can be read"


def write_npz(dataset: Dataset, path: Path) -> None:
    """All parts into one file: images, labels, usage, class_names, and soft_labels if known."""
    parts = dataset.parts()
    whole = dataset.part("all")
    arrays: dict[str, Any] = {
        "images": whole.inputs,
        "labels": whole.labels,
        "usage": np.repeat(list(parts), [len(split) for split in parts.values()]),
        "class_names": np.array(dataset.class_names),
    }
    if whole.soft is not None:
        arrays["soft_labels"] = whole.soft
    with atomic_write(path) as stream:
        np.savez_compressed(stream, **arrays)


def write_folder(
    dataset: Dataset,
    root: Path,
    progress: Callable[[int, str], None] = lambda steps, note: None,
    marks: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """``root/<part>/<class>/<class>_000001.png``; the folder must not exist.

    Args:
        dataset: pictures.
        root: the new folder.
        progress: gets numbers of samples and a note.
        marks: by part, a word for each sample that is added to its name; "": none.

    Raises InputError ``E-DATA-OUT`` for a folder that exists and ``E-DATA-SHAPE`` for samples that
    are no pictures, ``E-DATA-CLASS`` for a class without samples in a part.
    """
    classes = len(dataset.class_names)
    if dataset.input_shape[0] not in (1, 3) or len(dataset.input_shape) != 3:
        raise InputError(
            "E-DATA-SHAPE",
            f"{dataset.name}: samples of shape {list(dataset.input_shape)} are no pictures.",
            "write an .npz file.",
        )
    for part, split in dataset.parts().items():
        for name, count in zip(dataset.class_names, split.counts(classes), strict=True):
            if not count:
                raise InputError(
                    "E-DATA-CLASS",
                    f"{dataset.name}: the {part} part has no sample of {name}.",
                    "write an .npz file, or leave the class out with --classes.",
                )
    with new_folder(root) as scratch:
        for part, split in dataset.parts().items():
            for number, name in enumerate(dataset.class_names):
                folder = scratch / part / name
                folder.mkdir(parents=True)
                rows = np.flatnonzero(split.labels == number).tolist()
                words = marks.get(part, [""] * len(split))
                for count, row in enumerate(rows, 1):
                    mark = f"_{words[row]}" if words[row] else ""
                    picture = split.inputs[row].transpose(1, 2, 0)[:, :, ::-1]
                    cv2.imwrite(str(folder / f"{name}_{count:06}{mark}.png"), picture)
                progress(len(rows), f"{part}, {name}")


def cut_faces(
    files: Sequence[Path],
    source: Path,
    root: Path,
    finder: FaceFinder,
    progress: Callable[[int, str], None] = lambda steps, note: None,
) -> dict[Path, str]:
    """The largest face of each photograph, as a PNG of its own under the same path in ``root``.

    The faces keep their size and colour; whoever reads them makes of them what ``max78k live``
    makes of the photographs.

    Args:
        files: photographs.
        source: folder above them all.
        root: the new folder.
        finder: finds the faces.
        progress: gets numbers of files and a name.

    Returns:
        What gave no face: NO_FACE or UNREADABLE by file.

    Raises:
        InputError: E-DATA-OUT for a folder that exists, E-FACE-NONE where no photograph has a face.
    """
    without, names = {}, PngNames()
    with new_folder(root) as scratch:
        for path in files:
            progress(1, path.name)
            try:
                picture = decoded(path)
            except InputError:
                without[path] = UNREADABLE
                continue
            box = finder.find(picture)
            if box is None:
                without[path] = NO_FACE
                continue
            face = scratch / names(path.relative_to(source))
            face.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(face), cut(picture, box))
        if len(without) == len(files):
            raise InputError("E-FACE-NONE", f"none of {len(files)} pictures has a face.")
    return without


def new_folder(root: Path) -> AbstractContextManager[Path]:
    """As :func:`max78k.files.whole_folder`; InputError ``E-DATA-OUT`` where ``root`` exists."""
    if root.exists():
        raise InputError("E-DATA-OUT", f"{root} exists.", "give a folder that does not.")
    return whole_folder(root)
