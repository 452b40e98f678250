"""``max78k export``: checkpoint to integer network, ONNX, YAML and vendor checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from max78k.cli.rehearsal import dry_run_option
from max78k.cli.terminal import emit, json_option


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Model folder; default NETWORK-model.")
@click.option("--network", help="Where the network's class is, if it has moved since training.")
@click.option("--name", help="Name of the exported network; letters, digits, underscores.")
@click.option(
    "--format", "formats", multiple=True,
    type=click.Choice(["onnx", "yaml", "vendor", "vendor-float"]),
    help="Only these (may be repeated); the integer network is always written.",
)  # fmt: skip
@dry_run_option
@json_option
def command(
    run: Path,
    out: Path | None,
    network: str | None,
    name: str | None,
    formats: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the integers of RUN (a run folder, or a best.pt) in every form that others read.

    \b
    Examples:
      max78k export runs/fer7 --out fer7-model
      max78k export runs/fer7/best.pt --out fer7-model --format onnx
      max78k export runs/calm --name fer4_calm

    network.npz is the integer network; network.onnx gives the same integers under onnxruntime;
    network.yaml and network-q.pth.tar are what the vendor's synthesizer takes; with vendor-float,
    network.pth.tar is a checkpoint from which the vendor's quantize.py makes the same integers.
    """
    from max78k.flows.export import export
    from max78k.flows.weight_sources import network_of_run

    integers = network_of_run(run, network)
    if name is not None:
        integers = replace(integers, name=name)
    result = export(integers, out or Path(f"{integers.name}-model"), formats)
    data = {"network": integers.name, "files": [str(path) for path in result.files]}
    emit("\n".join(str(path) for path in result.files), data, as_json)
