"""``max78k ports``: the serial ports of this machine."""

from __future__ import annotations

from dataclasses import asdict

import click

from max78k.cli.terminal import emit, json_option


@click.command("ports")
@json_option
def command(as_json: bool) -> None:
    """List serial ports; likely boards are marked.

    \b
    Examples:
      max78k ports
      max78k ports --json
    """
    from max78k.host.ports import list_ports

    ports = list_ports()
    lines = [f"{'*' if p.likely_board else ' '} {p.device}  {p.description}" for p in ports]
    text = "\n".join(lines) if lines else "no serial port found; `--port sim` is the virtual board"
    emit(text, {"ports": [asdict(port) for port in ports]}, as_json)
