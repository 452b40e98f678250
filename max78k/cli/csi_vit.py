"""``max78k csi train-vit``: a vision transformer of Wi-Fi CSI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from max78k.cli.options import seed_option
from max78k.cli.rehearsal import NOTHING, plan_option
from max78k.cli.terminal import emit, json_option, progress
from max78k.errors import InputError


@click.command("train-vit")
@click.argument("windows", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--teacher", help="Transformer of faces: a model id, a folder, or drawn.")
@click.option("--frames", type=click.Path(path_type=Path),
              help="faces.npz of `csi pair`; drawn faces without.")  # fmt: skip
@click.option("--tiny", is_flag=True, help="Small transformers, in minutes on a CPU.")
@click.option("--frozen-layers", type=click.IntRange(0), default=0, show_default=True,
              help="First layers that keep the teacher's weights.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--learning-rate", "--lr", type=click.FloatRange(0, min_open=True), default=1e-3,
              show_default=True)  # fmt: skip
@click.option(
    "--milestone",
    "milestones",
    type=click.IntRange(1),
    multiple=True,
    default=(10, 80),
    show_default=True,
    help="Epochs after which the rate falls.",
)
@click.option("--gamma", type=click.FloatRange(0, 1), default=0.1, show_default=True)
@click.option("--feature-weight", type=click.FloatRange(0), default=0.001, show_default=True,
              help="Of the squared difference of hidden states.")  # fmt: skip
@click.option("--logit-weight", type=click.FloatRange(0), default=0.0, show_default=True,
              help="Of the divergence from the teacher's scores.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0.1), default=2.0, show_default=True)
@click.option("--bf16", is_flag=True, help="Mixed precision.")
@click.option("--device", default="cpu", show_default=True)
@seed_option
@plan_option
@json_option
def command(
    windows: Path,
    out: Path,
    teacher: str | None,
    frames: Path | None,
    tiny: bool,
    frozen_layers: int,
    dry_run: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a vision transformer of CSI, taught by one of faces; it can teach `train-qat`.

    \b
    Examples:
      max78k csi train-vit windows.npz --tiny --teacher drawn --logit-weight 1 --out vit
      max78k csi train-vit windows.npz --frames frames.npz --out vit \\
        --teacher dima806/facial_emotions_image_detection
      max78k train-qat --network csi4_1d --data windows.npz --teacher vit --out runs/csi4

    Needs `pip install 'max78k[transformers]'`. Every fifth recording of the train part chooses the
    epoch; the test part only measures.
    """
    from max78k.csi.windows import read_windows
    from max78k.flows.csi_vit import make_student, score_vit
    from max78k.report.tables import scores_table
    from max78k.training.vit_lessons import VitOptions

    if out.exists():
        raise InputError("E-CSI-OUT", f"{out} exists.", "give a folder that does not.")
    prepared, options = read_windows(windows), VitOptions(**choices)
    if dry_run:
        samples, batch = len(prepared.data.train), options.batch_size
        text = (f"{out}: {options.epochs} epochs, batches of {batch}, {samples:,} windows to "
                f"learn from; teacher: {teacher or 'none'}")  # fmt: skip
        plan = {"out": str(out), "epochs": options.epochs, "train_samples": samples,
                "batch_size": batch, "teacher": teacher, "dry_run": True}  # fmt: skip
        emit(f"{text}\n{NOTHING}", plan, as_json)
        return
    with progress("train", options.epochs) as advance:
        student = make_student(
            prepared, options, teacher=teacher, frames=frames, tiny=tiny,
            frozen_layers=frozen_layers, progress=advance,
        )  # fmt: skip
    student.save(out)
    found = score_vit(student, prepared)
    data = {"out": str(out), "accuracy": found.accuracy, "confusion": found.confusion.tolist()}
    emit(scores_table(found, prepared.data.class_names), data, as_json)
