"""Windows of a collection as a data set, with the recording and person of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from max78k.csi.collection import Collection, Labelled
from max78k.csi.preparation import Preparation, from_json
from max78k.csi.recording import Recording
from max78k.csi.splits import Split
from max78k.datasets import dataset as datasets
from max78k.datasets.dice import permutation
from max78k.errors import InputError
from max78k.files import atomic_write

OFFSET = 128  # windows are stored as pixels are: the network reads value - 128
_PARTS = ("train", "test")

Int64Array = npt.NDArray[np.int64]
Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows ready to train with.

    Attributes:
        data: the data set: inputs uint8 [N, channels, ...], 128 is no change.
        groups: by part, the number of the recording of each window, int64 [N].
        recordings: names of the recordings.
        preparation: what was done, with its gain.
        split: how they were divided.
    """

    data: datasets.Dataset
    groups: dict[str, Int64Array]
    recordings: tuple[str, ...]
    preparation: Preparation
    split: Split


def make_windows(
    collection: Collection,
    preparation: Preparation,
    split: Split,
    progress: Progress = lambda steps, note: None,
) -> Windows:
    """Cut, clean and divide; the gain is chosen from the windows of the train part alone.

    Raises InputError ``E-CSI-SHORT`` if a part has no window.
    """
    held = split.held_recordings(collection)
    cut: dict[str, list[tuple[int, Int64Array]]] = {part: [] for part in _PARTS}
    for number, labelled in enumerate(collection.recordings):
        for part, recording in _pieces(labelled, bool(held[number]), split):
            windows = preparation.cut(preparation.series(recording))
            cut[part].append((number, preparation.moving(windows)))
        progress(1, labelled.recording.name)
    if split.kind == "random":
        cut = _shuffled(cut["train"], split)
    for part in _PARTS:
        if not sum(len(windows) for _, windows in cut[part]):
            raise InputError(
                "E-CSI-SHORT",
                f"{collection.name}: no recording of the {part} part has {preparation.window} "
                "packets.",
                "use shorter windows, or another split.",
            )
    chosen = preparation
    if not preparation.gain:
        chosen = preparation.with_gain(np.concatenate([one for _, one in cut["train"]]))
    labels = np.array([one.label for one in collection.recordings], dtype=np.int64)
    parts, groups = {}, {}
    for part in _PARTS:
        inputs = np.concatenate([chosen.inputs(windows) for _, windows in cut[part]])
        groups[part] = np.repeat(
            np.array([number for number, _ in cut[part]], dtype=np.int64),
            [len(windows) for _, windows in cut[part]],
        )
        stored = (inputs.astype(np.int16) + OFFSET).astype(np.uint8)
        parts[part] = datasets.Split(stored, labels[groups[part]])
    data = datasets.Dataset(collection.name, collection.class_names, parts["train"], parts["test"])
    names = tuple(one.recording.name for one in collection.recordings)
    return Windows(data, groups, names, chosen, split)


def write_windows(windows: Windows, path: Path) -> None:
    """One .npz that every verb reads as a data set; the preparation goes with it."""
    parts = windows.data.parts()
    with atomic_write(path) as stream:
        np.savez_compressed(
            stream,
            images=np.concatenate([parts[part].inputs for part in _PARTS]),
            labels=np.concatenate([parts[part].labels for part in _PARTS]),
            usage=np.repeat(_PARTS, [len(parts[part]) for part in _PARTS]),
            class_names=np.array(windows.data.class_names),
            recording=np.concatenate([windows.groups[part] for part in _PARTS]),
            recordings=np.array(windows.recordings),
            preparation=np.array(windows.preparation.to_json()),
            split=np.array(windows.split.kind),
        )


def _pieces(labelled: Labelled, held: bool, split: Split) -> list[tuple[str, Recording]]:
    """The parts that a recording belongs to, with its packets for each."""
    recording = labelled.recording
    if split.kind == "time":
        border = round((1 - split.share) * len(recording))
        return [
            ("train", recording.part(0, border)),
            ("test", recording.part(border, len(recording))),
        ]
    return [("test" if held else "train", recording)]


def _shuffled(
    cut: list[tuple[int, Int64Array]], split: Split
) -> dict[str, list[tuple[int, Int64Array]]]:
    """Windows divided at random, whatever they share."""
    total = sum(len(windows) for _, windows in cut)
    held = np.zeros(total, dtype=bool)
    held[permutation(total, split.seed)[: round(split.share * total)]] = True
    parts: dict[str, list[tuple[int, Int64Array]]] = {part: [] for part in _PARTS}
    start = 0
    for number, windows in cut:
        mine = held[start : start + len(windows)]
        parts["train"].append((number, windows[~mine]))
        parts["test"].append((number, windows[mine]))
        start += len(windows)
    return parts


def read_windows(path: Path) -> Windows:
    """What :func:`write_windows` wrote.

    Raises InputError ``E-CSI-WINDOWS`` for another file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        usage, names = arrays["usage"], tuple(str(name) for name in arrays["class_names"])
        rows = {part: np.flatnonzero(usage == part) for part in _PARTS}
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        train, test = (datasets.Split(images[rows[part]], labels[rows[part]]) for part in _PARTS)
        return Windows(
            datasets.Dataset(path.name, names, train, test),
            {part: arrays["recording"][rows[part]].astype(np.int64) for part in _PARTS},
            tuple(str(name) for name in arrays["recordings"]),
            from_json(str(arrays["preparation"])),
            Split(str(arrays["split"])),
        )
    except (OSError, ValueError, KeyError, AttributeError, IndexError, BadZipFile) as error:
        raise InputError(
            "E-CSI-WINDOWS",
            f"{path} holds no prepared windows ({type(error).__name__}: {error}).",
            "`max78k csi prepare` writes them.",
        ) from None
