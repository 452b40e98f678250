"""``max78k energy``: energies of a benchmark that is over."""

from __future__ import annotations

from pathlib import Path

import click

from max78k.cli.terminal import emit, json_option


@click.command("energy")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option(
    "--meter",
    required=True,
    metavar="TRACE",
    help="csv:FILE[,volts=V] of another program, or sim:FILE of the virtual board.",
)
@json_option
def command(rows: Path, meter: str, as_json: bool) -> None:
    """Energy per phase of the inferences in ROWS, a bench's folder, by a trace recorded meanwhile.

    \b
    Examples:
      max78k energy bench --meter csv:power-profiler.csv,volts=3.3
      max78k energy bench/bench.csv --meter sim:current.csv --json

    The trace must hold the board's marks (docs/energy.md), and end before anything else runs on
    the board: its last runs are taken for those of ROWS.
    """
    from max78k.host.meters.afterwards import energy_of_rows

    report = energy_of_rows(rows, meter)
    emit("\n".join(report.lines()), report.to_json(), as_json)
