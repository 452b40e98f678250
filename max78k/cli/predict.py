"""``max78k predict``: class and scores of one picture."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.terminal import emit, json_option
from max78k.errors import InputError


@click.command("predict")
@click.argument("model")
@click.argument("picture", type=click.Path(path_type=Path))
@click.option(
    "--draw", type=click.Path(path_type=Path), help="Write the picture with its shares as PNG."
)
@json_option
def command(model: str, picture: Path, draw: Path | None, as_json: bool) -> None:
    """Run MODEL's integer network on PICTURE, or on its middle if it has other proportions.

    \b
    Examples:
      max78k predict fer7-model face.png
      max78k predict fer7 face.jpg --json
      max78k predict fer7 face.jpg --draw answer.png

    The scores are the integers that the chip gives; the shares are their softmax.
    """
    from max78k.datasets.images import load_image
    from max78k.flows.evaluation import softmax
    from max78k.flows.models import load_model
    from max78k.network import reference

    network = load_model(model).network
    if len(network.input_shape) != 3:
        raise InputError("E-PREDICT-SHAPE", f"network {network.name} takes no pictures.")
    pixels = load_image(picture, network.picture_shape, crop=True)
    values = reference.outputs(network, network.from_pixels(pixels)[None])[0]
    shares = softmax(values[None] * network.output_step)[0]
    names = network.class_names or tuple(f"class {n}" for n in range(len(values)))
    best = int(values.argmax())
    if draw is not None:
        from max78k.report.probabilities import draw_probabilities

        draw_probabilities(draw, pixels, shares.tolist(), names, f"{picture.name}: {names[best]}")
    lines = [
        f"{'*' if n == best else ' '} {name:<12} {int(values[n]):>10}  {100 * shares[n]:5.1f} %"
        for n, name in enumerate(names)
    ]
    data = {
        "class": names[best],
        "scores": dict(zip(names, values.tolist(), strict=True)),
        "shares": dict(zip(names, [round(float(s), 4) for s in shares], strict=True)),
    }
    emit("\n".join(lines), data, as_json)
