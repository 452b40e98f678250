"""Windows of CSI and the face that a camera saw at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from max78k.csi.clocks import Clock
from max78k.csi.video import VIDEOS, frame_times, pictures_at
from max78k.csi.windows import Int64Array, Windows, write_windows
from max78k.datasets.dataset import Dataset, Split, Uint8Array
from max78k.datasets.face_finder import FaceFinder, cut
from max78k.datasets.images import as_input
from max78k.datasets.writing import write_npz
from max78k.errors import InputError
from max78k.files import write_text

Pairing = Literal["name", "sorted"]
Moment = Literal["begin", "middle", "end"]
PAIRINGS: tuple[Pairing, ...] = ("name", "sorted")
_SHARES: Mapping[Moment, float] = {"begin": 0.0, "middle": 0.5, "end": 1.0}
MOMENTS: tuple[Moment, ...] = tuple(_SHARES)

WINDOWS_FILE, FACES_FILE, LIST_FILE = "windows.npz", "faces.npz", "pairs.csv"
NO_VIDEO, NO_FRAME, NO_FACE = "no video", "no frame near in time", "no face in the frame"

FloatArray = npt.NDArray[np.float64]
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class PairChoices:
    """How windows meet frames.

    Attributes:
        pairing: "name": a recording's video has its name; "sorted": the nth recording of a class
            has its nth video, both in order of their names.
        at: which moment of a window the frame is of.
        tolerance: seconds that the frame may be away from it.
        clock: of recordings that ``clocks`` does not name.
        clocks: by recording.
        shape: of a picture, (1 or 3, rows, columns).
    """

    pairing: Pairing = "name"
    at: Moment = "middle"
    tolerance: float = 0.1
    clock: Clock = field(default_factory=Clock)
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    shape: tuple[int, int, int] = (1, 48, 48)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Windows and pictures: row n of a part of one belongs to row n of the other.

    Attributes:
        windows: those that have a picture.
        faces: a data set of the pictures, with the windows' labels.
        frames: by part, the number of each frame in its video from 0, int64 [N].
        times: by part, its seconds in the video, float64 [N].
        apart: by part, seconds from the wanted moment to the frame, float64 [N].
        left_out: windows without a picture, by the reason.
    """

    windows: Windows
    faces: Dataset
    frames: dict[str, Int64Array]
    times: dict[str, FloatArray]
    apart: dict[str, FloatArray]
    left_out: dict[str, int]


def match_videos(windows: Windows, source: Path, pairing: Pairing) -> dict[int, Path]:
    """The video of each recording, by the recording's number; those without one are not in it.

    Args:
        windows: prepared windows.
        source: a folder of videos, which may have a folder for each class; or one video, for one
            recording.
        pairing: see :class:`PairChoices`.

    Raises:
        InputError: E-CSI-VIDEO for no video at all or several of one recording, E-CSI-PAIRING for
            sorted names of which there are not as many on both sides.
    """
    classes = _classes(windows)
    if source.is_file() and len(classes) == 1:
        return dict.fromkeys(classes, source)
    found = {}
    for name in windows.data.class_names:
        numbers = [number for number, owner in classes.items() if owner == name]
        folder = source / name if (source / name).is_dir() else source
        videos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEOS)
        if pairing == "name":
            found.update(_by_name(windows, numbers, folder, videos))
            continue
        if len(videos) != len(numbers) or folder == source:
            said = f"{len(videos)} videos for {len(numbers)} recordings of {name}"
            raise InputError(
                "E-CSI-PAIRING",
                f"{folder} has {f'no folder {name}' if folder == source else said}.",
                "a folder of videos for each class, one video for each recording; or --pairing "
                "name.",
            )
        ordered = sorted(numbers, key=lambda number: windows.recordings[number])
        found.update(zip(ordered, videos, strict=True))
    if not found:
        raise InputError(
            "E-CSI-VIDEO",
            f"{source} has no video of {windows.recordings[0]}.",
            "videos with the names of the recordings, or --pairing sorted.",
        )
    return found


