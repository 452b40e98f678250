"""``max78k data``: look at a data set, convert it, find what is in it twice, enlarge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from max78k.cli import data_teach
from max78k.cli.options import seed_option
from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError
from max78k.files import rehearsed

if TYPE_CHECKING:
    from max78k.datasets.dataset import Dataset
    from max78k.datasets.duplicates import Item

SHOW = "show"
_PICTURE = (1, 48, 48)  # where the data do not say

_bad_rows = click.option(
    "--skip-bad-rows", is_flag=True, help="CSV: leave bad rows out and count them."
)


class _WithDefault(click.Group):
    """``max78k data SPEC`` is ``max78k data show SPEC``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        first = next((one for one in args if not one.startswith("-")), None)
        if not any(one in known for one in args[:1]) and first not in self.commands:
            args = [SHOW, *args]
        return super().parse_args(ctx, args)


@click.group("data", cls=_WithDefault)
def command() -> None:
    """Look at data sets and prepare them; without a verb of its own, `show`.

    \b
    Examples:
      max78k data fer2013.csv
      max78k data convert fer2013.csv --classes calm4 --out fer4-calm.npz
      max78k data duplicates pictures/
      max78k data augment fer2013.csv --sheet changes.png
      max78k data faces photos/ --detector yunet.onnx --out faces/
      max78k data teach soft.npz runs/fer7 --out taught.npz

    SPEC: `faces` or `faces:train=4000,test=1000` (drawn faces), a fer2013.csv, an .npz of images
    and labels, a folder with one folder of images for each class, or the folder of CK+.
    """


command.add_command(data_teach.teach)


