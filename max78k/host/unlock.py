"""A part that cannot be programmed any more: what is done about it, in the right order.

The chip's SWD cannot be reached for a time after reset; firmware that sleeps or faults sooner
locks the debugger out. Erasing the flash is the way back. That these steps free a real part is the
vendor's word (its guide to the MAX78000FTHR), and was not tried for this program.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import InputError, Max78kError, ToolError
from max78k.host import flash_drive, flash_openocd
from max78k.host.flash import AUTO, FlashOptions, FlashPlan, find_method, write_error

ATTEMPTS = 10  # of OpenOCD, while somebody presses the reset button
PAUSE_S = 1.0
ERASE, AUTOMATION = "erase.act", "auto_on.cfg"

GUIDE = """\
A part that cannot be reached ("cannot read IDR", "FAILED to reset/halt") mostly runs firmware that
sleeps or faults before the debugger gets hold of it. Erasing it is the way back; all that its flash
holds is lost. In this order:

1. `max78k unlock --method daplink` has the board's probe erase it: an empty file erase.act is
   copied to the drive DAPLINK. The probe obeys only if DETAILS.TXT there says
   "Automation allowed: 1". If it says 0: hold the board's button SW5, run
   `max78k unlock --allow-automation`, and let go when the drive goes away.
2. `max78k unlock --method openocd` tries to connect again and again: press and let go the board's
   reset button meanwhile, several times.
3. If the drive is named MAINTENANCE, the probe waits for its own firmware: plug the board in again
   without pressing a button. If no drive appears at all, plug it in with SW5 held, copy the
   vendor's probe firmware to MAINTENANCE, and begin with 1.

Firmware made by `max78k build` does not sleep in the first two seconds after a reset, so that a
debugger can always connect; a fault restarts it, which opens this window anew.
"""


@dataclass(frozen=True)
class UnlockResult:
    """What was done (or would be, if ``dry_run``), and how far it was confirmed."""

    method: str
    steps: tuple[str, ...]
    dry_run: bool
    outcome: str


def unlock(
    method: str,
    options: FlashOptions,
    *,
    allow_automation: bool = False,
    dry_run: bool = False,
    report: Callable[[str], None] = print,
) -> UnlockResult:
    """Erase the part's flash by ``daplink``, ``openocd`` or ``auto``.

    ``allow_automation``: instead, switch on the probe's automation, with its button held.
    ``report`` gets a line for each attempt. Raises the errors of the method, ToolError
    ``E-UNLOCK-AUTOMATION``, or InputError ``E-FLASH-METHOD``.
    """
    name = "daplink" if allow_automation else method
    if name == AUTO:
        name = "daplink" if flash_drive.find_drives() else find_method(options)
    if name not in ("daplink", "openocd"):
        raise InputError(
            "E-FLASH-METHOD", f"a part is unlocked by daplink or openocd, not {name!r}.",
            "--method daplink, then --method openocd",
        )  # fmt: skip
    if name == "openocd":
        plan = _by_openocd(options, report)
    else:
        plan = _by_drive(options, AUTOMATION if allow_automation else ERASE, report)
    outcome = "dry run: nothing was changed" if dry_run else plan.run()
    return UnlockResult(name, plan.steps, dry_run, outcome)


def _by_drive(options: FlashOptions, action: str, report: Callable[[str], None]) -> FlashPlan:
    drive = flash_drive.checked_drive(options.drive)
    if action == ERASE and not flash_drive.automation_allowed(drive):
        raise ToolError(
            "E-UNLOCK-AUTOMATION",
            f'{Path(drive) / "DETAILS.TXT"} does not say "Automation allowed: 1".',
            "hold the board's button SW5, run `max78k unlock --allow-automation`, let go when the"
            " drive goes away, then unlock again",
        )

    def run() -> str:
        try:
            flash_drive.act(drive, action, options.remount_s, report)
        except OSError as error:
            raise write_error(drive / action, error) from error
        if action == AUTOMATION:
            return 'look into DETAILS.TXT for "Automation allowed: 1", then `max78k unlock`'
        return "the probe reports no failure; flash the part now: `max78k flash`"

    return FlashPlan((f"copy an empty file {action} to {drive}, wait until it is back",), run)


def _by_openocd(options: FlashOptions, report: Callable[[str], None]) -> FlashPlan:
    tool = flash_openocd.required_openocd(options.openocd, options.scripts)
    command = flash_openocd.erase_command(tool)

    def run() -> str:
        for attempt in range(1, ATTEMPTS + 1):
            report(f"attempt {attempt} of {ATTEMPTS}: press and let go the reset button")
            try:
                said = flash_openocd.run(command)
            except Max78kError as error:
                if error.code != "E-FLASH-LOCKED" or attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE_S)
                continue
            if "mass erase complete" not in said:
                raise ToolError("E-FLASH-FAILED", "OpenOCD did not say that it erased.", "--guide")
            return "erased; flash the part now: `max78k flash`"
        raise AssertionError("the last attempt returns or raises")

    return FlashPlan((flash_openocd.shown(command), f"up to {ATTEMPTS} times"), run)
