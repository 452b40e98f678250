"""Windows of a collection as a data set, with the recording and person of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from max78k.csi.collection import Collection, Labelled
from max78k.csi.preparation import Preparation, from_json
from max78k.csi.recording import Recording
from max78k.csi.reversal import chosen_rows, reversed_classes
from max78k.csi.splits import Split
from max78k.datasets import dataset as datasets
from max78k.datasets.dice import permutation
from max78k.errors import InputError
from max78k.files import atomic_write

OFFSET = 128  # windows are stored as pixels are: the network reads value - 128
NOTE = "preparation"  # under which it stands in a file of windows and in a network's notes
_PARTS = ("train", "test")

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows ready to train with.

    Attributes:
        data: the data set: inputs uint8 [N, channels, ...], 128 is no change.
        groups: by part, the number of the recording of each window, int64 [N].
        recordings: names of the recordings.
        seconds: by part, when each window begins and ends, float64 [N, 2], from its recording's
            first packet on; NaN where there is no clock.
        preparation: what was done, with its gain.
        split: how they were divided.
        reverse: what was played backwards in the train part; see
            :func:`max78k.csi.reversal.reversed_classes`.
    """

    data: datasets.Dataset
    groups: dict[str, Int64Array]
    recordings: tuple[str, ...]
    seconds: dict[str, FloatArray]
    preparation: Preparation
    split: Split
    reverse: str = ""

    def take(self, rows: dict[str, Int64Array]) -> Windows:
        """The given rows of each part."""
        parts = {part: split.take(rows[part]) for part, split in self.data.parts().items()}
        return replace(
            self,
            data=self.data.with_parts(parts),
            groups={part: self.groups[part][rows[part]] for part in parts},
            seconds={part: self.seconds[part][rows[part]] for part in parts},
        )


@dataclass(frozen=True, eq=False)
class _Cut:
    """Windows [N, packets, channels] of one recording, their class and times [N, 2]."""

    recording: int
    label: int
    windows: Int64Array
    seconds: FloatArray


def make_windows(
    collection: Collection,
    preparation: Preparation,
    split: Split,
    reverse: str = "",
    progress: Progress = lambda steps, note: None,
    reverse_share: float = 1.0,
) -> Windows:
    """Cut, clean and divide; the gain is chosen from the windows of the train part alone.

    Args:
        collection: what was recorded.
        preparation: of the windows; its gain is kept if it is not 0.
        split: what judges.
        reverse: which windows of the train part are also played backwards.
        progress: gets 1 and the name for each recording.
        reverse_share: how many of them, 0 ... 1.

    Raises InputError ``E-CSI-SHORT`` if a part has no window, and those of
    :mod:`max78k.csi.reversal`.
    """
    backwards = reversed_classes(reverse, collection.class_names)
    held = split.held_recordings(collection)
    cuts: dict[str, list[_Cut]] = {part: [] for part in _PARTS}
    for number, labelled in enumerate(collection.recordings):
        for part, recording in _pieces(labelled, bool(held[number]), split):
            windows = preparation.cut(preparation.series(recording))
            seconds = preparation.window_seconds(recording)
            cuts[part].append(_Cut(number, labelled.label, windows, seconds))
        progress(1, labelled.recording.name)
    if split.kind == "random":
        cuts = _shuffled(cuts["train"], split)
    for part in _PARTS:
        if not sum(len(one.windows) for one in cuts[part]):
            raise InputError(
                "E-CSI-SHORT",
                f"{collection.name}: no recording of the {part} part has {preparation.packets} "
                "packets.",
                "use shorter windows, or another split.",
            )
    if backwards is not None:
        cuts["train"] += [_backwards(one, backwards, reverse_share) for one in cuts["train"]]
    moving = {
        part: np.concatenate([preparation.moving(one.windows) for one in cuts[part]])
        for part in _PARTS
    }
    chosen = preparation if preparation.gain else preparation.with_gain(moving["train"])
    chosen = replace(chosen, subcarriers=collection.subcarriers)
    parts, groups = {}, {}
    for part in _PARTS:
        counts = [len(one.windows) for one in cuts[part]]
        groups[part] = np.repeat(np.array([c.recording for c in cuts[part]], np.int64), counts)
        labels = np.repeat(np.array([c.label for c in cuts[part]], np.int64), counts)
        stored = (chosen.inputs(moving[part]).astype(np.int16) + OFFSET).astype(np.uint8)
        parts[part] = datasets.Split(stored, labels)
    data = datasets.Dataset(
        collection.name, collection.class_names, parts["train"], parts["test"],
        notes={NOTE: chosen.to_json()},
    )  # fmt: skip
    names = tuple(one.recording.name for one in collection.recordings)
    times = {part: np.concatenate([one.seconds for one in cuts[part]]) for part in _PARTS}
    return Windows(data, groups, names, times, chosen, split, reverse)


