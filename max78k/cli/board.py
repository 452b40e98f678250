"""``max78k board``: the virtual MAX78000FTHR."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("board")
def command() -> None:
    """The virtual MAX78000FTHR: boots an ELF exactly as built for silicon."""


@command.command("run")
@click.argument("elf", type=click.Path(path_type=Path))
@click.option("--link", type=click.Path(path_type=Path), help="Also make this link to the port.")
@click.option("--strict", is_flag=True, help="Stop at the first doubtful access.")
def run(elf: Path, link: Path | None, strict: bool) -> None:
    """Boot ELF and connect its console UART to a new pseudo-terminal, until Ctrl-C.

    \b
    Examples:
      max78k board run fer7-firmware/build/firmware.elf
      max78k board run app.elf --link /tmp/fthr
      max78k bench --port /tmp/fthr --data faces     (in another terminal)

    The first line on stdout is `pty PATH`: the port for bench, or for any serial program.
    """
    from max78k.simulator.serve import serve

    serve(elf, link=link, strict=strict, ready=lambda path: click.echo(f"pty {path}"))