def pair(
    windows: Windows,
    videos: Mapping[int, Path],
    choices: PairChoices,
    finder: FaceFinder | None = None,
    progress: Progress = lambda steps, note: None,
) -> Pairs:
    """One picture for each window, at its own time.

    Args:
        windows: with times, nothing played backwards.
        videos: by number of the recording.
        choices: which frame.
        finder: cuts the face out; without it the middle of the frame is taken.
        progress: gets each video.

    Raises:
        InputError: E-CSI-REVERSE, E-CSI-CLOCK, E-CSI-ORDER for windows that have no true time;
            E-CSI-PAIR where a part has no pair; those of :func:`max78k.csi.video.frame_times`.
    """
    _check_times(windows)
    gathered = _Gathered(windows, choices, finder)
    for number, video in videos.items():
        gathered.add(number, video)
        progress(1, video.name)
    return gathered.pairs()


class _Gathered:
    """What has been found for each window so far."""

    def __init__(self, windows: Windows, choices: PairChoices, finder: FaceFinder | None) -> None:
        self._windows, self._choices, self._finder = windows, choices, finder
        counts = {part: len(rows) for part, rows in windows.groups.items()}
        self._reason = {part: np.full(count, NO_VIDEO, object) for part, count in counts.items()}
        self._frames = {part: np.zeros(count, np.int64) for part, count in counts.items()}
        self._times = {part: np.zeros(count) for part, count in counts.items()}
        self._apart = {part: np.zeros(count) for part, count in counts.items()}
        self._pictures = {
            part: np.zeros((count, *choices.shape), np.uint8) for part, count in counts.items()
        }
        self._spans = ""  # of the first recording, for the message where nothing fits

    def add(self, number: int, video: Path) -> None:
        """Find the frames of one recording's windows in its video."""
        windows, choices = self._windows, self._choices
        times = frame_times(video)
        clock = choices.clocks.get(windows.recordings[number], choices.clock)
        used: set[int] = set()
        for part, groups in windows.groups.items():
            rows = np.flatnonzero(groups == number)
            begin, end = windows.seconds[part][rows].T
            wanted = clock.video(begin + _SHARES[choices.at] * (end - begin))
            nearest = np.array([np.abs(times - one).argmin() for one in wanted], np.int64)
            self._frames[part][rows], self._times[part][rows] = nearest, times[nearest]
            self._apart[part][rows] = np.abs(times[nearest] - wanted)
            near = self._apart[part][rows] <= choices.tolerance
            self._reason[part][rows] = np.where(near, NO_FACE, NO_FRAME)
            used.update(nearest[near].tolist())
            if len(rows) and not self._spans:
                self._spans = (
                    f"by the clock of {video.name} windows of {windows.recordings[number]} are at "
                    f"{wanted.min():.2f} ... {wanted.max():.2f} s and frames at {times[0]:.2f} ... "
                    f"{times[-1]:.2f} s"
                )
        seen = {frame: self._face(picture) for frame, picture in pictures_at(video, used)}
        for part, groups in windows.groups.items():
            for row in np.flatnonzero((groups == number) & (self._reason[part] == NO_FACE)):
                face = seen[int(self._frames[part][row])]
                if face is not None:
                    self._pictures[part][row], self._reason[part][row] = face, ""

    def _face(self, picture: Uint8Array) -> Uint8Array | None:
        if self._finder is not None:
            box = self._finder.find(picture)
            if box is None:
                return None
            picture = cut(picture, box)
        return as_input(picture, self._choices.shape, crop=True)

    def pairs(self) -> Pairs:
        """The windows that have a picture."""
        left_out = Counter(one for part in self._reason.values() for one in part.tolist() if one)
        kept = {part: np.flatnonzero(reason == "") for part, reason in self._reason.items()}
        for part, rows in kept.items():
            if not len(rows):
                said = ", ".join(f"{count} x {reason}" for reason, count in left_out.items())
                raise InputError(
                    "E-CSI-PAIR",
                    f"no window of the {part} part has a picture ({said}); {self._spans}.",
                    "--offset, --moments, or videos of all recordings.",
                )
        windows = self._windows.take(kept)
        parts = {
            part: Split(self._pictures[part][rows], windows.data.parts()[part].labels)
            for part, rows in kept.items()
        }
        faces = Dataset(
            f"faces of {windows.data.name}", windows.data.class_names, parts["train"], parts["test"]
        )
        return Pairs(
            windows,
            faces,
            {part: values[kept[part]] for part, values in self._frames.items()},
            {part: values[kept[part]] for part, values in self._times.items()},
            {part: values[kept[part]] for part, values in self._apart.items()},
            dict(left_out),
        )


