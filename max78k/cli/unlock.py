"""``max78k unlock``: a part that cannot be programmed any more."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from max78k.cli.flash import drive_option, openocd_option, scripts_option
from max78k.cli.terminal import emit, json_option


@click.command("unlock")
@click.option(
    "--method",
    type=click.Choice(["auto", "daplink", "openocd"]),
    default="auto",
    show_default=True,
    help="Who erases: the board's probe, or OpenOCD.",
)
@drive_option
@openocd_option
@scripts_option
@click.option("--allow-automation", is_flag=True,
              help="Instead: switch on the probe's automation, its button SW5 held.")  # fmt: skip
@click.option("--guide", is_flag=True, help="Show what to do, step by step.")
@click.option("--yes", is_flag=True, help="Erase without asking.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@json_option
def command(
    method: str,
    drive: Path | None,
    openocd: str | None,
    scripts: Path | None,
    allow_automation: bool,
    guide: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Erase a MAX78000 that the debugger cannot reach any more.

    \b
    Examples:
      max78k unlock --guide
      max78k unlock --dry-run
      max78k unlock
      max78k unlock --method openocd     (press reset while it tries)
    """
    from max78k.host.flash import FlashOptions
    from max78k.host.unlock import GUIDE, unlock

    if guide:
        click.echo(GUIDE, nl=False)
        return
    if not (yes or dry_run or allow_automation):
        click.confirm("All that the MAX78000's flash holds will be lost. Erase it?", abort=True,
                      err=True)  # fmt: skip
    options = FlashOptions(drive=drive, openocd=openocd, scripts=scripts)
    result = unlock(
        method, options, allow_automation=allow_automation, dry_run=dry_run,
        report=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    emit("\n".join([*result.steps, result.outcome]), asdict(result), as_json)
