"""Data sets in NumPy .npz files.

Layouts, told apart by their keys:

* ``images`` and ``labels``, with an optional ``usage`` or ``split`` that names each row's part;
* ``train_images``, ``train_labels``, ``test_images``, ``test_labels`` (or ``x_train``, ...);
* ``png_training`` and ``png_publictest``: FER-2013 as PNG mosaics of 48x48 tiles, with ``labels``
  and ``usage`` for all rows, and marks on single rows (``row_exact``, ``label_ambiguous``).

``preparation``, a text, says how CSI became these numbers and goes with networks that learn from
them. ``class_names`` may be added to each of them, and ``soft_labels`` [N, classes] to the first
and the last (``train_soft_labels`` to the second): votes or shares to learn instead of the labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import numpy.typing as npt

from max78k.datasets import fer
from max78k.datasets.dataset import Dataset, Float32Array, Int64Array, Split, Uint8Array
from max78k.errors import InputError

TEST_SHARE = 0.1  # held out of a file that names no parts

Arrays = Mapping[str, npt.NDArray[Any]]

_CHANNELS = (1, 3)  # of pictures
_PARTS = ("train", "test", "final")
_PART_NUMBERS = {
    "train": 0, "training": 0, "0": 0,
    "test": 1, "publictest": 1, "val": 1, "valid": 1, "validation": 1, "1": 1,
    "final": 2, "privatetest": 2, "2": 2,
}  # fmt: skip
_SEPARATE_KEYS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
_NOTES = ("preparation",)  # texts that go with a network which learns from the file
_MOSAICS = ("png_training", "png_publictest")
# Filters: parameter of load_npz, key of the row marks, value of the rows that a filter drops.
_FILTERS = (("keep_inexact", "row_exact", 0), ("keep_ambiguous", "label_ambiguous", 1))


def load_npz(
    path: Path,
    input_shape: tuple[int, ...],
    *,
    seed: int = 0,
    keep_inexact: bool = True,
    keep_ambiguous: bool = True,
) -> Dataset:
    """Read a data set from an .npz file; object arrays are refused.

    Args:
        path: the file.
        input_shape: (channels, rows, columns) or (channels, length) that a sample must have;
            images may also come as [N, rows, columns] or with the channels last.
        seed: chooses the test part where the file names none.
        keep_inexact: False drops rows with ``row_exact`` 0.
        keep_ambiguous: False drops rows with ``label_ambiguous`` 1.

    Raises:
        InputError: E-DATA-FILE, E-DATA-KEYS, E-DATA-SHAPE, E-DATA-TYPE, E-DATA-LABEL,
            E-DATA-SOFT, E-DATA-USAGE, E-DATA-EMPTY.
    """
    arrays = _read(path)
    parts = _separate(path, arrays, input_shape)
    if not parts:
        images = _mosaic_images(path, arrays) if _MOSAICS[0] in arrays else arrays.get("images")
        if images is None or "labels" not in arrays:
            raise InputError(
                "E-DATA-KEYS",
                f"{path} has the arrays {', '.join(sorted(arrays)[:12]) or '(none)'}.",
                "give images and labels, or train_images, train_labels, test_images, test_labels.",
            )
        soft = arrays.get("soft_labels")
        whole = _split(path, images, arrays["labels"], input_shape, soft)
        keep = _kept_rows(path, arrays, len(whole), (keep_inexact, keep_ambiguous))
        parts = _by_usage(path, whole, keep, arrays, seed)
    names = _class_names(arrays, parts)
    named = len(arrays.keys() & {"usage", "split", _SEPARATE_KEYS[0][0], _SEPARATE_KEYS[1][0]}) > 0
    return Dataset(
        path.name, names, parts["train"], parts["test"], parts.get("final"), parts_named=named,
        notes={key: str(arrays[key]) for key in _NOTES if key in arrays},
    )  # fmt: skip


def sample_shape(path: Path) -> tuple[int, ...] | None:
    """Shape of one sample, channels first; None for a file of another layout.

    Raises InputError ``E-DATA-FILE``.
    """
    arrays = _read(path)
    images = arrays.get("images", arrays.get("train_images"))
    if images is None or images.ndim < 2:
        return None
    shape = images.shape[1:]
    if len(shape) == 3 and shape[2] in _CHANNELS and shape[0] not in _CHANNELS:
        return (shape[2], *shape[:2])
    return (1, *shape) if images.ndim == 3 and shape[0] == shape[1] else shape


def _read(path: Path) -> Arrays:
    try:
        with path.open("rb") as stream:
            if not is_zipfile(stream):  # what else NumPy reads, and what it advises, is not for us
                raise ValueError("it is no archive, or not all of one")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise InputError("E-DATA-FILE", f"{path} cannot be read: {error}.") from None
    except (
        ValueError,
        RuntimeError,
        EOFError,
        KeyError,
        BadZipFile,
        zlib.error,
        MemoryError,
    ) as error:
        raise InputError(
            "E-DATA-FILE", f"{path} is no .npz file of plain arrays: {error}."
        ) from None


def _separate(path: Path, arrays: Arrays, input_shape: tuple[int, ...]) -> dict[str, Split]:
    """The parts of a file that has them under keys of their own; else nothing."""
    for train_images, train_labels, test_images, test_labels in _SEPARATE_KEYS:
        if all(key in arrays for key in (train_images, train_labels, test_images, test_labels)):
            return {
                "train": _split(
                    path,
                    arrays[train_images],
                    arrays[train_labels],
                    input_shape,
                    arrays.get("train_soft_labels"),
                ),
                "test": _split(path, arrays[test_images], arrays[test_labels], input_shape),
            }
    return {}


def _split(
    path: Path,
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    input_shape: tuple[int, ...],
    soft: npt.NDArray[Any] | None = None,
) -> Split:
    """Checked arrays; images moved to [N, *input_shape], soft labels divided by their sums."""
    if images.dtype != np.uint8:
        raise InputError(
            "E-DATA-TYPE",
            f"{path}: images are {images.dtype}.",
            "store 8-bit pixels (uint8, 0 ... 255).",
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            "E-DATA-TYPE",
            f"{path}: labels are {labels.dtype} {list(labels.shape)}.",
            "store one integer per image.",
        )
    if len(images) != len(labels):
        raise InputError("E-DATA-SHAPE", f"{path}: {len(images)} images but {len(labels)} labels.")
    shares = None if soft is None else _shares(path, soft, len(labels))
    pixels = _channels_first(path, images, input_shape)
    return Split(pixels, labels.astype(np.int64), shares, np.arange(len(labels)))


def _shares(path: Path, soft: npt.NDArray[Any], count: int) -> Float32Array:
    """Votes or shares with rows that sum to 1."""
    numbers = soft.dtype.kind in "uif" and soft.ndim == 2 and len(soft) == count
    values = soft.astype(np.float64) if numbers else np.zeros((1, 1))
    sums = values.sum(axis=1, keepdims=True)
    if not (np.isfinite(values).all() and (values >= 0).all() and (sums > 0).all()):
        raise InputError(
            "E-DATA-SOFT",
            f"{path}: soft labels are {soft.dtype} {list(soft.shape)} for {count} samples.",
            "a row of votes or shares for each sample, none negative, not all zero.",
        )
    return np.asarray(values / sums, dtype=np.float32)


def _channels_first(path: Path, images: Uint8Array, input_shape: tuple[int, ...]) -> Uint8Array:
    shape = images.shape[1:]
    if shape == input_shape:
        return images
    if shape == (*input_shape[1:], input_shape[0]):
        return np.ascontiguousarray(np.moveaxis(images, -1, 1))
    if (1, *shape) == input_shape:
        return images[:, None]
    raise shape_error(str(path), shape, input_shape)


def shape_error(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> InputError:
    """The error for samples of another shape than the network takes."""
    return InputError(
        "E-DATA-SHAPE",
        f"{name}: samples are {list(found)}, the network takes {list(wanted)} "
        "(channels, rows, columns).",
        "choose a network for this shape, or resize pictures: `max78k data convert --size`, or a "
        "folder of images.",
    )


def _mosaic_images(path: Path, arrays: Arrays) -> Uint8Array:
    """Images uint8 [N, 48, 48] in the order of the labels."""
    missing = [key for key in (*_MOSAICS, "labels", "usage") if key not in arrays]
    if missing:
        raise InputError("E-DATA-KEYS", f"{path} has {_MOSAICS[0]} but no {', '.join(missing)}.")
    usage = arrays["usage"]
    if usage.shape != arrays["labels"].shape or not np.isin(usage, range(len(_MOSAICS))).all():
        raise InputError("E-DATA-USAGE", f"{path}: usage is not one 0 or 1 for each label.")
    images = np.empty((len(usage), fer.SIDE, fer.SIDE), np.uint8)
    for part, key in enumerate(_MOSAICS):
        rows = usage == part
        images[rows] = _untile(path, key, arrays[key], int(rows.sum()))
    return images


def _untile(path: Path, key: str, png: npt.NDArray[Any], count: int) -> Uint8Array:
    """The first ``count`` tiles of a mosaic, row by row."""
    import cv2

    side = fer.SIDE
    sheet = None
    if png.dtype == np.uint8 and png.ndim == 1 and png.size:
        sheet = cv2.imdecode(png, cv2.IMREAD_GRAYSCALE)
    if sheet is None:
        raise InputError("E-DATA-FILE", f"{path}: {key} is no picture.")
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    if rows * columns < count:
        raise InputError(
            "E-DATA-SHAPE", f"{path}: {key} has {rows * columns} tiles for {count} labels."
        )
    sheet = sheet[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(sheet.swapaxes(1, 2).reshape(-1, side, side)[:count], dtype=np.uint8)


def _kept_rows(
    path: Path, arrays: Arrays, count: int, keep: tuple[bool, ...]
) -> npt.NDArray[np.bool_]:
    kept = np.ones(count, dtype=bool)
    for wanted, (option, key, dropped) in zip(keep, _FILTERS, strict=True):
        if wanted:
            continue
        if key not in arrays or arrays[key].shape != (count,):
            raise InputError(
                "E-DATA-KEYS",
                f"{path} has no array {key} with one mark for each of {count} rows.",
                f"leave {option} on.",
            )
        kept &= arrays[key] != dropped
    return kept


def _by_usage(
    path: Path, whole: Split, keep: npt.NDArray[np.bool_], arrays: Arrays, seed: int
) -> dict[str, Split]:
    """The parts that ``usage`` or ``split`` names; without it a share becomes the test part."""
    usage = arrays.get("usage", arrays.get("split"))
    if usage is None:
        train, test = whole.take(np.flatnonzero(keep)).divide(TEST_SHARE, seed)
        return {"train": train, "test": test}
    numbers = _part_numbers(path, usage, len(whole))
    found = {
        part: whole.take(np.flatnonzero(keep & (numbers == number)))
        for number, part in enumerate(_PARTS)
    }
    return {part: split for part, split in found.items() if part != "final" or len(split)}


def _part_numbers(path: Path, usage: npt.NDArray[Any], count: int) -> Int64Array:
    if usage.shape != (count,):
        raise InputError(
            "E-DATA-USAGE", f"{path}: usage has shape {list(usage.shape)} for {count} images."
        )
    values, positions = np.unique(usage, return_inverse=True)
    names = [str(value).strip().lower() for value in values]
    for name in names:
        if name not in _PART_NUMBERS:
            raise InputError(
                "E-DATA-USAGE",
                f"{path}: usage has the value {name[:20]!r}.",
                "use train, test and final, or 0, 1 and 2.",
            )
    numbers = np.array([_PART_NUMBERS[name] for name in names], dtype=np.int64)
    return numbers[positions.reshape(-1)]


def _class_names(arrays: Arrays, parts: dict[str, Split]) -> tuple[str, ...]:
    if "class_names" in arrays:
        return tuple(str(name) for name in np.atleast_1d(arrays["class_names"]))
    if _MOSAICS[0] in arrays:
        return fer.CLASS_NAMES
    highest = max((int(split.labels.max(initial=-1)) for split in parts.values()), default=-1)
    return tuple(str(number) for number in range(highest + 1))
