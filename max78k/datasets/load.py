"""One door to all data sets: a specification of a line becomes a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from max78k.datasets import face_traits
from max78k.datasets.arrays import load_npz, shape_error
from max78k.datasets.ckplus import is_ckplus, load_ckplus
from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.faces import faces
from max78k.datasets.fer import SIDE, load_csv
from max78k.datasets.folder import load_folder
from max78k.errors import InputError

FACES = "faces"
FACES_SIZES = {"train": 4000, "test": 1000}  # samples, where the specification does not say
FACES_TEST_START = 1 << 31  # the test part stays the same whatever the size of the other
_MOST_FACES = 1_000_000


def load(
    spec: str,
    *,
    input_shape: tuple[int, ...] = (1, 48, 48),
    seed: int = 0,
    limit: int | None = None,
    skip_bad_rows: bool = False,
    crop: bool = True,
    keep_inexact: bool = True,
    keep_ambiguous: bool = True,
    need: Sequence[str] = ("train", "test"),
) -> Dataset:
    """Load a data set.

    Args:
        spec: ``faces`` or ``faces:train=4000,test=1000`` for drawn faces; else the path of a
            FER-2013 .csv file, an .npz file, a folder with a folder of images for each class, or
            the folder of CK+.
        input_shape: shape of one sample: what the network takes.
        seed: chooses the drawn faces, the test part where the data name none, and the samples
            that ``limit`` leaves.
        limit: at most this many samples in each part.
        skip_bad_rows: .csv only: leave bad rows out and count them.
        crop: folders only: cut the middle out, as `predict` and `live` do; False stretches.
        keep_inexact, keep_ambiguous: .npz only: False drops the rows so marked.
        need: parts that must have samples.

    Raises:
        InputError: see the loaders; E-DATA-SPEC for a specification that names nothing,
            E-DATA-OPTION for an option that the kind of data does not have.
    """
    kind = _kind(spec)
    options = {
        "skip_bad_rows": (skip_bad_rows, "csv"),
        "crop=False": (not crop, "folder"),
        "keep_inexact=False": (not keep_inexact, "npz"),
        "keep_ambiguous=False": (not keep_ambiguous, "npz"),
    }
    for option, (given, owner) in options.items():
        if given and kind != owner:
            raise InputError("E-DATA-OPTION", f"{option} is for {owner} data, {spec} is {kind}.")
    path = Path(spec)
    if kind in (FACES, "csv") and input_shape != (1, SIDE, SIDE):
        raise shape_error(spec, (1, SIDE, SIDE), input_shape)
    if kind == FACES:
        dataset = _load_faces(spec, seed)
    elif kind == "csv":
        dataset = load_csv(path, skip_bad_rows=skip_bad_rows, seed=seed)
    elif kind == "npz":
        dataset = load_npz(
            path, input_shape, seed=seed, keep_inexact=keep_inexact, keep_ambiguous=keep_ambiguous
        )
    elif kind == "ckplus":
        dataset = load_ckplus(path, input_shape, seed=seed)
    else:
        dataset = load_folder(path, input_shape, seed=seed, crop=crop)
    dataset.require(*need)
    return dataset if limit is None else dataset.limited(limit, seed)


def _kind(spec: str) -> str:
    """ "faces", "csv", "npz", "ckplus" or "folder"."""
    if spec == FACES or spec.startswith(FACES + ":"):
        return FACES
    path = Path(spec)
    if path.is_dir():
        return "ckplus" if is_ckplus(path) else "folder"
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("csv", "npz"):
        raise InputError(
            "E-DATA-SPEC",
            f"{spec!r} is no data set.",
            "faces, a .csv or .npz file, or a folder of class folders.",
        )
    if not path.is_file():
        raise InputError("E-DATA-SPEC", f"there is no file {spec}.", "check the path.")
    return kind


def _load_faces(spec: str, seed: int) -> Dataset:
    sizes = dict(FACES_SIZES)
    for item in filter(None, spec[len(FACES) + 1 :].split(",")):
        part, _, number = item.partition("=")
        if part not in sizes or not number.isdecimal() or not 1 <= int(number) <= _MOST_FACES:
            raise InputError(
                "E-DATA-SPEC",
                f"{item!r} in {spec!r} is not train=N or test=N with N 1 ... {_MOST_FACES:,}.",
                "faces:train=4000,test=1000",
            )
        sizes[part] = int(number)
    train = Split(*faces(sizes["train"], seed))
    test = Split(*faces(sizes["test"], seed, start=FACES_TEST_START))
    return Dataset(FACES, face_traits.EMOTIONS, train, test)
