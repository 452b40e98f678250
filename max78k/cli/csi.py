"""``max78k csi``: Wi-Fi channel state information, from packets of an ESP32 to answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from max78k.cli import csi_pair, csi_vit
from max78k.cli.csi_live import left_out, like_option, live
from max78k.cli.options import seed_option
from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.csi.preparation import Preparation

Command = Callable[..., Any]

_PREPARATION = (
    click.option("--channels", type=int, default=52, show_default=True, help="Subcarriers to use."),
    click.option("--window", type=int, default=600, show_default=True, help="Packets."),
    click.option("--step", type=int, default=400, show_default=True, help="Packets."),
    click.option(
        "--median",
        type=int,
        default=1,
        show_default=True,
        help="Of the last values of a subcarrier: broken packets go.",
    ),
    click.option(
        "--thin", type=int, default=1, show_default=True, help="Packets whose mean is one value."
    ),
    click.option(
        "--form",
        type=click.Choice(("series", "image", "cosines")),
        default="series",
        show_default=True,
        help="[channels, window / thin]; log spectrograms [channels, 32, 32]; or cosine transforms "
        "at every fourth value [channels, 4, window / thin / 4].",
    ),
    click.option(
        "--segment",
        type=int,
        default=4,
        show_default=True,
        help="Values that a cosine transform looks at; beyond 4 they overlap.",
    ),
    click.option("--rate", type=float, default=0.0, help="Resample to this many packets/s."),
    click.option("--spikes", is_flag=True, help="Replace single spikes (Hampel filter)."),
    click.option("--cutoff", type=float, default=0.0, help="Low-pass (Butterworth), Hz."),
)


def _preparation_options(command: Command) -> Command:
    for option in reversed(_PREPARATION):
        command = option(command)
    return command


@click.group("csi")
def command() -> None:
    """Wi-Fi CSI of an ESP32: look at it, make some, cut it into windows, answer.

    \b
    Examples:
      max78k csi make --out room
      max78k csi inspect room/happy/subject0_0.csv --draw steps.png
      max78k csi prepare room --split subject --out windows.npz
      max78k train-qat --network csi4_1d --data windows.npz --out runs/csi4
      max78k export runs/csi4 --out csi4-model
      max78k csi evaluate csi4-model windows.npz
      max78k csi predict csi4-model room/sad/subject0_0.csv
      max78k csi live csi4-model --esp32 /dev/ttyUSB1 --port /dev/ttyUSB0
    """


command.add_command(csi_vit.command, "train-vit")
command.add_command(csi_pair.pair)
command.add_command(csi_pair.teach)
command.add_command(live)


@command.command("inspect")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--draw", type=click.Path(path_type=Path), help="Write every step as one PNG.")
@_preparation_options
@json_option
def inspect(file: Path, draw: Path | None, as_json: bool, **choices: Any) -> None:
    """Packets, rate, subcarriers and bad rows of a CSV of the ESP32-CSI-Tool.

    \b
    Examples:
      max78k csi inspect walking.csv
      max78k csi inspect walking.csv --rate 100 --spikes --cutoff 10 --draw steps.png
    """
    from max78k.csi.esp32 import read_csv
    from max78k.csi.preparation import Preparation

    recording, preparation = read_csv(file), Preparation(**choices)
    windows = preparation.of(recording)
    if draw is not None:
        from max78k.flows.csi_pictures import steps
        from max78k.report.csi_steps import draw_csi_steps

        draw_csi_steps(draw, steps(recording, preparation), recording.name)
    rate, seconds = recording.rate, recording.seconds
    data = {
        "name": recording.name,
        "packets": len(recording),
        "subcarriers": recording.subcarriers,
        "packets_per_second": rate,
        "seconds": None if seconds is None else float(seconds[-1]),
        "lost_packets": recording.lost,
        "windows": len(windows),
        "window_shape": list(windows.shape[1:]),
        "bad_rows": dict(recording.bad_rows),
    }
    clock = (
        "no clock"
        if rate is None or seconds is None
        else f"{seconds[-1]:.1f} s, {rate:.1f} packets/s, about {recording.lost:,} lost on the way"
    )
    lines = [
        f"{recording.name}: {len(recording):,} packets, "
        f"{recording.subcarriers} subcarriers, {clock}",
        f"  {len(windows):,} windows of {'x'.join(map(str, windows.shape[1:]))}",
        *left_out(recording.bad_rows),
    ]
    emit("\n".join(lines), data, as_json)


@command.command("make")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--persons", type=click.IntRange(1, 1000), default=8, show_default=True)
@click.option("--recordings", type=click.IntRange(1), default=2, show_default=True,
              help="Of each person and emotion.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1), default=60.0, show_default=True)
@seed_option
@dry_run_option
@json_option
def make(
    out: Path, persons: int, recordings: int, seconds: float, seed: int, as_json: bool
) -> None:
    """Write CSI of breathing persons in rooms of their own, as an ESP32 would hear it.

    \b
    Examples:
      max78k csi make --out room
      max78k csi make --out room --persons 20 --recordings 3 --seconds 120 --seed 7
    """
    from max78k.csi.channel import CLASS_NAMES
    from max78k.flows.csi_making import make_folder

    total = persons * recordings * len(CLASS_NAMES)
    with progress("write", total) as advance:
        make_folder(out, persons, recordings, seconds, seed, advance)
    emit(f"{out}: {total} recordings", {"out": str(out), "recordings": total}, as_json)


@command.command("prepare")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="An .npz file.")
@_preparation_options
@click.option(
    "--like",
    metavar="MODEL|WINDOWS",
    help="Prepare as a model learnt, or as other windows, with their gain.",
)
@click.option(
    "--split",
    default="recording",
    show_default=True,
    help="recording, subject, time (end of each), fold:K/N, or random (leaks).",
)
@click.option("--share", type=click.FloatRange(0.01, 0.99), default=0.3, show_default=True,
              help="That is held out.")  # fmt: skip
@click.option(
    "--reverse",
    default="",
    metavar="same|A=B,...",
    help="Also learn windows played backwards: as the same class, or A as B and B as A.",
)
@click.option(
    "--reverse-share",
    type=float,
    default=1.0,
    show_default=True,
    help="Of the windows; fewer let what was recorded weigh more.",
)
@click.option("--subject", help="Regular expression whose group names the person in a path.")
@seed_option
@dry_run_option
@json_option
def prepare(
    source: Path,
    out: Path,
    like: str | None,
    split: str,
    share: float,
    reverse: str,
    reverse_share: float,
    subject: str | None,
    seed: int,
    as_json: bool,
    **choices: Any,
) -> None:
    """Cut SOURCE into windows that `--data` takes, divided into a train and a test part.

    \b
    Examples:
      max78k csi prepare room --split subject --out windows.npz
      max78k csi prepare gestures.npz --window 200 --step 25 --split time \\
        --reverse push=pull --out gestures-w.npz
      max78k csi prepare walking.npz --window 400 --step 100 --split fold:0/5 --out fold0.npz
      max78k csi prepare gestures.npz --like csi5_1d --split time --out to-judge-it.npz

    SOURCE: a folder with a folder of CSV files for each class, or an .npz of `csi` and `labels`.
    """
    from max78k.csi.collection import SUBJECT, read_collection
    from max78k.csi.preparation import Preparation
    from max78k.csi.splits import Split
    from max78k.csi.windows import make_windows, write_windows

    preparation = Preparation(**choices) if like is None else _like(like, choices)
    division = Split(split, share, seed)
    files = sum(1 for _ in source.rglob("*.csv")) if source.is_dir() else 0
    with progress("read", files) as advance:
        collection = read_collection(source, subject or SUBJECT, advance)
    bad: Counter[str] = Counter()
    for one in collection.recordings:
        bad.update(one.recording.bad_rows)
    with progress("cut", len(collection.recordings)) as advance:
        windows = make_windows(collection, preparation, division, reverse, advance, reverse_share)
    write_windows(windows, out)
    if division.leaks:
        say("note: windows of both parts share packets; results on them say nothing of new data.")
    classes = len(collection.class_names)
    data = {
        "out": str(out),
        "recordings": len(collection.recordings),
        "bad_rows": dict(bad),
        "counts": {p: s.counts(classes).tolist() for p, s in windows.data.parts().items()},
        "gain": windows.preparation.gain,
        "split": split,
        "leaks": division.leaks,
    }
    text = windows.data.describe()
    if bad:
        text += "\nrows left out: " + ", ".join(f"{n:,} x {fault}" for fault, n in bad.items())
    emit(text, data, as_json)


def _like(source: str, choices: dict[str, Any]) -> Preparation:
    """The preparation that ``source`` says; of the choices the step alone may differ."""
    from max78k.flows.csi_answers import preparation_like

    origin = click.get_current_context().get_parameter_source
    given = [name for name in choices if origin(name) is not ParameterSource.DEFAULT]
    twice = [name for name in given if name != "step"]
    if twice:
        raise InputError(
            "E-CSI-LIKE", f"--like and --{twice[0]} both say how to prepare.", "one of both."
        )
    found = preparation_like(source)
    return replace(found, step=choices["step"]) if given else found


@command.command("evaluate")
@click.argument("model")
@click.argument("windows", type=click.Path(path_type=Path))
@click.option("--confusion", type=click.Path(path_type=Path), help="Write both matrices as PNG.")
@json_option
def evaluate(model: str, windows: Path, confusion: Path | None, as_json: bool) -> None:
    """Precision, recall and F1 over the whole test part: by window, and by recording.

    \b
    Examples:
      max78k csi evaluate csi4-model windows.npz --confusion confusion.png
    """
    from max78k.csi.windows import read_windows
    from max78k.flows.csi_answers import differences, score_windows
    from max78k.flows.models import load_model
    from max78k.report.tables import scores_table

    prepared = read_windows(windows)
    names = prepared.data.class_names
    network = load_model(model).network
    differing = differences(network, prepared)
    if differing:
        say(
            f"note: {windows} was prepared otherwise than what {network.name} learnt from: "
            f"{', '.join(differing)}; `csi prepare --like {model}` prepares as it did."
        )
    results = dict(
        zip(
            ("by window", "by recording"),
            score_windows(network, prepared),
            strict=True,
        )
    )
    if confusion is not None:
        from max78k.report.confusion import draw_confusions

        draw_confusions(confusion, {k: one.confusion for k, one in results.items()}, names)
    text = "\n\n".join(f"{kind}\n{scores_table(one, names)}" for kind, one in results.items())
    if prepared.split.leaks:
        text += "\nthe parts share packets: these figures say nothing of new data"
    data: dict[str, Any] = {
        kind.replace(" ", "_"): {
            "accuracy": one.accuracy, "macro_f1": one.macro[2], "weighted_f1": one.weighted[2],
            "n": int(one.support.sum()), "confusion": one.confusion.tolist(),
        }
        for kind, one in results.items()
    }  # fmt: skip
    emit(text, {**data, "class_names": list(names), "leaks": prepared.split.leaks}, as_json)


@command.command("predict")
@click.argument("model")
@click.argument("file", type=click.Path(path_type=Path))
@like_option
@json_option
def predict(model: str, file: Path, like: Path | None, as_json: bool) -> None:
    """What MODEL says of each window of a CSV, in percent, and of the whole.

    \b
    Examples:
      max78k csi predict csi4-model room/sad/subject0_0.csv
    """
    from max78k.csi.esp32 import read_csv
    from max78k.flows.csi_answers import answer_recording, preparation_of
    from max78k.flows.models import load_model

    network = load_model(model).network
    recording = read_csv(file)
    answer = answer_recording(network, preparation_of(network, like), recording)
    report = answer.to_json() | {"bad_rows": dict(recording.bad_rows)}
    lines = [f"{file.name}: {answer.dominant} ({report['windows']} windows)"]
    lines += [f"  {name:<12} {share:5.1f} %" for name, share in report["percent"].items()]
    lines += left_out(recording.bad_rows)
    emit("\n".join(lines), report, as_json)
