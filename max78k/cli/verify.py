"""``max78k verify``: the truth chain."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.options import (
    described_model,
    given_model,
    port_option,
    seed_option,
)
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import MismatchError

if TYPE_CHECKING:
    from max78k.host.link import Device


@click.command("verify")
@described_model
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="Inputs.")
@click.option(
    "--run",
    "run_folder",
    type=click.Path(path_type=Path),
    help="Training run: adds the torch level.",
)
@click.option("--network", help="With --run: the network's class, path/to/file.py:Class.")
@click.option("--no-board", is_flag=True, help="Leave out the firmware level.")
@click.option(
    "--data",
    default="faces",
    show_default=True,
    help="Inputs: `random` (for any network), `faces` (drawn), a fer2013.csv, an .npz of images "
    "and labels, or a folder of classes.",
)
@port_option
@seed_option
@json_option
def command(
    model: str | None,
    config_file: Path | None,
    checkpoint_file: Path | None,
    count: int,
    run_folder: Path | None,
    network: str | None,
    no_board: bool,
    data: str,
    port: str,
    seed: int,
    as_json: bool,
) -> None:
    """Run the same inputs through every level of the chain and compare all integers.

    \b
    Examples:
      max78k verify fer7-model --run runs/fer7 --count 20
      max78k verify fer7 --no-board --data fer2013.csv
      max78k verify fer7-model --port /dev/ttyUSB0
      max78k verify --config-file net.yaml --checkpoint-file net-q.pth.tar --data random

    With `--port sim` the firmware is built afresh and booted on the virtual board; with any other
    port the board must already run this network. Exit code 5 if anything differs.
    """
    from max78k.flows.verification import verify
    from max78k.host.messages import BAUD_RATES
    from max78k.host.session import connect

    def open_board(elf: Path | None) -> AbstractContextManager[Device]:
        return connect(port, elf=elf, highest_baud=BAUD_RATES[-1])

    loaded = given_model(model, config_file, checkpoint_file)
    with progress("verify", (2 if no_board else 3) * count) as advance:
        report = verify(
            loaded,
            data=data,
            count=count,
            seed=seed,
            run_folder=run_folder,
            network_class=network,
            connect=None if no_board else open_board,
            build_firmware=port == "sim",
            progress=lambda level, steps: advance(steps, level),
        )
    emit(report.text(), report.to_json(), as_json)
    for level in report.levels:
        if level.first is not None:
            say(str(level.first))
    if report.differences:
        raise MismatchError(
            "E-CHAIN", f"network {report.network}: {report.differences} values differ.",
            "the first differing layer above is where to look.",
        )  # fmt: skip
