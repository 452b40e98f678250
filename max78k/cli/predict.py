"""``max78k predict``: class and scores of one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.options import port_option
from max78k.cli.terminal import emit, json_option
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.datasets.dataset import Uint8Array
    from max78k.flows.levels import Subject


@click.command("predict")
@click.argument("given", nargs=-1, required=True, metavar="MODEL PICTURE")
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    help="YuNet's ONNX file, see docs/data.md: the largest face is taken, not the middle.",
)
@click.option(
    "--draw", type=click.Path(path_type=Path), help="Write the picture with its shares as PNG."
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
      max78k predict fer7 face.jpg --level board --port auto
      max78k predict face.jpg --level float --run runs/fer7

    The scores are the integers that the chip gives (real numbers at the level float); the shares
    are their softmax.
    """
    from max78k.flows.evaluation import softmax
    from max78k.flows.levels import LEVELS, open_level, subject
    from max78k.flows.models import load_model

    *source, name = given
    picture = Path(name)
    if len(source) != 1 and (source or level != "float"):
        raise InputError(
            "E-PREDICT-MODEL",
            f"{len(given)} arguments are given; wanted are a model and a picture, with --level "
            "float the picture alone.",
            "max78k predict fer7 face.jpg",
        )
    loaded = load_model(source[0]) if source else None
    chosen = next(one for one in LEVELS if one == level)
    pixels = None if loaded is None else _read(picture, subject(loaded.network), detector)
    with open_level(loaded, chosen, run=run_folder, network_class=network, port=port) as answer:
        if pixels is None or chosen == "float":
            pixels = _read(picture, answer.subject, detector)
        values = answer(pixels[None])[0]
    shares = softmax(values[None] * answer.subject.output_step)[0]
    names = answer.subject.class_names or tuple(f"class {n}" for n in range(len(values)))
    best = int(values.argmax())
    if draw is not None:
        from max78k.report.probabilities import draw_probabilities

        draw_probabilities(draw, pixels, shares.tolist(), names, f"{picture.name}: {names[best]}")
    lines = [
        f"{'*' if n == best else ' '} {name:<12} {_shown(values[n]):>10}  {100 * shares[n]:5.1f} %"
        for n, name in enumerate(names)
    ]
    data = {
        "class": names[best],
        "level": level,
        "scores": dict(zip(names, map(_plain, values.tolist()), strict=True)),
        "shares": dict(zip(names, [round(float(s), 4) for s in shares], strict=True)),
    }
    emit("\n".join(lines), data, as_json)


def _read(picture: Path, network: Subject, detector: Path | None) -> Uint8Array:
    from max78k.datasets import face_finder
    from max78k.datasets.images import as_input, decoded, load_image

    if len(network.input_shape) != 3:
        raise InputError("E-PREDICT-SHAPE", f"network {network.name} takes no pictures.")
    if detector is None:
        return load_image(picture, network.input_shape, crop=True)
    seen = decoded(picture)
    box = face_finder.FaceFinder(detector).find(seen)
    if box is None:
        raise InputError(
            "E-PREDICT-FACE", f"no face is found in {picture}.", "without --detector its middle."
        )
    return as_input(face_finder.cut(seen, box), network.input_shape, crop=True)


def _plain(value: float) -> float | int:
    """Integers as such, as every level but "float" gives them."""
    return int(value) if value.is_integer() else value


def _shown(value: float) -> str:
    plain = _plain(float(value))
    return str(plain) if isinstance(plain, int) else f"{plain:.4f}"
