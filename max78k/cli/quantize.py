"""``max78k quantize``: an ordinary network to integers, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from max78k.cli.options import data_option, seed_option
from max78k.cli.terminal import emit, json_option


def _numbers(kind: type) -> Any:
    """A callback that reads numbers joined by commas."""

    def read(context: click.Context, option: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        try:
            return tuple(kind(word) for word in text.split(","))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not a list of numbers like 1,48,48.") from None

    return read


@click.command("quantize")
@click.argument("model")
@data_option
@click.option("--out", type=click.Path(path_type=Path), help="Model folder; default NETWORK-model.")
@click.option("--limit", type=click.IntRange(1), help="At most this many samples in each part.")
@click.option("--rule", type=click.Choice(["mse", "max", "percentile"]), default="mse",
              show_default=True, help="How the ranges of outputs are chosen.")  # fmt: skip
@click.option("--mean", callback=_numbers(float), help="The model reads (pixel/255 - MEAN) / STD.")
@click.option("--std", callback=_numbers(float), help="One number, or one for each channel.")
@click.option("--weights", type=click.Path(path_type=Path), help="state_dict of a Python class.")
@click.option("--input-shape", callback=_numbers(int), help="C,H,W or C,L of a Python class.")
@seed_option
@json_option
def command(
    model: str,
    data: str,
    out: Path | None,
    limit: int | None,
    rule: str,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    weights: Path | None,
    input_shape: tuple[int, ...] | None,
    seed: int,
    as_json: bool,
) -> None:
    """Turn MODEL into a model folder: an ONNX file, path/to/file.py:Class, or a run's last.pt.

    \b
    Examples:
      max78k quantize mine.onnx --data pictures/ --out mine-model
      max78k quantize mine.py:Net --weights net.pt --input-shape 3,32,32 --data digits.npz
      max78k quantize runs/fer7/last.pt --data fer2013.csv --rule max
      max78k quantize mobile.onnx --data pictures/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

    The steps of weights and outputs are powers of two, chosen on samples of the data; a quantized
    model (QuantizeLinear, DequantizeLinear) gives its own, which are rounded. The table shows the
    range of every layer, its step and shift, the ratio of signal to quantization noise, and the
    share of outputs that are clipped. Everything that the chip cannot do is named at once.

    The chip reads pixel - 128. A model is taken to read (pixel - 128) / 128 unless --mean and
    --std say otherwise; these are folded into the first layer.
    """
    from max78k.flows.quantization import QuantizeOptions, quantize_model

    result = quantize_model(
        QuantizeOptions(
            source=model,
            data=data,
            folder=out,
            limit=limit,
            rule=rule,
            mean=mean,
            std=std,
            weights=weights,
            input_shape=input_shape,
            seed=seed,
        )
    )
    emit(result.text(), result.to_json(), as_json)
