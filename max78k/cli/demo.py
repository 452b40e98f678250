"""``max78k demo``: the whole way without a board."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.terminal import emit, json_option, progress, say
from max78k.cli.train_qat import Reporter, draw_training
from max78k.errors import InputError, MismatchError

if TYPE_CHECKING:
    from max78k.flows.demo import DemoOptions, DemoResult


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-output"),
              show_default=True, help="Folder for everything that is made.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(2), default=16, show_default=True)
@click.option("--faces", type=click.IntRange(64), default=4000, show_default=True,
              help="Drawn faces to train on.")  # fmt: skip
@click.option("--shipped", is_flag=False, flag_value="fer7", metavar="[MODEL]",
              help="Train nothing, take a network that comes with the package: fer7 if none is "
              "named.")  # fmt: skip
@click.option("--data", help="With --shipped: other data than drawn faces, like fer2013.csv.")
@click.option("--board-inputs", type=click.IntRange(1), default=100, show_default=True,
              help="Test faces that the virtual board classifies.")  # fmt: skip
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    out: Path,
    epochs: int,
    faces: int,
    shipped: str | None,
    data: str | None,
    board_inputs: int,
    as_json: bool,
) -> None:
    """Train on drawn faces, export, synthesize, compile, boot the virtual board, compare, measure.

    \b
    Examples:
      max78k demo
      max78k demo --out /tmp/demo --epochs 4 --faces 2000
      max78k demo --shipped
      max78k demo --shipped fer7_mini --data fer2013.csv

    Needs the virtual board and a compiler: pip install 'max78k[board]'. Shipped networks were
    trained on photographs, see docs/models: of drawn faces they recognise fewer.
    """
    from max78k.flows.demo import DemoOptions
    from max78k.training.options import TrainOptions

    _check(context, shipped, data)
    started = time.perf_counter()
    if shipped is None:
        training = TrainOptions(
            network="fer7_mini", epochs=epochs, batch_size=64, learning_rate=0.05
        )
        spec = f"faces:train={faces},test=1000"
        options = DemoOptions(out, training, data=spec, board_inputs=board_inputs)
    else:
        spec = data or "faces:train=63,test=1000"
        options = DemoOptions(out, None, shipped, spec, board_inputs=board_inputs)
    result = _run(options, epochs)
    if result.training is not None:
        draw_training(result.training)
    text = _text(result, out, time.perf_counter() - started)
    emit(text, result.to_json(), as_json)
    if result.chain.differences:
        raise MismatchError("E-CHAIN", f"{result.chain.differences} values differ in the chain.")


def _run(options: DemoOptions, epochs: int) -> DemoResult:
    from max78k.flows.demo import Demo

    if options.training is None:
        return Demo(options, _announce).run()
    with progress("train", epochs) as advance:
        return Demo(options, _announce, Reporter(advance)).run()


def _announce(title: str) -> None:
    say(f"* {title}")


def _check(context: click.Context, shipped: str | None, data: str | None) -> None:
    if shipped is None and data is not None:
        raise InputError(
            "E-DEMO-DATA", "--data is for --shipped.",
            "max78k train-qat --data trains on other data than drawn faces.",
        )  # fmt: skip
    for name in ("epochs", "faces"):
        if shipped is not None and (
            context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        ):
            raise InputError("E-DEMO-SHIPPED", f"--{name} is for training, --shipped trains none.")


def _text(result: DemoResult, out: Path, seconds: float) -> str:
    bench, trained = result.bench, result.training
    size = result.build.text_bytes + result.build.data_bytes
    accuracies = (
        ("float network, test part", None if trained is None else trained.float_accuracy),
        ("quantized network (integers), test part", result.integer_accuracy),
        (f"integers, {len(bench.rows)} faces sent to the board", result.reference_accuracy),
        (f"virtual board, the same {len(bench.rows)} faces", bench.accuracy),
    )
    lines = [
        "",
        f"Accuracy of {result.network.name} on {_data_name(result)}",
        *(f"  {name:<44} {value:8.2%}" for name, value in accuracies if value is not None),
        "",
        "Truth chain",
        _indent(result.chain.text()),
        "",
        "Cost on the chip (cycles estimated, 50 MHz)",
        _indent(result.cost.text()),
        "",
        "On the virtual board (nothing here has run on silicon)",
        _indent(bench.summary()),
        "",
        f"Firmware {size:,} bytes. All of it took {seconds:.0f} s. Files in {out}/:",
        *(f"  {name:<14} {what}" for name, what in _FILES if (out / name).exists()),
    ]
    return "\n".join(lines)


def _data_name(result: DemoResult) -> str:
    return "drawn faces" if result.data == "faces" else result.data


_FILES = (
    ("faces.png", "faces of the train part"),
    ("answers.png", "test faces with the board's answers"),
    ("run/", "checkpoints, metrics.csv, run.json, curves.png, confusion.png"),
    ("model/", "network.npz, network.onnx, network.yaml, network-q.pth.tar"),
    ("firmware/", "the C project; build/ holds ELF, HEX and BIN"),
    ("memory.png", "who lives where in the chip's memories"),
    ("cycles.png", "accelerator cycles by layer"),
    ("report.html", "latency, energy, answers and link; every row is in bench.csv"),
    ("latency.png", "latency by phase"),
    ("demo.json", "all figures"),
)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
