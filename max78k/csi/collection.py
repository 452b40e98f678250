"""Many recordings with what they show: folders of CSV files, or one .npz file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from max78k.csi.esp32 import read_csv, seconds_of
from max78k.csi.recording import SUBCARRIERS, Recording
from max78k.errors import InputError

SUBJECT = r"(?:subject|person|s|p)[_-]?(\d+)"  # in a path below the class folder

MOST_CLASSES = 1024  # outputs of a network of the chip

Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A recording, the number of its class, and the person in it ("" where nobody says)."""

    recording: Recording
    label: int
    subject: str = ""


@dataclass(frozen=True, eq=False)
class Collection:
    """Recordings of some classes."""

    name: str
    class_names: tuple[str, ...]
    recordings: tuple[Labelled, ...]

    @property
    def subcarriers(self) -> int:
        """Subcarriers of every recording."""
        return self.recordings[0].recording.subcarriers


def read_collection(
    source: Path, subject: str = SUBJECT, progress: Progress = lambda steps, note: None
) -> Collection:
    """Read recordings.

    Args:
        source: a folder with one folder of CSV files (at any depth) for each class, or an .npz
            with ``csi`` and ``labels`` by packet and, if known, ``file_id``, ``timestamp_us``,
            ``rssi``, ``files`` and ``class_names``.
        subject: regular expression; its group names the person in a file's path.
        progress: gets the number of files read and the name.

    Raises:
        InputError: E-CSI-FOLDER, E-CSI-FILE, E-CSI-EMPTY, E-CSI-KEYS, E-CSI-SUBCARRIERS.
    """
    collection = _read_folder(source, subject, progress) if source.is_dir() else _read_npz(source)
    for labelled in collection.recordings:
        if labelled.recording.subcarriers != collection.subcarriers:
            raise InputError(
                "E-CSI-SUBCARRIERS",
                f"{labelled.recording.name} has {labelled.recording.subcarriers} subcarriers, "
                f"{collection.recordings[0].recording.name} has {collection.subcarriers}.",
                "keep recordings of one bandwidth together.",
            )
    return collection


def _read_folder(root: Path, subject: str, progress: Progress) -> Collection:
    try:
        pattern = re.compile(subject, re.IGNORECASE)
    except re.error as error:
        raise InputError(
            "E-CSI-SUBJECT", f"{subject!r} is no regular expression: {error}."
        ) from None
    folders = sorted(
        entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    files = {folder.name: sorted(folder.rglob("*.csv")) for folder in folders}
    empty = [name for name, paths in files.items() if not paths]
    if len(files) < 2 or empty:
        said = f"no CSV files of {empty[0]}" if empty else f"{len(files)} class folders"
        raise InputError(
            "E-CSI-FOLDER", f"{root} has {said}.", "put the CSV files of each class into a folder."
        )
    recordings = []
    for label, (name, paths) in enumerate(files.items()):
        for path in paths:
            recording = read_csv(path)
            inner = str(path.relative_to(root / name))
            found = pattern.search(inner)
            person = found[found.lastindex or 0] if found else ""
            recordings.append(Labelled(_renamed(recording, f"{name}/{inner}"), label, person))
            progress(1, path.name)
    return Collection(root.name, tuple(files), tuple(recordings))


def _renamed(recording: Recording, name: str) -> Recording:
    return Recording(name, recording.csi, recording.seconds, recording.rssi, recording.bad_rows)


def _read_npz(path: Path) -> Collection:
    arrays = _arrays(path)
    csi, labels = arrays["csi"], arrays["labels"].astype(np.int64)
    files = arrays.get("file_id", labels).astype(np.int64)
    names = arrays.get("files")
    clock, rssi = arrays.get("timestamp_us"), arrays.get("rssi")
    recordings = []
    for number in np.unique(files):
        rows = np.flatnonzero(files == number)
        classes = np.unique(labels[rows])
        if len(classes) != 1:
            raise InputError(
                "E-CSI-KEYS", f"{path}: file_id {number} has packets of {len(classes)} classes."
            )
        seconds = None if clock is None else seconds_of(clock[rows].astype(np.int64))
        known = () if names is None else names
        name = str(known[number]) if 0 <= number < len(known) else f"{number}"
        recordings.append(
            Labelled(
                Recording(name, csi[rows], seconds, None if rssi is None else rssi[rows]),
                int(classes[0]),
            )
        )
    count = int(labels.max()) + 1
    class_names = arrays.get("class_names", np.array([str(n) for n in range(count)]))
    if len(class_names) < count:
        raise InputError("E-CSI-KEYS", f"{path}: label {count - 1} has no class name.")
    return Collection(path.name, tuple(str(n) for n in class_names), tuple(recordings))


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, AttributeError, BadZipFile) as error:
        raise InputError(
            "E-CSI-FILE",
            f"{path} is no .npz file of plain arrays ({type(error).__name__}).",
            "a folder with a folder of CSV files for each class, or an .npz of csi and labels.",
        ) from None
    missing = [key for key in ("csi", "labels") if key not in arrays]
    if missing:
        raise InputError(
            "E-CSI-KEYS",
            f"{path} has no array {missing[0]}.",
            "csi int8 [packets, 2 * subcarriers] and labels [packets].",
        )
    csi, labels = arrays["csi"], arrays["labels"]
    if csi.ndim != 2 or csi.dtype != np.int8 or csi.shape[1] // 2 not in SUBCARRIERS:
        raise InputError(
            "E-CSI-KEYS",
            f"{path}: csi is {csi.dtype} {list(csi.shape)}.",
            "store int8 [packets, 128 or 256].",
        )
    for key in ("labels", "file_id", "timestamp_us", "rssi"):
        if key not in arrays:
            continue
        kind, shape = arrays[key].dtype, arrays[key].shape
        if shape != (len(csi),) or not np.issubdtype(kind, np.integer):
            raise InputError(
                "E-CSI-KEYS",
                f"{path}: {key} is {kind} {list(shape)} for {len(csi)} packets.",
                "a whole number for each packet.",
            )
    if not len(csi) or labels.min() < 0 or labels.max() >= MOST_CLASSES:
        raise InputError(
            "E-CSI-KEYS",
            f"{path}: labels are not class numbers 0, 1, ...",
            f"fewer than {MOST_CLASSES:,} classes, and a packet at least.",
        )
    for key in ("class_names", "files"):
        if key in arrays and arrays[key].ndim != 1:
            raise InputError("E-CSI-KEYS", f"{path}: {key} is no list of names.")
    return arrays
