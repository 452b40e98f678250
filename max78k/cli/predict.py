"""``max78k predict``: class and scores of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.options import port_option
from max78k.cli.terminal import emit, json_option, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.datasets.dataset import Uint8Array
    from max78k.datasets.face_finder import FaceFinder
    from max78k.flows.levels import FloatArray, Subject


@click.command("predict")
@click.argument("given", nargs=-1, required=True, metavar="MODEL PICTURE...")
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="YuNet's ONNX file, see docs/data.md: the largest face is taken, not the middle.",
)
@click.option(
    "--draw",
    type=click.Path(path_type=Path),
    help="Write the picture with its shares as PNG; of several pictures, into this folder.",
)
@click.option(
    "--level",
    type=click.Choice(("float", "integer", "accelerator", "board")),
    default="integer",
    show_default=True,
    help="What answers: float weights of --run, integer reference, accelerator model, firmware.",
)
@click.option(
    "--run", "run_folder", type=click.Path(path_type=Path), help="Training run, for --level float."
)
@click.option("--network", help="With --run: the network's class, path/to/file.py:Class.")
@port_option
@json_option
def command(
    given: tuple[str, ...],
    detector: Path | None,
    draw: Path | None,
    level: str,
    run_folder: Path | None,
    network: str | None,
    port: str,
    as_json: bool,
) -> None:
    """Run MODEL on PICTURE, or on its middle if it has other proportions, or on the face in it.

    \b
    Examples:
      max78k predict fer7-model face.png
      max78k predict fer7 face.jpg --json
      max78k predict fer7 face.jpg --draw answer.png
      max78k predict fer7 photo.jpg --detector face_detection_yunet_2023mar.onnx
      max78k predict fer7 holidays/ portrait.jpg --draw answers/
      max78k predict fer7 face.jpg --level board --port auto
      max78k predict face.jpg --level float --run runs/fer7

    PICTURE is a file, or a folder of them. The scores are the integers that the chip gives (real
    numbers at the level float); the shares are their softmax. Of several pictures, those that
    cannot be read or have no face are named and left out.
    """
    import numpy as np

    from max78k.flows.levels import LEVELS, open_level, subject
    from max78k.flows.models import load_model

    source, names = _divided(given, level)
    files = _files(names)
    several = files != list(map(Path, names)) or len(files) > 1
    loaded = None if source is None else load_model(source)
    chosen = next(one for one in LEVELS if one == level)
    early = loaded is not None and chosen != "float"  # before a board is made ready
    seen = _read(files, subject(loaded.network), detector) if loaded is not None and early else None
    with open_level(loaded, chosen, run=run_folder, network_class=network, port=port) as answer:
        if seen is None:
            seen = _read(files, answer.subject, detector)
        pixels = list(seen.pixels.values())
        found = _answers(answer(np.stack(pixels)), answer.subject)
    if draw is not None:
        _draw(draw, seen, found, several)
    if not several:
        emit(_table(found[0]), {"level": level, **_told(found[0])}, as_json)
        return
    pairs = list(zip(seen.pixels, found, strict=True))
    lines = [
        f"{path.name:<24} {one.best:<10} {100 * one.shares.max():3.0f} %" for path, one in pairs
    ]
    report = {
        "level": level,
        "pictures": [{"picture": str(path), **_told(one)} for path, one in pairs],
        "left_out": {str(path): reason for path, reason in seen.left_out.items()},
    }
    emit("\n".join(lines), report, as_json)


def _divided(given: tuple[str, ...], level: str) -> tuple[str | None, tuple[str, ...]]:
    """Model and pictures; the level float needs no model."""
    from max78k.datasets.frames import IMAGES
    from max78k.flows.weight_sources import NETWORK_FILE

    first = Path(given[0])
    is_picture = first.suffix.lower() in IMAGES or (
        first.is_dir() and not (first / NETWORK_FILE).is_file()
    )
    if level == "float" and (is_picture or not given[1:]):
        return None, given
    if not given[1:]:
        raise InputError(
            "E-PREDICT-MODEL",
            "one argument is given; wanted are a model and pictures, with --level float pictures "
            "alone.",
            "max78k predict fer7 face.jpg",
        )
    return given[0], given[1:]


def _files(names: tuple[str, ...]) -> list[Path]:
    """The files, and those right in the folders, each once."""
    from max78k.datasets.frames import IMAGES

    found: dict[Path, None] = {}
    for path in map(Path, names):
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [one for one in inside if one == path or one.suffix.lower() in IMAGES]
        if not files:
            raise InputError("E-PREDICT-PICTURE", f"{path} holds no pictures.", ", ".join(IMAGES))
        found.update(dict.fromkeys(files))
    return list(found)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the network reads of each picture, and why others are left out."""

    pixels: dict[Path, Uint8Array]
    left_out: dict[Path, str]


