"""``max78k train-qat``: train a network, float first, then quantization-aware."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.option_groups import GroupedCommand, grouped, read_arguments, table_options
from max78k.cli.options import data_option
from max78k.cli.rehearsal import NOTHING, plan_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError
from max78k.training.options import Augmentation, TrainOptions, TrainProgress

if TYPE_CHECKING:
    from max78k.training.fit import TrainResult

DEFAULT_NETWORK = "fer7"


@click.command("train-qat", cls=GroupedCommand)
@click.option("--network",
              help="A shipped network, or path/to/file.py:Class.  [default: fer7]")  # fmt: skip
@click.option("--argument", "arguments", multiple=True, metavar="NAME=VALUE",
              help="Keyword argument of the network's class, as width=48; repeatable.")  # fmt: skip
@data_option
@click.option("--limit", type=click.IntRange(1), help="At most this many samples in each part.")
@click.option("--skip-bad-rows", is_flag=True, help="CSV: leave bad rows out and count them.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; default runs/NETWORK.")
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@plan_option
@json_option
@table_options(TrainOptions, short={"learning_rate": "--lr"})
@table_options(Augmentation)
@grouped("Machine", "--threads", type=click.IntRange(1),
         help="CPU threads; part of what resume needs.")  # fmt: skip
def command(
    network: str | None,
    arguments: tuple[str, ...],
    data: str,
    out: Path | None,
    limit: int | None,
    skip_bad_rows: bool,
    threads: int | None,
    resume: bool,
    dry_run: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a network: float phase, calibration, quantization-aware phase.

    \b
    Examples:
      max78k train-qat --network fer7 --data faces --epochs 8
      max78k train-qat --network fer7 --data fer2013.csv --out runs/fer
      max78k train-qat --out runs/fer --data fer2013.csv --resume
      max78k train-qat --network mine.py:MyNet --data pictures/ --argument width=48
      max78k train-qat --data fer2013.csv --mixup 0.2 --ema 0.999 --patience 8
      max78k train-qat --data fer4.npz --initial runs/fer7/best.pt --epochs 12 --out runs/fer4
      torchrun --nproc-per-node 4 -m max78k train-qat --data fer2013.csv --device cuda

    The run folder holds best.pt, last.pt, float.pt, network.npz (the integers of the best epoch),
    metrics.csv, run.json, curves.png and confusion.png. Ctrl-C leaves a run that --resume
    continues to the same weights, bit by bit, as an uninterrupted run. A plain torch.nn network,
    without any layer of the chip, is trained in real numbers alone: as a reference or a teacher.
    """
    from max78k.datasets.load import load
    from max78k.training.fit import planned, train
    from max78k.training.processes import launched_rank
    from max78k.training.registry import input_shape

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    given = {name: value for name, value in choices.items() if value is not None}
    options = _options(network, read_arguments(arguments), out, resume, given)
    shape = input_shape(options.network) or (1, 48, 48)
    dataset = load(data, input_shape=shape, limit=limit, skip_bad_rows=skip_bad_rows)
    if dry_run:
        plan = planned(options, dataset)
        emit(_told(plan), {**plan, "dry_run": True}, as_json)
        return
    if launched_rank() > 0:  # the first process of torchrun speaks for all
        train(options, dataset)
        return
    with progress(f"train {options.network}", options.epochs) as advance:
        result = train(options, dataset, progress=Reporter(advance))
    draw_training(result)
    reached = "" if result.float_accuracy is None else f"float {result.float_accuracy:.2%}"
    integers = None if result.network is None else result.accuracy
    if integers is not None:
        reached += f"{reached and ', '}integer network {integers:.2%}"
    report = {
        "folder": str(result.folder.path),
        "float_accuracy": result.float_accuracy,
        "integer_accuracy": integers,
        "class_accuracy": result.class_accuracy,
        "test_samples": len(dataset.test),
        "weight_bytes": None if result.network is None else result.network.weight_bytes,
    }
    emit(f"{result.folder.path}: {reached} on {len(dataset.test):,} test samples", report, as_json)


def _told(plan: dict[str, Any]) -> str:
    epochs = ", ".join(f"{count} {phase}" for phase, count in plan["epochs"].items())
    done = f", {plan['epochs_done']} of them done" if plan["epochs_done"] else ""
    return "\n".join([
        f"{plan['network']}: {plan['values']:,} values to learn from {plan['train_samples']:,} "
        f"samples of {len(plan['classes'])} classes; measured on {plan['test_samples']:,}",
        f"epochs: {epochs}{done}; {plan['steps_per_epoch']} steps of {plan['batch_size']} in each",
        f"folder: {plan['folder']}",
        NOTHING,
    ])  # fmt: skip


def _options(
    network: str | None,
    arguments: dict[str, Any],
    out: Path | None,
    resume: bool,
    given: dict[str, Any],
) -> TrainOptions:
    from max78k.training.fit import stored_options
    from max78k.training.registry import network_name
    from max78k.training.run_folder import RunFolder

    folder = out or Path("runs") / network_name(network or DEFAULT_NETWORK)
    if not resume:
        changes = {item.name for item in fields(Augmentation)}
        return TrainOptions(
            network=network or DEFAULT_NETWORK,
            network_arguments=arguments,
            folder=folder,
            augmentation=Augmentation(**{k: v for k, v in given.items() if k in changes}),
            **{k: v for k, v in given.items() if k not in changes},
        )
    teacher_network = given.pop("teacher_network", None)
    tensorboard = given.pop("tensorboard", False)
    device = given.pop("device", None)
    if given or arguments:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "--argument"
        raise InputError(
            "E-RESUME-OPTIONS",
            f"{names} given with --resume: a resumed run keeps the options it was begun with.",
            "leave them out.",
        )
    stored = stored_options(RunFolder(folder), network, teacher_network)
    return replace(stored, tensorboard=tensorboard, device=device or stored.device)


class Reporter:
    """Turns the trainer's steps into a bar, and its epochs into lines where no bar is shown."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self._epochs_shown = 0

    def __call__(self, state: TrainProgress) -> None:
        """Show one step or, when ``state.row`` is there, one finished epoch."""
        if state.row is None:
            self._advance(0, f"{state.phase} {state.step}/{state.steps} loss {state.loss:.3f}")
            return
        row = state.row
        self._advance(state.epoch + 1 - self._epochs_shown, "")
        self._epochs_shown = state.epoch + 1
        say(
            f"epoch {state.epoch + 1}/{state.epochs} {state.phase}: loss {row['train_loss']:.4f}, "
            f"test accuracy {row['test_accuracy']:.2%}, {row['seconds']:.1f} s"
        )


def draw_training(result: TrainResult) -> None:
    """Curves and confusion matrix of a finished run, into its folder."""
    from max78k.report.confusion import draw_confusion
    from max78k.report.curves import draw_curves

    rows, kind = result.history, "float" if result.network is None else "integer"
    qat = next((n for n, row in enumerate(rows) if row["phase"] == "qat"), None)
    draw_curves(
        result.folder.path / "curves.png",
        train_loss=[row["train_loss"] for row in rows],
        train_accuracy=[row["train_accuracy"] for row in rows],
        test_loss=[row["test_loss"] for row in rows],
        test_accuracy=[row["test_accuracy"] for row in rows],
        qat_epoch=qat,
        title=f"{result.name}: training",
    )
    draw_confusion(
        result.folder.path / "confusion.png",
        result.confusion,
        tuple(result.class_accuracy),
        f"{result.name}: {kind} network on the test part",
    )