def write_pairs(pairs: Pairs, folder: Path) -> None:
    """Windows and pictures as two data sets of the same rows, and a list of which is which."""
    windows = pairs.windows
    lines = ["part,row,recording,begin,end,frame,frame_seconds,apart"]
    for part, groups in windows.groups.items():
        for row, number in enumerate(groups):
            begin, end = windows.seconds[part][row]
            name = windows.recordings[number].replace('"', '""')
            lines.append(
                f'{part},{row},"{name}",{begin:.6f},{end:.6f},{pairs.frames[part][row]},'
                f"{pairs.times[part][row]:.6f},{pairs.apart[part][row]:.6f}"
            )
    write_windows(windows, folder / WINDOWS_FILE)
    write_npz(pairs.faces, folder / FACES_FILE)
    write_text(folder / LIST_FILE, "\n".join(lines) + "\n")


def _classes(windows: Windows) -> dict[int, str]:
    """The class of each recording: its folder, else the label of its windows."""
    names = windows.data.class_names
    labels = {
        int(number): names[label]
        for part, groups in windows.groups.items()
        for number, label in zip(groups, windows.data.parts()[part].labels, strict=True)
    }
    folders = {n: PurePosixPath(name).parts[0] for n, name in enumerate(windows.recordings)}
    return labels | {n: folder for n, folder in folders.items() if folder in names}


def _by_name(
    windows: Windows, numbers: list[int], folder: Path, videos: list[Path]
) -> dict[int, Path]:
    """Videos at the same place below the class's folder, else of the same name anywhere in it."""
    found = {}
    for number in numbers:
        name = PurePosixPath(windows.recordings[number])
        ends = [name.with_suffix("").parts, name.with_suffix("").parts[1:], (name.stem,)]
        for end in ends:
            fitting = [
                path for path in videos
                if path.relative_to(folder).with_suffix("").parts[-len(end) :] == end
            ] if end else []  # fmt: skip
            if len(fitting) > 1:
                raise InputError(
                    "E-CSI-VIDEO",
                    f"{fitting[0]} and {fitting[1]} both have the name of {name}.",
                    "one video for each recording.",
                )
            if fitting:
                found[number] = fitting[0]
                break
    return found


def _check_times(windows: Windows) -> None:
    """Refuse windows that have no true time."""
    if windows.reverse:
        raise InputError(
            "E-CSI-REVERSE",
            "windows that are played backwards have no frame.",
            "`csi prepare` without --reverse.",
        )
    for part, seconds in windows.seconds.items():
        groups = windows.groups[part]
        unknown = np.isnan(seconds).any(axis=1)
        if unknown.any():
            raise InputError(
                "E-CSI-CLOCK",
                f"{windows.recordings[groups[unknown.argmax()]]} has no times of its packets.",
                "recordings with the receiver's clock, prepared by this version.",
            )
        follows = groups[1:] == groups[:-1]
        back = seconds[:, 1] <= seconds[:, 0]
        back[1:] |= follows & (np.diff(seconds[:, 0]) < 0)
        if back.any():
            row = int(back.argmax())
            raise InputError(
                "E-CSI-ORDER",
                f"window {row} of the {part} part, of {windows.recordings[groups[row]]}, goes from "
                f"{seconds[row, 0]:.3f} to {seconds[row, 1]:.3f} s: the clock went back.",
                "cut the recording where the receiver began anew.",
            )