def _read(files: list[Path], network: Subject, detector: Path | None) -> _Seen:
    from max78k.datasets.face_finder import FaceFinder

    if len(network.input_shape) != 3:
        raise InputError("E-PREDICT-SHAPE", f"network {network.name} takes no pictures.")
    finder = None if detector is None else FaceFinder(detector)
    seen = _Seen({}, {})
    for path in files:
        try:
            seen.pixels[path] = _read_one(path, network, finder)
        except InputError as error:
            last = len(seen.left_out) + 1 == len(files)  # none could be read
            if last or error.code not in ("E-DATA-IMAGE", "E-PREDICT-FACE"):
                raise
            say(f"left out: {error}")
            seen.left_out[path] = str(error)
    return seen


def _read_one(path: Path, network: Subject, finder: FaceFinder | None) -> Uint8Array:
    from max78k.datasets import face_finder
    from max78k.datasets.images import as_input, decoded, load_image

    if finder is None:
        return load_image(path, network.input_shape, crop=True)
    picture = decoded(path)
    box = finder.find(picture)
    if box is None:
        raise InputError(
            "E-PREDICT-FACE", f"no face is found in {path}.", "without --detector its middle."
        )
    return as_input(face_finder.cut(picture, box), network.input_shape, crop=True)


@dataclass(frozen=True, eq=False)
class _Answer:
    """Scores and shares of one picture, by class."""

    names: tuple[str, ...]
    values: FloatArray
    shares: FloatArray

    @property
    def best(self) -> str:
        return self.names[int(self.values.argmax())]


def _answers(values: FloatArray, network: Subject) -> list[_Answer]:
    from max78k.flows.evaluation import softmax

    names = network.class_names or tuple(f"class {n}" for n in range(values.shape[1]))
    shares = softmax(values * network.output_step)
    return [_Answer(names, *one) for one in zip(values, shares, strict=True)]


def _draw(place: Path, seen: _Seen, found: list[_Answer], several: bool) -> None:
    from max78k.datasets.frames import PngNames
    from max78k.report.probabilities import draw_probabilities

    png = PngNames()
    for (path, pixels), one in zip(seen.pixels.items(), found, strict=True):
        target = place / png(path.name) if several else place
        title = f"{path.name}: {one.best}"
        draw_probabilities(target, pixels, one.shares.tolist(), one.names, title)


def _table(one: _Answer) -> str:
    return "\n".join(
        f"{'*' if name == one.best else ' '} {name:<12} {_shown(value):>10}  {100 * share:5.1f} %"
        for name, value, share in zip(one.names, one.values, one.shares, strict=True)
    )


def _told(one: _Answer) -> dict[str, Any]:
    shares = [round(float(share), 4) for share in one.shares]
    return {
        "class": one.best,
        "scores": dict(zip(one.names, map(_plain, one.values.tolist()), strict=True)),
        "shares": dict(zip(one.names, shares, strict=True)),
    }


def _plain(value: float) -> float | int:
    """Integers as such, as every level but "float" gives them."""
    return int(value) if value.is_integer() else value


def _shown(value: float) -> str:
    plain = _plain(float(value))
    return str(plain) if isinstance(plain, int) else f"{plain:.4f}"
