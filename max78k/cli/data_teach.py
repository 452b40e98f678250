"""``max78k data teach``: soft labels from trained networks."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option, progress
from max78k.errors import InputError


@click.command("teach")
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("teachers", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="An .npz file.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.7, show_default=True,
              help="Of the teachers in the soft labels.")  # fmt: skip
@click.option("--shift", type=click.IntRange(0, 16), default=3, show_default=True,
              help="Pixels that a view is moved by; 0: picture and mirror alone.")  # fmt: skip
@click.option("--network", help="The teachers' class, path/to/file.py:Class, if it is your own.")
@dry_run_option
@json_option
def teach(
    spec: Path,
    teachers: tuple[Path, ...],
    out: Path,
    share: float,
    shift: int,
    network: str | None,
    as_json: bool,
) -> None:
    """SPEC with what TEACHERS, trained networks, say of its train pictures.

    \b
    Examples:
      max78k data teach fer2013.npz runs/fer7 --out taught.npz
      max78k data teach soft.npz runs/seed1 runs/seed2 --share 0.7 --out taught.npz

    TEACHERS: run folders or checkpoints of networks with SPEC's classes. The soft labels are the
    mean of what they say of the picture, its mirror, and both moved a little; the rest is the soft
    labels or labels that were there. The test part is not changed: it says how good they are.
    """
    from max78k.datasets.arrays import sample_shape
    from max78k.datasets.load import load
    from max78k.datasets.writing import write_npz
    from max78k.flows.teaching import steps, taught_pictures

    if out.suffix.lower() != ".npz":
        raise InputError("E-DATA-OUT", f"{out} cannot hold soft labels.", "--out FILE.npz")
    shape = sample_shape(spec) if spec.suffix == ".npz" and spec.is_file() else None
    dataset = load(str(spec), input_shape=shape or (1, 48, 48))
    with progress("teach", steps(len(teachers), shift)) as advance:
        taught = taught_pictures(
            dataset, teachers, network=network, share=share, shift=shift, progress=advance
        )
    write_npz(taught.dataset, out)
    lines = [
        f"{path}: {right:.2%} of the test part"
        for path, right in zip(teachers, taught.alone, strict=True)
    ]
    data = {
        "out": str(out),
        "teachers": {str(p): right for p, right in zip(teachers, taught.alone, strict=True)},
        "together": taught.together,
        "train": len(dataset.train),
    }
    emit("\n".join([*lines, f"together: {taught.together:.2%}"]), data, as_json)
