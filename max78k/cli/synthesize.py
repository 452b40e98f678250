"""``max78k synthesize``: network to C firmware project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.msdk_flags import msdk_options
from max78k.cli.options import search_option
from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, say
from max78k.cli.vendor_flags import vendor_flags
from max78k.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from max78k.codegen.msdk_options import MsdkOptions
    from max78k.compiler.placement import Placement
    from max78k.flows.models import Model
    from max78k.network import Network

_DEVICES = ("MAX78000", "85")
_APPLICATIONS = ("link", "camera")

_PATH = click.Path(path_type=Path)


@click.command("synthesize")
@click.argument("model", required=False)
@click.option("--out", type=_PATH, help="Folder of the C project.")
@click.option("--test-dir", type=_PATH, help="With --prefix: the project is TEST_DIR/PREFIX.")
@click.option("--prefix", help="Name of the project's folder inside --test-dir.")
@click.option("--config-file", type=_PATH, help="Network YAML; placement given in it is kept.")
@click.option("--checkpoint-file", type=_PATH, help="Weights: vendor checkpoint, ONNX, a run.")
@click.option("--network", help="Where the network's class is, for a checkpoint of a run.")
@click.option("--sample-input", type=_PATH, help="int8 .npy of the input's shape for the test.")
@click.option("--image", "image_file", type=_PATH, help="Also write the memory image as .npz.")
@click.option(
    "--application",
    type=click.Choice(_APPLICATIONS),
    default=_APPLICATIONS[0],
    show_default=True,
    help="link: answers a host; camera: camera to LED and text, no host.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing project.")
@click.option("--avg-pool-rounding", is_flag=True, help="Average pooling rounds.")
@click.option("--fifo", is_flag=True, help="The input comes through FIFOs, as streaming needs.")
@search_option
@click.option(
    "--feed",
    type=click.Choice(["memory", "fifo", "fast-fifo"]),
    help="How the input comes in; fast-fifo needs firmware for the RISC-V core.",
)
@click.option("--device", default=_DEVICES[0], metavar="NAME", help="MAX78000.")
@click.option("--ai85", is_flag=True, hidden=True, expose_value=False)
@click.option("--display-checkpoint", is_flag=True, help="Print weights and shifts by layer.")
@click.option("-v", "--verbose", is_flag=True, help="Print the use of the memories, too.")
@dry_run_option
@json_option
@msdk_options
@vendor_flags
def command(model: str | None, as_json: bool, msdk: MsdkOptions | None, **choices: Any) -> None:
    """Turn MODEL (a folder of `max78k export`, its .npz or .onnx, a shipped name) into C firmware.

    \b
    Examples:
      max78k synthesize fer7-model --out fer7-firmware
      max78k synthesize fer7 --out fer7-firmware              (the shipped network)
      max78k synthesize --checkpoint-file net-q.pth.tar --config-file net.yaml \\
          --sample-input sample.npy --test-dir projects --prefix net
      max78k synthesize fer7 --out fer7-camera --application camera
      max78k synthesize fer7 --out fer7-msdk --style msdk --timer 0 --softmax

    Processors, memory offsets, kernel columns and biases are placed without any address given by
    hand. The table says what takes the time of each layer. The result is checked on the
    accelerator model before anything is written. Other options of the vendor's synthesizer are
    accepted where they change nothing, with a line that says so, or refused with what to use
    instead.
    """
    from max78k.flows.cost import cost_of
    from max78k.flows.synthesis import default_sample, synthesize

    _require(model, msdk, choices)
    sample = _read_sample(choices["sample_input"])
    loaded = _loaded(model, sample, choices)
    integers = loaded.network
    result = synthesize(
        integers,
        default_sample(integers) if sample is None else sample,
        _project_folder(choices["out"], choices["test_dir"], choices["prefix"], integers.name),
        given=loaded.given,
        seconds=choices["search_seconds"],
        overwrite=choices["overwrite"],
        image_file=choices["image_file"],
        msdk=msdk,
        camera=choices["application"] == "camera",
    )
    price = cost_of(result.network, result.placement)
    text = (
        f"{price.text() if choices['verbose'] else price.layers_text()}\n\n"
        f"{result.project}: {len(result.network.layers)} layers, "
        f"{result.network.weight_bytes:,} weight bytes, {price.total_cycles:,} cycles estimated; "
        "known answer checked on the accelerator model"
    )
    data = {"project": str(result.project), **price.to_json()}
    emit(text, data, as_json)


def _require(model: str | None, msdk: MsdkOptions | None, choices: dict[str, Any]) -> None:
    """Raise InputError for options that do not go together."""
    if choices["device"].upper() not in _DEVICES:
        raise InputError(
            "E-ARGS-DEVICE", f"device {choices['device']}.", "MAX78000, the one that is known."
        )
    if choices["application"] != _APPLICATIONS[0] and msdk is not None:
        raise InputError(
            "E-ARGS-APPLICATION",
            f"--application {choices['application']} is not there for the vendor's SDK.",
            "leave --style out.",
        )
    if model is None and choices["checkpoint_file"] is None:
        raise InputError("E-ARGS-MODEL", "no model given.", "a MODEL, or --checkpoint-file.")


def _loaded(
    model: str | None, sample: npt.NDArray[np.int8] | None, choices: dict[str, Any]
) -> Model:
    """The model as the options have it; what was done to it goes to stderr."""
    from max78k.flows.models import load_model

    checkpoint = choices["checkpoint_file"]
    loaded = load_model(
        model or "",
        yaml=choices["config_file"],
        checkpoint=checkpoint,
        input_shape=None if sample is None else tuple(sample.shape),
        network=choices["network"],
    )
    if loaded.rounded:
        say(f"{checkpoint or model}: real numbers, quantized by the vendor's rule.")
    rounds = loaded.network.average_rounds or choices["avg_pool_rounding"]
    network = replace(loaded.network, average_rounds=rounds)
    if choices["display_checkpoint"]:
        _show_weights(network)
    feed = "fifo" if choices["fifo"] else choices["feed"]
    return replace(loaded, network=network, given=_fed(loaded.given, feed))


def _fed(given: Placement | None, feed: str | None) -> Placement | None:
    """The placement given, with the way of the input that the command line asks for."""
    from max78k.compiler.placement import Placement

    return given if feed is None else replace(given or Placement({}), feed=feed)


def _show_weights(network: Network) -> None:
    """What --display-checkpoint prints, on stderr."""
    from max78k.report.tables import table

    rows = [
        (layer.name, "x".join(map(str, layer.weight.shape)), str(layer.weight_bits),
         str(layer.output_shift), f"{layer.weight.min()}...{layer.weight.max()}",
         "-" if layer.bias is None else str(layer.bias.size))
        for layer in network.layers
        if layer.weight is not None
    ]  # fmt: skip
    say(table(("layer", "weights", "bits", "output shift", "range", "biases"), rows))


def _read_sample(path: Path | None) -> npt.NDArray[np.int8] | None:
    if path is None:
        return None
    import numpy as np

    try:
        with path.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            "E-SAMPLE-FILE", f"{path} is not a readable .npy file ({error}).",
            "write it with numpy.save.",
        ) from error  # fmt: skip
    numbers = array.size > 0 and array.dtype.kind in "iuf"
    if not numbers or array.min() < -128 or array.max() > 127 or (array != array.round()).any():
        raise InputError(
            "E-SAMPLE-RANGE", f"{path} does not hold integers from -128 to 127.",
            "for 8-bit pixels save `pixels.astype(int) - 128`.",
        )  # fmt: skip
    return np.asarray(array, np.int8)


def _project_folder(out: Path | None, test_dir: Path | None, prefix: str | None, name: str) -> Path:
    if out is not None:
        if test_dir or prefix:
            raise InputError("E-ARGS-OUT", "--out and --test-dir/--prefix exclude each other.")
        return out
    if test_dir is None and prefix is None:
        return Path(f"{name}-firmware")
    return (test_dir or Path()) / (prefix or name)
