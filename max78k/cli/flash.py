"""``max78k flash``: program a board, or the virtual one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from max78k.cli.terminal import emit, json_option
from max78k.errors import InputError

_SUFFIX = {"sim": ".elf", "daplink": ".hex", "openocd": ".elf"}


@click.command("flash")
@click.argument("firmware", required=False, type=click.Path(path_type=Path))
@click.option(
    "--port",
    envvar="MAX78K_PORT",
    help="`sim` for the virtual board; anything else means a real one, reached by --target.",
)
@click.option(
    "--target",
    type=click.Choice(sorted(_SUFFIX)),
    help="daplink (default for a board): the USB drive; openocd: the vendor's OpenOCD.",
)
@click.option("--drive", type=click.Path(path_type=Path), help="DAPLink: the drive's mount point.")
@click.option("--openocd", default="openocd", help="OpenOCD: the program.")
@click.option("--scripts", type=click.Path(path_type=Path), help="OpenOCD: its scripts folder.")
@click.option("--no-verify", is_flag=True, help="OpenOCD: do not read back.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--unlock-help", is_flag=True, help="What to do when the part cannot be reached.")
@json_option
def command(
    firmware: Path | None,
    port: str | None,
    target: str | None,
    drive: Path | None,
    openocd: str,
    scripts: Path | None,
    no_verify: bool,
    dry_run: bool,
    unlock_help: bool,
    as_json: bool,
) -> None:
    """Bring FIRMWARE (a built project's folder, an .elf or a .hex) onto a board.

    \b
    Examples:
      max78k flash fer7-firmware --port sim
      max78k flash fer7-firmware
      max78k flash fer7-firmware --target openocd --dry-run
    """
    from max78k.host.flash import UNLOCK_HELP, FlashOptions, flash

    if unlock_help:
        click.echo(UNLOCK_HELP)
        return
    if firmware is None:
        raise InputError("E-ARGS-FIRMWARE", "no firmware given.", "a built project's folder.")
    chosen = target or ("sim" if port == "sim" else "daplink")
    options = FlashOptions(
        drive=drive, openocd=openocd, openocd_scripts=scripts, verify=not no_verify
    )
    path = _image_file(firmware, _SUFFIX[chosen])
    result = flash(chosen, path, options, dry_run=dry_run)
    text = "\n".join([*result.steps, f"{result.bytes:,} bytes: {result.outcome}"])
    emit(text, asdict(result), as_json)


def _image_file(firmware: Path, suffix: str) -> Path:
    if not firmware.is_dir():
        return firmware
    found = sorted((firmware / "build").glob(f"*{suffix}"))
    if not found:
        raise InputError(
            "E-FLASH-BUILD", f"{firmware} holds no built {suffix} file.",
            f"`max78k build {firmware}` first.",
        )  # fmt: skip
    return found[0]
