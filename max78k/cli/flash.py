"""``max78k flash``: program a board, or the virtual one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from max78k.cli.terminal import emit, json_option
from max78k.errors import InputError

AUTO, SIM = "auto", "sim"
METHODS = (AUTO, "daplink", "openocd", SIM)
drive_option = click.option(
    "--drive", type=click.Path(path_type=Path), help="daplink: the drive's mount point."
)
openocd_option = click.option("--openocd", help="openocd: the program, if not on PATH.")
scripts_option = click.option(
    "--scripts", type=click.Path(path_type=Path), help="openocd: its scripts folder."
)


@click.command("flash")
@click.argument("firmware", type=click.Path(path_type=Path))
@click.option(
    "--port",
    envvar="MAX78K_PORT",
    help="`sim` for the virtual board; anything else means a real one, reached by --method.",
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="daplink: the USB drive; openocd: compares and verifies; sim: the virtual board; auto:"
    " the vendor's OpenOCD if found, else the drive, else another OpenOCD.",
)
@drive_option
@click.option(
    "--copy-as",
    type=click.Choice(["hex", "bin"]),
    default="hex",
    show_default=True,
    help="daplink: what is copied.",
)
@openocd_option
@scripts_option
@click.option("--force", is_flag=True, help="Write also what is there already.")
@click.option("--no-verify", is_flag=True, help="Do not read back, do not wait for the probe.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@json_option
def command(
    firmware: Path,
    port: str | None,
    method: str,
    drive: Path | None,
    copy_as: str,
    openocd: str | None,
    scripts: Path | None,
    force: bool,
    no_verify: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring FIRMWARE (a built project's folder, an .elf, .hex or .bin) onto a board.

    \b
    Examples:
      max78k flash fer7-firmware --port sim
      max78k flash fer7-firmware
      max78k flash fer7-firmware --method openocd --dry-run
      max78k flash other.bin --method daplink --drive /media/me/DAPLINK

    What is there already is not written again, where it can be read. A part that cannot be
    reached: `max78k unlock`. Which of this was tried on a board: docs/flash.md.
    """
    from max78k.host.flash import FlashOptions, flash

    chosen = _method(method, port)
    options = FlashOptions(
        drive=drive, copy_as=copy_as, openocd=openocd, scripts=scripts, verify=not no_verify,
        force=force,
    )  # fmt: skip
    result = flash(chosen, _image_file(firmware), options, dry_run=dry_run)
    text = "\n".join([*result.steps, f"{result.bytes:,} bytes: {result.outcome}"])
    emit(text, asdict(result), as_json)


def _method(method: str, port: str | None) -> str:
    """How to flash: the virtual board is reached by a way of its own, and no other is by it."""
    if (port == SIM and method in (AUTO, SIM)) or (port is None and method == SIM):
        return SIM
    if port == SIM or method == SIM:
        raise InputError(
            "E-FLASH-METHOD",
            f"--port {port} and --method {method}: one is the virtual board, the other a real one.",
            "--port sim alone, or --method without --port (MAX78K_PORT counts as well)",
        )
    return method


def _image_file(firmware: Path) -> Path:
    """The ELF in a project's folder: every method makes of it what it needs."""
    if not firmware.is_dir():
        return firmware
    found = sorted((firmware / "build").glob("*.elf"))
    if not found:
        raise InputError(
            "E-FLASH-BUILD", f"{firmware} holds no built .elf file.",
            f"`max78k build {firmware}` first.",
        )  # fmt: skip
    return found[0]
