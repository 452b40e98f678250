"""Writing a data set: one .npz file, or folders of pictures. The loaders read both back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from max78k.datasets.dataset import Dataset
from max78k.errors import InputError
from max78k.files import atomic_write


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
    dataset: Dataset, root: Path, progress: Callable[[int, str], None] = lambda steps, note: None
) -> None:
    """``root/<part>/<class>/<class>_000001.png``; the folder must not exist.

    Raises InputError ``E-DATA-OUT`` for a folder that exists and ``E-DATA-SHAPE`` for samples that
    are no pictures, ``E-DATA-CLASS`` for a class without samples in a part.
    """
    classes = len(dataset.class_names)
    if root.exists():
        raise InputError("E-DATA-OUT", f"{root} exists.", "give a folder that does not.")
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
    root.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    try:
        for part, split in dataset.parts().items():
            for number, name in enumerate(dataset.class_names):
                folder = scratch / part / name
                folder.mkdir(parents=True)
                rows = np.flatnonzero(split.labels == number)
                for count, row in enumerate(rows, 1):
                    picture = split.inputs[row].transpose(1, 2, 0)[:, :, ::-1]
                    cv2.imwrite(str(folder / f"{name}_{count:06}.png"), picture)
                progress(len(rows), f"{part}, {name}")
        scratch.chmod(0o755)
        scratch.rename(root)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