@command.command(SHOW)
@click.argument("spec", default="faces")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write pictures as one PNG.")
@click.option("--chart", type=click.Path(path_type=Path), help="Write counts by class as PNG.")
@click.option(
    "--count", type=click.IntRange(1), default=64, show_default=True, help="In the sheet."
)
@_bad_rows
@seed_option
@dry_run_option
@json_option
def show(
    spec: str,
    sheet: Path | None,
    chart: Path | None,
    count: int,
    skip_bad_rows: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Counts by class of SPEC; pictures with their labels.

    \b
    Examples:
      max78k data show faces --sheet faces.png
      max78k data show fer2013.csv --chart classes.png
      max78k data show pictures/ --sheet sheet.png --count 100
    """
    dataset = _load(spec, seed, skip_bad_rows)
    if sheet is not None:
        from max78k.report.contact_sheet import draw_contact_sheet

        part = dataset.train.sample(count, seed)
        draw_contact_sheet(
            sheet, part.inputs, part.labels.tolist(), dataset.class_names, title=dataset.name
        )
    counts = _counts(dataset)
    if chart is not None:
        from max78k.report.class_chart import draw_class_chart

        draw_class_chart(chart, counts, dataset.class_names, dataset.name)
    emit(dataset.describe(), _summary(dataset), as_json)


@command.command("convert")
@click.argument("spec")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="An .npz file, or a new folder."
)
@click.option(
    "--classes",
    metavar="MAP",
    help="fer7, calm4, calm4-ckplus, happy4, or new=old+old,other=old; other classes are left out.",
)
@click.option("--size", type=click.IntRange(4, 1024), help="Of the new pictures, as 28 for 28x28.")
@click.option("--balance", is_flag=True, help="Repeat train samples up to the largest class.")
@click.option(
    "--votes",
    type=click.Path(path_type=Path),
    help="FER-2013: FER+'s fer2013new.csv, whose votes become soft labels.",
)
@click.option(
    "--votes-share",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Of the votes in a soft label; the label gets the rest.",
)
@click.option(
    "--votes-calibrated",
    is_flag=True,
    help="Instead of the votes, the labels that pictures with such votes have.",
)
@click.option("--drop-no-face", is_flag=True, help="With --votes: leave out what is no face.")
@_bad_rows
@seed_option
@dry_run_option
@json_option
def convert(
    spec: str,
    out: Path,
    classes: str | None,
    size: int | None,
    balance: bool,
    votes: Path | None,
    votes_share: float,
    votes_calibrated: bool,
    drop_no_face: bool,
    skip_bad_rows: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Write SPEC as one .npz file, or as folders of pictures, with other classes if asked.

    \b
    Examples:
      max78k data convert fer2013.csv --out fer2013.npz
      max78k data convert fer2013.csv --out pictures/
      max78k data convert fer2013.csv --classes happy4 --out fer4-happy.npz
      max78k data convert fer2013.csv --size 28 --out fer28.npz
      max78k data convert ckplus/ --classes calm4-ckplus --out ckplus-calm.npz
      max78k data convert pictures/ --balance --out balanced.npz
      max78k data convert fer2013.csv --votes fer2013new.csv --votes-share 0.5 --out soft.npz
    """
    if votes is None and (votes_calibrated or drop_no_face or votes_share != 1):
        raise InputError(
            "E-DATA-VOTES",
            "--votes-share, --votes-calibrated and --drop-no-face need votes.",
            "--votes fer2013new.csv",
        )
    dataset = _load(spec, seed, skip_bad_rows, size)
    if votes is not None:
        from max78k.datasets.ferplus import read_votes, with_votes

        dataset, judged = with_votes(
            dataset, read_votes(votes), votes_share, drop_no_face, votes_calibrated
        )
        say(
            f"votes: {judged.agree:,} agree with the label, {judged.differ:,} differ, "
            f"{judged.silent:,} say nothing of a class, {judged.no_face:,} see no face"
        )
    left_out: dict[str, int] = {}
    if classes is not None:
        from max78k.datasets.class_maps import map_classes, read_class_map

        chosen = read_class_map(classes)
        dataset, left_out = map_classes(dataset, chosen)
        if chosen.note:
            say(f"{classes}: {chosen.note}.")
    if balance:
        dataset = dataset.with_parts({**dataset.parts(), "train": dataset.train.balanced(seed)})
    _write(dataset, out)
    text = dataset.describe()
    if left_out:
        text += "\nleft out: " + ", ".join(f"{name} {count:,}" for name, count in left_out.items())
    emit(text, {**_summary(dataset), "left_out": left_out, "out": str(out)}, as_json)


@command.command("duplicates")
@click.argument("spec")
@click.option("--out", type=click.Path(path_type=Path), help="Write the data without repeats.")
@click.option("--delete", is_flag=True, help="Folders: delete the files that repeat others.")
@click.option(
    "--part", type=click.Choice(("train", "test", "final")), help="Look into this part alone."
)
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@_bad_rows
@seed_option
@dry_run_option
@json_option
def duplicates(
    spec: str,
    out: Path | None,
    delete: bool,
    part: str | None,
    yes: bool,
    skip_bad_rows: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Find pictures that are in SPEC more than once, within a part and across parts.

    \b
    Examples:
      max78k data duplicates fer2013.csv
      max78k data duplicates fer2013.csv --out clean.npz
      max78k data duplicates fer2013.csv --dry-run
      max78k data duplicates pictures/ --delete --dry-run
      max78k data duplicates pictures/ --delete --part train

    Nothing is changed without --out or --delete. Of a picture in several parts the copy in the
    final or test part stays, since results are measured there; within a part the first stays.
    """
    from max78k.datasets import duplicates as repeated
    from max78k.datasets.ckplus import is_published

    folder = Path(spec)
    by_file = folder.is_dir() and not is_published(folder)
    if delete and not by_file:
        raise InputError("E-DATA-DELETE", f"{spec} is no folder of class folders.", "--out FILE")
    dataset = None if by_file and out is None else _load(spec, seed, skip_bad_rows)
    items = repeated.items_in(folder) if dataset is None else repeated.items_of(dataset)
    found = repeated.find_duplicates(one for one in items if part in (None, one.part))
    if out is not None and dataset is not None:
        _write(repeated.without_repeats(dataset, found), out)
    deleted = 0
    if rehearsed() is not None:
        for item in found.repeats:
            say(f"would go: {_place(item)}")
    elif delete and found.repeats:
        if not yes:
            click.confirm(f"Delete {len(found.repeats):,} files?", abort=True, err=True)
        for item in found.repeats:
            Path(item.name).unlink()
            deleted += 1
    emit(_told(found, deleted), {**found.to_json(), "deleted": deleted}, as_json)


@command.command("augment")
@click.argument("spec")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the enlarged data: an .npz, or a new folder whose files name their change.",
)
@click.option("--only", metavar="NAMES", help="Changes, with commas between. Default: all 28.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Of the train pictures that get a copy by each change.",
)
@click.option("--sheet", type=click.Path(path_type=Path), help="Write every change of a picture.")
@_bad_rows
@seed_option
@dry_run_option
@json_option
def augment(
    spec: str,
    out: Path | None,
    only: str | None,
    share: float,
    sheet: Path | None,
    skip_bad_rows: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Add changed copies of SPEC's train pictures; test and final parts stay as they are.

    \b
    Examples:
      max78k data augment fer2013.csv --sheet changes.png
      max78k data augment fer2013.csv --share 0.03 --out larger.npz
      max78k data augment fer2013.csv --only rotation,flip,dark --out larger.npz
    """
    from max78k.datasets import named_augmentations as named

    chosen = named.CHANGES if only is None else (x.strip() for x in only.split(","))
    names = tuple(dict.fromkeys(chosen))
    if out is None and sheet is None:
        raise InputError(
            "E-DATA-OUT", "nothing is asked for.", "--out FILE.npz or --sheet FILE.png"
        )
    dataset = _load(spec, seed, skip_bad_rows)
    if sheet is not None:
        from max78k.report.contact_sheet import draw_contact_sheet

        one = dataset.train.sample(1, seed).inputs[0]
        pictures = [one, *(named.change(one, name, seed, 0) for name in names)]
        import numpy as np

        draw_contact_sheet(
            sheet, np.stack(pictures), range(len(pictures)), ("original", *names), columns=10
        )
    if out is not None:
        from max78k.datasets.duplicates import also_in

        others = [split.inputs for part, split in dataset.parts().items() if part != "train"]
        spared = also_in(dataset.train.inputs, others)
        train, made = named.enlarge(dataset.train, names, share, seed, spared)
        dataset = dataset.with_parts({**dataset.parts(), "train": train})
        _write(dataset, out, {"train": made})
        say(f"{sum(map(bool, made)):,} copies by {len(names)} changes")
        if spared.any():
            say(f"{spared.sum():,} train pictures got none: another part has them, too")
    emit(dataset.describe(), {**_summary(dataset), "changes": list(names)}, as_json)


@command.command("faces")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    required=True,
    help="YuNet's ONNX file, of OpenCV's model zoo.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="A new folder for the faces."
)
@dry_run_option
@json_option
def cut_faces(folder: Path, detector: Path, out: Path, as_json: bool) -> None:
    """Cut the largest face out of every photograph in FOLDER and the folders in it.

    \b
    Examples:
      max78k data faces photos/ --detector face_detection_yunet_2023mar.onnx --out faces/

    The faces stand under the same paths, so that folders of classes stay what they are. Files that
    cannot be read, and pictures without a face, are named and left out. OpenCV
    finds faces with YuNet, whose file (MIT licence) is in OpenCV's model zoo, and not here.
    """
    from max78k.datasets import writing
    from max78k.datasets.face_finder import FaceFinder
    from max78k.datasets.frames import IMAGES

    if not folder.is_dir():
        raise InputError("E-DATA-FOLDER", f"{folder} is no folder.", "a folder of photographs.")
    finder = FaceFinder(detector)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGES)
    if not files:
        raise InputError("E-DATA-FOLDER", f"{folder} holds no pictures.", ", ".join(IMAGES))
    with progress("faces", len(files)) as advance:
        without = writing.cut_faces(files, folder, out, finder, advance)
    for path, reason in without.items():
        say(f"{reason}: {path}")
    found = len(files) - len(without)
    report = {
        "out": str(out),
        "faces": found,
        "without": [str(path) for path, reason in without.items() if reason == writing.NO_FACE],
        "unreadable": [
            str(path) for path, reason in without.items() if reason == writing.UNREADABLE
        ],
    }
    emit(f"{out}: {found:,} faces of {len(files):,} pictures", report, as_json)