def write_windows(windows: Windows, path: Path) -> None:
    """One .npz that every verb reads as a data set; the preparation goes with it."""
    parts = windows.data.parts()
    soft = windows.data.part(datasets.ALL).soft
    taught: dict[str, Any] = {} if soft is None else {"soft_labels": soft}
    with atomic_write(path) as stream:
        np.savez_compressed(
            stream,
            images=np.concatenate([parts[part].inputs for part in _PARTS]),
            labels=np.concatenate([parts[part].labels for part in _PARTS]),
            usage=np.repeat(_PARTS, [len(parts[part]) for part in _PARTS]),
            class_names=np.array(windows.data.class_names),
            recording=np.concatenate([windows.groups[part] for part in _PARTS]),
            recordings=np.array(windows.recordings),
            seconds=np.concatenate([windows.seconds[part] for part in _PARTS]),
            preparation=np.array(windows.preparation.to_json()),
            split=np.array(windows.split.kind),
            reverse=np.array(windows.reverse),
            **taught,
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


def _backwards(cut: _Cut, classes: Int64Array, share: float) -> _Cut:
    """Some windows of a recording played backwards."""
    rows = chosen_rows(len(cut.windows), share)
    return _Cut(cut.recording, int(classes[cut.label]), cut.windows[rows, ::-1], cut.seconds[rows])


def _shuffled(cuts: list[_Cut], split: Split) -> dict[str, list[_Cut]]:
    """Windows divided at random, whatever they share."""
    total = sum(len(one.windows) for one in cuts)
    held = np.zeros(total, dtype=bool)
    held[permutation(total, split.seed)[: round(split.share * total)]] = True
    parts: dict[str, list[_Cut]] = {part: [] for part in _PARTS}
    start = 0
    for one in cuts:
        mine = held[start : start + len(one.windows)]
        for part, rows in (("train", ~mine), ("test", mine)):
            parts[part].append(replace(one, windows=one.windows[rows], seconds=one.seconds[rows]))
        start += len(one.windows)
    return parts


def holds_windows(path: Path) -> bool:
    """Whether :func:`read_windows` would find windows in an .npz file."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return NOTE in archive.files
    except (OSError, ValueError, AttributeError, BadZipFile):
        return False


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
        # files from before the times were kept
        seconds = arrays.get("seconds", np.full((len(labels), 2), np.nan)).astype(np.float64)
        preparation = str(arrays[NOTE])
        return Windows(
            datasets.Dataset(path.name, names, train, test, notes={NOTE: preparation}),
            {part: arrays["recording"][rows[part]].astype(np.int64) for part in _PARTS},
            tuple(str(name) for name in arrays["recordings"]),
            {part: seconds[rows[part]] for part in _PARTS},
            from_json(preparation),
            Split(str(arrays["split"])),
            str(arrays["reverse"]),
        )
    except (OSError, ValueError, KeyError, AttributeError, IndexError, BadZipFile) as error:
        fault = f"no {error}" if isinstance(error, KeyError) else type(error).__name__
        raise InputError(
            "E-CSI-WINDOWS",
            f"{path} holds no prepared windows ({fault}).",
            "`max78k csi prepare` writes them.",
        ) from None
