"""``max78k ports``: the serial ports of this machine, and what else is plugged in."""

from __future__ import annotations

from dataclasses import asdict

import click

from max78k.cli.terminal import emit, json_option


@click.command("ports")
@json_option
def command(as_json: bool) -> None:
    """List serial ports; likely boards are marked with *.

    \b
    Examples:
      max78k ports
      max78k ports --json

    Also named are bridges, probes and meters that are known by their USB identity; those without a
    serial port on Linux only.
    """
    from max78k.host.ports import list_ports
    from max78k.host.usb_devices import without_ports

    ports, others = list_ports(), without_ports()
    lines = []
    for port in ports:
        about = f"{port.name}: {port.use}" if port.name else port.description
        identity = " ".join(text for text in (port.usb_id, port.serial_number) if text)
        ending = f"  ({identity})" if identity else ""
        lines.append(f"{'*' if port.likely_board else ' '} {port.device}  {about}{ending}")
    lines += [f"  no port  {other.name}: {other.use}  ({other.usb_id})" for other in others]
    if not any(port.likely_board for port in ports):
        lines.append("no MAX78000FTHR found; `--port sim` is the virtual board")
    data = {"ports": [asdict(port) for port in ports], "others": [asdict(item) for item in others]}
    emit("\n".join(lines), data, as_json)