def _load(spec: str, seed: int, skip_bad_rows: bool, side: int | None = None) -> Dataset:
    from max78k.datasets.arrays import sample_shape
    from max78k.datasets.load import load

    path = Path(spec)
    stored = sample_shape(path) if path.suffix == ".npz" and path.is_file() else None
    return load(
        spec, input_shape=stored or _PICTURE, seed=seed, skip_bad_rows=skip_bad_rows, need=(),
        side=side,
    )  # fmt: skip


def _write(
    dataset: Dataset, out: Path, marks: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> None:
    from max78k.datasets.writing import write_folder, write_npz

    if out.suffix.lower() == ".npz":
        write_npz(dataset, out)
        return
    with progress("write", sum(map(len, dataset.parts().values()))) as advance:
        write_folder(dataset, out, advance, marks)


def _counts(dataset: Dataset) -> dict[str, list[int]]:
    classes = len(dataset.class_names)
    return {name: part.counts(classes).tolist() for name, part in dataset.parts().items()}


def _summary(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "input_shape": list(dataset.input_shape),
        "class_names": list(dataset.class_names),
        "counts": _counts(dataset),
        "skipped_rows": dataset.skipped_rows,
    }


def _place(item: Item) -> str:
    """Where the user finds a sample, and its class."""
    name = f"row {item.name}" if item.name.isdecimal() else item.name
    return f"{name} ({item.part}, {item.class_name})"


def _told(found: Any, deleted: int) -> str:
    lines = [
        f"{found.samples:,} samples, {len(found.repeats):,} of them repeat another "
        f"({len(found.groups):,} groups, {len(found.contradictions):,} with two labels)"
    ]
    lines += [f"  {count:,} within {part}" for part, count in found.within().items()]
    lines += [
        f"  {count:,} of {pair.replace(' in ', ' also in ')}"
        for pair, count in found.across().items()
    ]
    for group in found.contradictions[:5]:
        lines.append("  two labels: " + " and ".join(map(_place, group)))
    if found.repeats:
        lines.append(_what_stays(found))
    if deleted:
        lines.append(f"{deleted:,} files deleted")
    return "\n".join(lines)


def _what_stays(found: Any) -> str:
    """By class and part: samples, and those of them that could go."""
    from max78k.report.tables import count, table

    parts = list(found.counts)
    rows = []
    for name, cells in found.by_class().items():
        numbers = [cells.get(part, (0, 0)) for part in parts]
        rows.append([name, *(count(value) for pair in numbers for value in pair)])
    headers = ["class", *(text for part in parts for text in (part, "repeats"))]
    return table(headers, rows)
