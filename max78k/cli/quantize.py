"""``max78k quantize``: a trained network to integers, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from max78k.cli.options import data_option, seed_option
from max78k.cli.rehearsal import dry_run_option
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
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Samples of the training part that choose the integers.",
)
@click.option(
    "--rule",
    type=click.Choice(["mse", "max", "percentile", "vendor", "vendor-2021"]),
    default="mse",
    show_default=True,
    help="How the ranges of outputs are chosen.",
)
@click.option(
    "--rounding",
    type=click.Choice(["adaptive", "bias", "nearest"]),
    default="adaptive",
    show_default=True,
    help="Of weights: for the layers' outputs, or each by itself, the biases corrected or not.",
)
@click.option("--weight-bits", help="1, 2, 4, 8, a policy FILE.yaml, or auto.")
@click.option("--budget", help="Kernel memory for --weight-bits auto, like 300KiB.")
@click.option("--mean", callback=_numbers(float), help="The model reads (pixel/255 - MEAN) / STD.")
@click.option("--std", callback=_numbers(float), help="One number, or one for each channel.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="state_dict or checkpoint of a Python class."
)
@click.option("--map", "names", help="Its tensors have other names: order, or a FILE.yaml.")
@click.option("--network", help="path/to/file.py:Class of a run's checkpoint.")
@click.option("--input-shape", callback=_numbers(int), help="C,H,W or C,L of a Python class.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the quantization by layer.")
@seed_option
@dry_run_option
@json_option
def command(model: str, out: Path | None, as_json: bool, **choices: Any) -> None:
    """Turn MODEL into a model folder, without training.

    MODEL is an ONNX file, path/to/file.py:Class, a run's folder (its float.pt) or a checkpoint in
    it, or a checkpoint of ai8x-training (with --rule vendor: the -q checkpoint is written).

    \b
    Examples:
      max78k quantize mine.onnx --data pictures/ --out mine-model
      max78k quantize mine.py:Net --weights net.pt --input-shape 3,32,32 --data digits.npz
      max78k quantize runs/fer7 --data fer2013.csv --weight-bits auto --budget 200KiB
      max78k quantize mobile.onnx --data pictures/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
      max78k quantize ai85net.pth.tar --rule vendor --out ai85net-q.pth.tar

    The steps of weights and outputs are powers of two, chosen on samples of the data; a quantized
    model (QuantizeLinear, DequantizeLinear) gives its own, which are rounded. Adaptive rounding
    chooses the integers of weights and biases so that the outputs of the layers stay, which matters
    most below 8 bits. The table shows the range of every layer, its step and shift, the ratio of
    signal to quantization noise, the share of outputs that are clipped, and the bits of the largest
    sum. Everything that the chip cannot do is named at once.

    A policy file has `weight_bits: 8` and `overrides: {conv2: {weight_bits: 4}}`; `auto` measures
    what each layer loses at each width and fills the kernel memory with the least loss.

    The chip reads pixel - 128. A model is taken to read (pixel - 128) / 128 unless --mean and
    --std say otherwise; these are folded into the first layer.
    """
    from max78k.flows.quantization import (
        VENDOR_RULES,
        QuantizeOptions,
        quantize_checkpoint_by_vendor,
        quantize_model,
    )

    if choices["rule"] in VENDOR_RULES and ".py:" not in model:
        written = quantize_checkpoint_by_vendor(Path(model), choices["rule"], out)
        emit(written.text(), written.to_json(), as_json)
        return
    result = quantize_model(QuantizeOptions(source=model, folder=out, **choices))
    emit(result.text(), result.to_json(), as_json)
