"""Data sets as folders of images: one folder for each class.

Either ``root/<class>/image``, of which a share becomes the test part, or
``root/train/<class>/image`` and ``root/test/<class>/image`` (or ``val``, ``valid``,
``validation``), and ``root/final/<class>/image`` where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from max78k.datasets import fer
from max78k.datasets.class_names import meaning
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.images import load_image
from max78k.errors import InputError

TEST_SHARE = 0.1  # held out of a folder without parts

_TRAIN_NAMES = ("train", "training")
_FINAL_NAME = "final"
_TEST_NAMES = ("test", "val", "valid", "validation")
_BY_SYSTEMS = {"thumbs.db", "desktop.ini"}  # files that operating systems leave among images
_SHOWN = 5  # names in a message


def load_folder(
    root: Path, input_shape: tuple[int, ...], *, seed: int = 0, crop: bool = True
) -> Dataset:
    """Read all images under ``root``, resized to ``input_shape``; hidden files are left out.

    Classes are in the order of FER-2013 where all their names mean one of its, else sorted.

    Args:
        root: the folder.
        input_shape: (1, rows, columns) for grey or (3, rows, columns) for red, green, blue.
        seed: chooses the test part where the folder has none.
        crop: True keeps proportions and cuts the middle out; False stretches.

    Raises:
        InputError: E-DATA-FOLDER for folders that are missing, empty or differ in their classes,
            E-DATA-IMAGE for files that are no images; all of them are counted, some named.
    """
    train = _subfolder(root, _TRAIN_NAMES)
    if train is None:
        classes = _classes(root)
        split = _read(root, root, classes, input_shape, crop)
        first, second = split.divide(TEST_SHARE, seed)
        return Dataset(root.name, classes, first, second, parts_named=False)
    test = _subfolder(root, _TEST_NAMES)
    if test is None:
        raise InputError(
            "E-DATA-FOLDER",
            f"{root} has the folder {train.name} but none of {', '.join(_TEST_NAMES)}.",
            f"add {root / 'test'}, or put the class folders right into {root}.",
        )
    final = _subfolder(root, (_FINAL_NAME,))
    folders = [folder for folder in (train, test, final) if folder is not None]
    classes = _classes(train)
    every = {name for folder in folders for name in _classes(folder)}
    for folder in reversed(folders):
        names = every - set(_classes(folder))
        if names:
            raise InputError(
                "E-DATA-FOLDER",
                f"{folder} lacks the class {_some(sorted(names))} that another part has.",
                "use the same class folders in all parts.",
            )
    parts = [_read(root, folder, classes, input_shape, crop) for folder in folders]
    return Dataset(root.name, classes, parts[0], parts[1], parts[2] if final else None)


def image_files(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Part, class and path of every file under ``root``, as :func:`load_folder` takes them.

    Files of a folder without parts are of the part "all". Raises InputError ``E-DATA-FOLDER``.
    """
    parts = {"train": _TRAIN_NAMES, "test": _TEST_NAMES, "final": (_FINAL_NAME,)}
    found = {part: _subfolder(root, names) for part, names in parts.items()}
    folders = {part: folder for part, folder in found.items() if folder is not None}
    for part, folder in (folders or {"all": root}).items():
        for name in _classes(folder):
            for path in _files(folder / name):
                if not path.is_file():
                    raise InputError(
                        "E-DATA-FOLDER",
                        f"{path} is no file.",
                        "class folders hold pictures alone, without folders of their own.",
                    )
                yield part, name, path


def _subfolder(root: Path, names: Iterable[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _classes(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, in the order of their labels."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError("E-DATA-FOLDER", f"{folder} cannot be read: {error.strerror}.") from None
    names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    if len(names) < 2:
        raise InputError(
            "E-DATA-FOLDER",
            f"{folder} has {len(names)} class folders.",
            "put the images into one folder for each of two or more classes.",
        )
    order = {name: number for number, name in enumerate(fer.CLASS_NAMES)}
    if all(meaning(name) in order for name in names):
        names.sort(key=lambda name: order[meaning(name)])
    return tuple(names)


def _read(
    root: Path, folder: Path, classes: tuple[str, ...], input_shape: tuple[int, ...], crop: bool
) -> Split:
    files = [_files(folder / name) for name in classes]
    empty = [name for name, paths in zip(classes, files, strict=True) if not paths]
    if empty:
        raise InputError(
            "E-DATA-FOLDER",
            f"{folder} has no images of {_some(empty)}.",
            "add images, or remove the empty folders.",
        )
    inputs, unreadable = [], []
    for path in (path for paths in files for path in paths):
        try:
            inputs.append(load_image(path, input_shape, crop=crop))
        except InputError as error:
            if error.code != "E-DATA-IMAGE":
                raise
            unreadable.append(str(path.relative_to(folder)))
    if unreadable:
        raise InputError(
            "E-DATA-IMAGE",
            f"{folder}: {len(unreadable)} files are no images that can be read: "
            f"{_some(unreadable)}.",
            "mend or remove them.",
        )
    labels = np.repeat(np.arange(len(classes), dtype=np.int64), [len(paths) for paths in files])
    names = [path.relative_to(root).as_posix() for paths in files for path in paths]
    return Split(np.stack(inputs), labels, origin=np.array(names, dtype=np.str_))


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _BY_SYSTEMS
    )


def _some(names: list[str]) -> str:
    """Some of many names."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
