"""``max78k adjust``: answers of a trained network about as frequent as the labels."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.options import data_option, seed_option
from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, progress


@click.command("adjust")
@click.argument("run", type=click.Path(path_type=Path))
@data_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new checkpoint.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.25, show_default=True,
              help="Of the way to answers as frequent as the labels.")  # fmt: skip
@click.option("--network", help="Where the network's class is, if it is your own.")
@seed_option
@dry_run_option
@json_option
def command(
    run: Path, data: str, out: Path, share: float, network: str | None, seed: int, as_json: bool
) -> None:
    """Move the last layer's biases of RUN, a run folder or checkpoint, after training.

    \b
    Examples:
      max78k adjust runs/fer7 --data soft.npz --out runs/fer7/adjusted.pt
      max78k adjust runs/fer7/best.pt --data fer2013.csv --share 0.5 --out half.pt
      max78k export runs/fer7/adjusted.pt --out fer7-model

    A network that learnt from soft labels answers vague, frequent classes too often. How far the
    biases go, the train part says; the test part is measured before and after.
    """
    from max78k.datasets.load import load
    from max78k.flows.adjustment import adjust
    from max78k.training.checkpoint import load_checkpoint

    shape = tuple(load_checkpoint(run)["input_shape"])
    dataset = load(data, input_shape=shape, seed=seed)
    with progress("adjust", 2 * (len(dataset.train) + len(dataset.test))) as advance:
        found = adjust(run, dataset, out, share, network, advance)
    lines = [f"{'class':<12} {'label':>7} {'before':>7} {'after':>7} {'added':>7}"]
    lines += [
        f"{name:<12} {label:7.2%} {before:7.2%} {after:7.2%} {found.offsets[name]:+7.3f}"
        for name, (before, after, label) in found.answered.items()
    ]
    lines += [
        f"{part}: {found.before[part]:.2%} before, {found.after[part]:.2%} after"
        for part in found.before
    ]
    emit("\n".join([*lines, str(out)]), {**found.to_json(), "out": str(out)}, as_json)
