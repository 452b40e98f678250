"""``max78k camera``: listen to a board that runs the camera application."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from max78k.cli.terminal import json_option, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.host.camera_lines import CameraEvent, CameraFrame, CameraPicture
    from max78k.network import Network


@click.command("camera")
@click.option("--port", envvar="MAX78K_PORT", default="auto", show_default=True,
              help="Serial device, pty, `auto`, socket:// or rfc2217:// address.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("camera-pictures"),
              show_default=True, help="Folder for pictures that the board sends.")  # fmt: skip
@click.option("--record", type=click.IntRange(1), metavar="N",
              help="Ask for N pictures, then end.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N answers.")
@click.option("--model", help="Compare input and scores of each picture with this model's.")
@json_option
def command(
    port: str,
    out: Path,
    record: int | None,
    count: int | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Show the answers of a board that runs the camera application; keep pictures it sends.

    \b
    Examples:
      max78k synthesize fer7 --application camera --out fer7-camera
      max78k build fer7-camera
      max78k board run fer7-camera/build/firmware.elf --camera faces/ --link /tmp/fthr
      max78k camera --port /tmp/fthr --record 3 --out pictures --model fer7

    The board sends a picture when SW2 is pressed or --record asks for it. Ctrl-C ends.
    """
    from max78k.flows.camera import listen
    from max78k.flows.models import load_model
    from max78k.host.camera_lines import CameraFrame
    from max78k.host.ports import open_port
    from max78k.host.session import SIM

    if port == SIM:
        raise InputError(
            "E-CAMERA-PORT",
            "the virtual board needs something to see.",
            "`max78k board run FIRMWARE --camera SOURCE --link /tmp/fthr`, then --port /tmp/fthr.",
        )
    network = None if model is None else load_model(model).network
    line, answers = open_port(port), 0
    try:
        for event in listen(line, pictures=record or 0):
            _show(event, out, network, as_json)
            answers += isinstance(event, CameraFrame)
            if answers == count:
                break
    except KeyboardInterrupt:
        pass
    finally:
        line.close()


def _show(event: CameraEvent, out: Path, network: Network | None, as_json: bool) -> None:
    from max78k.host.camera_lines import CameraFrame, CameraPicture

    if isinstance(event, CameraFrame):
        click.echo(json.dumps(asdict(event)) if as_json else _text(event))
    elif isinstance(event, CameraPicture):
        click.echo(_kept(event, out, network, as_json))
    else:
        say(f"damaged on the line: {event.text}" if event.damaged else event.text)


def _text(frame: CameraFrame) -> str:
    phases = ", ".join(f"{name} {us / 1000:.2f}" for name, us in frame.phases_us.items() if us)
    rate = f", {1e6 / frame.period_us:.1f} pictures/s" if frame.period_us else ""
    name = frame.name or f"class {frame.class_index}"
    return f"{frame.number:>6}  {name:<12} {frame.score:>8}   ms: {phases}{rate}"


def _kept(picture: CameraPicture, out: Path, network: Network | None, as_json: bool) -> str:
    from max78k.flows.camera import check, save

    path = save(picture, out)
    if network is not None:
        check(picture, network)
    if as_json:
        data = {"picture": str(path), "number": picture.number, "scores": list(picture.scores)}
        return json.dumps({**data, "checked": network is not None})
    checked = "" if network is None else f": input and scores as {network.name} on this machine"
    return f"{path}{checked}"
