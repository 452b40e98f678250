"""``max78k check``: does a network fit the chip, and what does it cost?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from max78k.cli.options import described_model, given_model, search_option
from max78k.cli.terminal import emit, json_option
from max78k.errors import BudgetError


@click.command("check")
@described_model
@click.option("--picture", type=click.Path(path_type=Path), help="Write a picture of the memories.")
@click.option("--fifo", is_flag=True, help="The input comes through FIFOs.")
@click.option("--max-us", type=float, help="Fail (exit 6) if the estimated time is longer.")
@search_option
@json_option
def command(
    model: str | None,
    config_file: Path | None,
    checkpoint_file: Path | None,
    picture: Path | None,
    fifo: bool,
    max_us: float | None,
    search_seconds: float,
    as_json: bool,
) -> None:
    """Check MODEL against every rule of the chip; show memories and cycles by layer.

    \b
    Examples:
      max78k check fer7-model --picture memories.png
      max78k check fer7 --max-us 2000
      max78k check --config-file net.yaml --checkpoint-file net-q.pth.tar

    All broken rules are shown at once, each with the change that mends it (exit code 2).
    """
    from max78k.compiler.placement import FIFO, Placement
    from max78k.flows.cost import cost

    loaded = given_model(model, config_file, checkpoint_file)
    given = replace(loaded.given or Placement({}), feed=FIFO) if fifo else loaded.given
    result = cost(loaded.network, given, search_seconds)
    if picture is not None:
        result.draw_memory(picture)
    emit(result.text(), result.to_json(), as_json)
    if max_us is not None and result.microseconds > max_us:
        raise BudgetError(
            "E-BUDGET-TIME",
            f"network {loaded.network.name} takes an estimated {result.microseconds:.0f} us, "
            f"the limit is {max_us:.0f} us.",
            "fewer channels in the layers with the most cycles.",
        )
