"""``max78k demo``: the whole way on drawn faces, no board needed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.terminal import emit, json_option, progress, say
from max78k.cli.train_qat import Reporter, draw_training
from max78k.errors import MismatchError

if TYPE_CHECKING:
    from max78k.flows.demo import DemoResult


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-output"),
              show_default=True, help="Folder for everything that is made.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(2), default=16, show_default=True)
@click.option("--faces", type=click.IntRange(64), default=4000, show_default=True,
              help="Drawn faces to train on.")  # fmt: skip
@click.option("--board-inputs", type=click.IntRange(1), default=100, show_default=True,
              help="Test faces that the virtual board classifies.")  # fmt: skip
@json_option
def command(out: Path, epochs: int, faces: int, board_inputs: int, as_json: bool) -> None:
    """Train on drawn faces, export, synthesize, compile, boot the virtual board, compare, measure.

    \b
    Examples:
      max78k demo
      max78k demo --out /tmp/demo --epochs 4 --faces 2000

    Needs the virtual board and a compiler: pip install 'max78k[board]'.
    """
    from max78k.flows.demo import Demo, DemoOptions
    from max78k.training.options import TrainOptions

    started = time.perf_counter()
    training = TrainOptions(network="fer7_mini", epochs=epochs, batch_size=64, learning_rate=0.05)
    options = DemoOptions(
        out, training, f"faces:train={faces},test=1000", board_inputs=board_inputs
    )
    with progress("train", epochs) as advance:
        reporter = Reporter(advance)
        result = Demo(
            options, announce=lambda title: say(f"* {title}"), train_progress=reporter
        ).run()
    draw_training(result.training)
    text = _text(result, out, time.perf_counter() - started)
    emit(text, result.to_json(), as_json)
    if result.chain.differences:
        raise MismatchError("E-CHAIN", f"{result.chain.differences} values differ in the chain.")


def _text(result: DemoResult, out: Path, seconds: float) -> str:
    training, bench = result.training, result.bench
    size = result.build.text_bytes + result.build.data_bytes
    accuracies = (
        ("float network, test part", training.float_accuracy),
        ("quantized network (integers), test part", training.accuracy),
        (f"integers, {len(bench.rows)} faces sent to the board", result.reference_accuracy),
        (f"virtual board, the same {len(bench.rows)} faces", bench.accuracy),
    )
    lines = [
        "",
        "Accuracy on drawn faces",
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
        *(f"  {name:<14} {what}" for name, what in _FILES),
    ]
    return "\n".join(lines)


_FILES = (
    ("faces.png", "drawn faces the network learned from"),
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
