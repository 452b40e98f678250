"""``max78k csi pair`` and ``max78k csi teach``: faces beside CSI, and what they tell it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.csi.pairing import Pairs

_DRAWN = 8  # pairs in a strip


@click.command("pair")
@click.argument("windows", type=click.Path(path_type=Path))
@click.argument("videos", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--pairing", type=click.Choice(("name", "sorted")), default="name",
              show_default=True,
              help="A video has its recording's name, or its place in the class.")  # fmt: skip
@click.option("--at", type=click.Choice(("begin", "middle", "end")), default="middle",
              show_default=True, help="Moment of the window that the frame is of.")  # fmt: skip
@click.option("--offset", type=float, default=0.0, show_default=True,
              help="The video's time at the first packet, seconds.")  # fmt: skip
@click.option("--moments", type=click.Path(path_type=Path),
              help="CSV of recording,csi_seconds,video_seconds: offsets and drifts.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0), default=0.1, show_default=True,
              help="Seconds that a frame may be away.")  # fmt: skip
@click.option("--faces", type=click.Path(path_type=Path), metavar="YUNET",
              help="OpenCV's YuNet, which cuts faces out; else the middle.")  # fmt: skip
@click.option("--size", type=click.IntRange(8, 1024), default=48, show_default=True,
              help="Pixels of a picture's side.")  # fmt: skip
@click.option("--colour", is_flag=True, help="Red, green, blue; else grey.")
@click.option("--draw", type=click.Path(path_type=Path), help="Write some pairs as one PNG.")
@dry_run_option
@json_option
def pair(
    windows: Path,
    videos: Path,
    out: Path,
    pairing: str,
    at: str,
    offset: float,
    moments: Path | None,
    tolerance: float,
    faces: Path | None,
    size: int,
    colour: bool,
    draw: Path | None,
    as_json: bool,
) -> None:
    """The frame of VIDEOS at the time of each window that `csi prepare` wrote.

    \b
    Examples:
      max78k csi prepare room --split subject --out windows.npz
      max78k csi pair windows.npz videos --faces yunet.onnx --out pairs --draw pairs.png
      max78k csi pair windows.npz videos --offset 1.25 --at begin --out pairs
      max78k csi pair windows.npz data --pairing sorted --out pairs

    VIDEOS: a folder, with a folder for each class or without. Frames have the times of the file, or
    of VIDEO.times (face.mp4.times) beside it, a line of seconds for each. The folder gets
    windows.npz and faces.npz, two data sets whose rows belong together, and pairs.csv.
    """
    from max78k.csi import pairing as pairings
    from max78k.csi.clocks import Clock, read_moments
    from max78k.csi.windows import read_windows
    from max78k.datasets.face_finder import FaceFinder

    if out.exists():
        raise InputError("E-CSI-OUT", f"{out} exists.", "give a folder that does not.")
    prepared = read_windows(windows)
    choices = pairings.PairChoices(
        next(one for one in pairings.PAIRINGS if one == pairing),
        next(one for one in pairings.MOMENTS if one == at),
        tolerance,
        Clock(offset),
        {} if moments is None else read_moments(moments, prepared.recordings),
        (3 if colour else 1, size, size),
    )
    finder = None if faces is None else FaceFinder(faces)
    found = pairings.match_videos(prepared, videos, choices.pairing)
    with progress("pair", len(found)) as advance:
        made = pairings.pair(prepared, found, choices, finder, advance)
    pairings.write_pairs(made, out)
    if draw is not None:
        _draw(made, draw)
    if finder is None:
        say("note: without --faces the pictures are the middle of each frame, face or not.")
    apart = max(float(one.max()) for one in made.apart.values())
    text = made.faces.describe() + f"\nframes are at most {apart:.3f} s from their moment"
    if made.left_out:
        text += "\nwindows left out: " + ", ".join(
            f"{count:,} x {reason}" for reason, count in made.left_out.items()
        )
    data = {
        "out": str(out),
        "videos": {prepared.recordings[number]: str(path) for number, path in found.items()},
        "pairs": {part: len(split) for part, split in made.faces.parts().items()},
        "left_out": made.left_out,
        "most_seconds_apart": apart,
        "faces_found": finder is not None,
    }
    emit(text, data, as_json)


@click.command("teach")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("teacher", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="An .npz file.")
@click.option("--onto", type=click.Path(path_type=Path),
              help="Other windows of the same moments, which get the labels.")  # fmt: skip
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="Of the teacher in the soft labels.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0.1), default=2.0, show_default=True,
              help="Its scores are divided by it.")  # fmt: skip
@click.option("--network", help="The teacher's class, path/to/file.py:Class, if it is your own.")
@dry_run_option
@json_option
def teach(
    source: Path,
    teacher: Path,
    out: Path,
    onto: Path | None,
    share: float,
    temperature: float,
    network: str | None,
    as_json: bool,
) -> None:
    """Windows with what TEACHER says of them, or of the pictures beside them.

    \b
    Examples:
      max78k train-qat --network fer7 --data pairs/faces.npz --out runs/faces
      max78k csi teach pairs runs/faces --out taught.npz
      max78k train-qat --network csi4_1d --data taught.npz --out runs/csi4
      max78k csi teach series.npz vit --onto images.npz --out taught-images.npz
      max78k train-qat --network csi4_2d --data taught-images.npz --out runs/csi4-2d

    SOURCE: a folder of `csi pair`, whose pictures TEACHER sees, or windows, which it reads itself.
    TEACHER: a training run's folder, a checkpoint or a folder of `csi train-vit`. The soft labels
    of the train part are its shares and the labels; the test part keeps its labels.
    """
    from max78k.csi.windows import write_windows
    from max78k.flows.csi_teaching import taught_windows

    windows, right = taught_windows(
        source, teacher, onto=onto, network=network, share=share, temperature=temperature
    )
    write_windows(windows, out)
    data = {
        "out": str(out),
        "teacher_accuracy": right,
        "windows": {part: len(split) for part, split in windows.data.parts().items()},
    }
    emit(
        f"{windows.data.describe()}\nthe teacher is right on {right:.2%} of the test part",
        data,
        as_json,
    )


def _draw(made: Pairs, path: Path) -> None:
    """Pairs spread evenly over the train part."""
    import numpy as np

    from max78k.report.csi_pairs import draw_csi_pairs

    windows, part = made.windows, made.windows.data.train
    rows = np.unique(np.linspace(0, len(part) - 1, _DRAWN).round().astype(int))
    names = windows.data.class_names
    spans = windows.seconds["train"][rows]
    draw_csi_pairs(
        path,
        made.faces.train.inputs[rows],
        part.inputs[rows],
        [
            f"{names[part.labels[row]]}\n{made.times['train'][row]:.2f} s of the video"
            for row in rows
        ],
        [f"CSI {begin:.2f} ... {end:.2f} s" for begin, end in spans],
    )
