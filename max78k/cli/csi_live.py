"""``max78k csi live``: packets of an ESP32 in, answers out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.options import port_option
from max78k.cli.terminal import json_option, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.host.link import Device

like_option = click.option(
    "--like",
    type=click.Path(path_type=Path),
    help="Windows that say how to prepare; by default the model says it.",
)


@click.command("live")
@click.argument("model")
@like_option
@click.option(
    "--esp32",
    required=True,
    help="Serial port of the ESP32, or a CSV file to replay.",
)
@click.option("--esp32-baud", type=int, default=921600, show_default=True)
@click.option("--majority", type=click.IntRange(1), default=5, show_default=True,
              help="Last answers that vote.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), help="Stop after this many answers.")
@click.option("--reference", is_flag=True, help="Let the integer reference answer, not a board.")
@click.option("--raw", is_flag=True,
              help="Send the board packets as they come: it makes the windows itself.")  # fmt: skip
@port_option
@json_option
def live(
    model: str,
    like: Path | None,
    esp32: str,
    esp32_baud: int,
    majority: int,
    count: int | None,
    reference: bool,
    raw: bool,
    port: str,
    as_json: bool,
) -> None:
    """CSI in from an ESP32, windows out to a board, an answer for every step; Ctrl-C ends it.

    \b
    Examples:
      max78k csi live csi4-model --esp32 /dev/ttyUSB1 --port /dev/ttyUSB0
      max78k csi live csi4-model --esp32 /dev/ttyUSB1 --port /dev/ttyUSB0 --raw
      max78k csi live csi4-model --esp32 room/sad/subject0_0.csv --reference
      max78k csi live csi5_1d --esp32 gestures.csv --port sim --raw

    With --json one object a line. The board must run the model's firmware.
    """
    from max78k.csi.esp32 import follow
    from max78k.flows.csi_answers import OnBoard, Stream, esp32_lines, preparation_of
    from max78k.flows.models import load_model

    network = load_model(model).network
    preparation = preparation_of(network, like)
    if raw and reference:
        raise InputError("E-CSI-RAW", "--raw is for a board, --reference is none.", "one of both.")
    with _board(network.name, model, None if reference else port) as device:
        if device is None:
            stream = Stream(network, preparation, majority)
        elif raw:
            whole = OnBoard(device, network, preparation)
            stream = Stream(network, preparation, majority, infer_packets=whole)
        else:
            stream = Stream(network, preparation, majority, lambda one: device.infer(one).scores)
        answers = stream.feed(follow(esp32_lines(esp32, esp32_baud)))
        try:
            _show(answers, count, as_json)
        except KeyboardInterrupt:
            if not stream.taken:
                say(f"no packet came from {esp32}: does it send at {esp32_baud} baud?")
    for line in left_out(stream.bad_rows):
        say(line)


def _show(answers: Iterator[Any], count: int | None, as_json: bool) -> None:
    """Print answers as they come, at most ``count``."""
    import json

    for number, (answer, voted, shares) in enumerate(answers, 1):
        share = float(shares.max())
        found = {"window": number, "answer": answer, "majority": voted, "share": share}
        text = f"{number:6}  {voted:<12} (now {answer}, {100 * share:.0f} %)"
        click.echo(json.dumps(found) if as_json else text)
        if number == count:
            break


def left_out(bad_rows: Mapping[str, int]) -> list[str]:
    """A line for each thing that was wrong with rows."""
    return [f"  left out: {count:,} x {fault}" for fault, count in bad_rows.items()]


@contextmanager
def _board(network: str, model: str, port: str | None) -> Iterator[Device | None]:
    """The board at ``port``, which must run ``network`` of ``model``; None without a port."""
    if port is None:
        yield None
        return
    from max78k.flows.firmware import booted
    from max78k.host.messages import BAUD_RATES
    from max78k.host.session import connect

    with (
        booted((port,), None, model, say) as elf,
        connect(port, elf=elf, highest_baud=BAUD_RATES[-1]) as device,
    ):
        if device.info.network_name != network:
            raise InputError(
                "E-CSI-NETWORK",
                f"the board runs network {device.info.network_name}, not {network}.",
                "flash the firmware of this network, or --reference.",
            )
        yield device
