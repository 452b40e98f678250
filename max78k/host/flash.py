"""Flashing: one table of targets, each a way to bring a firmware file into a board.

* ``daplink``: copy a HEX file to the board's USB drive; needs no other program.
* ``openocd``: the vendor's fork of OpenOCD through the board's CMSIS-DAP probe; verifies.
* ``sim``: the virtual board.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.files import write_bytes
from max78k.host.diagnosis import printable
from max78k.host.firmware_image import FirmwareImage, read_firmware
from max78k.host.state import virtual_flash

OPENOCD_TIMEOUT_S = 120.0
REMOUNT_TIMEOUT_S = 20.0  # DAPLink drops off the bus after programming and mounts anew
SHOWN_LINES = 15

UNLOCK_HELP = """\
A part that cannot be reached ("cannot read IDR", "Error connecting DP") mostly runs firmware that
sleeps or faults at once, before the debugger gets hold of it. In this order:
1. Hold the reset button, start the tool, and let go while it tries to connect.
2. Erase through the probe. Open DETAILS.TXT on the drive DAPLINK. If "Automation allowed" is 0,
   copy an empty file named auto_on.cfg to the drive while holding the board's probe button.
   Then copy an empty file named erase.act to the drive; it comes back after some seconds.
3. Erase with the vendor's OpenOCD:
   openocd -f interface/cmsis-dap.cfg -f target/max78000.cfg \\
     -c "init; reset halt; max32xxx mass_erase 0; exit"
4. If the drive is named MAINTENANCE, the probe waits for its own firmware: plug the board in again
   without pressing a button.
Firmware made by `max78k build` does not sleep in the first two seconds after reset, so that a
debugger can always connect.
"""


@dataclass(frozen=True)
class FlashOptions:
    """Choices that some targets take; the others ignore them."""

    drive: Path | None = None  # daplink: mount point, searched for if None
    openocd: str = "openocd"  # openocd: the program
    openocd_scripts: Path | None = None  # openocd: folder with interface/ and target/
    verify: bool = True
    remount_s: float = REMOUNT_TIMEOUT_S


@dataclass(frozen=True)
class FlashPlan:
    """What will be done, in words, and how to do it; ``run`` returns what was confirmed."""

    steps: tuple[str, ...]
    run: Callable[[], str]


@dataclass(frozen=True)
class FlashTarget:
    """A way to flash."""

    summary: str
    plan: Callable[[FirmwareImage, FlashOptions], FlashPlan]


@dataclass(frozen=True)
class FlashResult:
    """What was done (or would be, if ``dry_run``), and how far it was confirmed."""

    target: str
    firmware: str
    bytes: int
    steps: tuple[str, ...]
    dry_run: bool
    outcome: str


def flash(
    target: str,
    firmware: Path,
    options: FlashOptions | None = None,
    *,
    dry_run: bool = False,
) -> FlashResult:
    """Check ``firmware`` (see :func:`read_firmware`) and bring it to ``target``.

    A dry run makes every check and changes nothing. Raises InputError ``E-FLASH-TARGET`` or those
    of the file, DeviceNotFoundError ``E-FLASH-DRIVE``, ToolError ``E-FLASH-OPENOCD``,
    ``E-FLASH-FAILED`` or ``E-FLASH-WRITE``.
    """
    if target not in FLASH_TARGETS:
        raise InputError(
            "E-FLASH-TARGET",
            f"there is no target {target!r}.",
            "one of " + ", ".join(FLASH_TARGETS),
        )
    image = read_firmware(firmware)
    plan = FLASH_TARGETS[target].plan(image, options or FlashOptions())
    outcome = "dry run: nothing was changed" if dry_run else plan.run()
    return FlashResult(target, str(firmware), image.size, plan.steps, dry_run, outcome)


# The virtual board


def _plan_sim(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    if image.kind != "elf":
        raise InputError(
            "E-FLASH-FORMAT", f"{image.path} is a HEX file; the virtual board boots an ELF.",
            "name the .elf file beside it",
        )  # fmt: skip
    flash_file = virtual_flash()

    def run() -> str:
        try:
            write_bytes(flash_file, image.path.read_bytes())
        except OSError as error:
            raise _write_error(flash_file, error) from error
        return "stored; `--port sim` boots it"

    return FlashPlan((f"store {image.path} as {flash_file}",), run)


# The DAPLink drive


def find_daplink_drives(mounts: list[Path] | None = None) -> list[Path]:
    """Mounted drives of a DAPLink probe that programs its target."""
    return [
        mount
        for mount in (_mounts() if mounts is None else mounts)
        if b"daplink" in (details := _details(mount)) and _BOOTLOADER not in details
    ]


_BOOTLOADER = b"daplink mode: bootloader"  # the drive MAINTENANCE: it takes the probe's firmware


def _details(drive: Path) -> bytes:
    """DETAILS.TXT in lower case; empty if there is none."""
    try:
        return (drive / "DETAILS.TXT").read_bytes()[:4096].lower()
    except OSError:
        return b""


def _mounts() -> list[Path]:
    """Mount points that may be a USB drive."""
    if sys.platform == "win32":
        return [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return []
    fat = [line.split() for line in lines if line.split()[2:3] in (["vfat"], ["msdos"])]
    # Spaces in a mount point are written as \040.
    return [Path(fields[1].replace("\\040", " ")) for fields in fat]


def _plan_daplink(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    drive = options.drive or _only_drive()
    if not drive.is_dir():
        raise DeviceNotFoundError("E-FLASH-DRIVE", f"{drive} is no mounted drive.", _MOUNT_HINT)
    if _BOOTLOADER in _details(drive):
        raise DeviceNotFoundError(
            "E-FLASH-DRIVE",
            f"{drive} takes firmware for the probe, not for the MAX78000.",
            "plug the board in again without pressing a button",
        )
    target = drive / "firmware.hex"

    def run() -> str:
        try:
            # No rename as elsewhere: the probe programs the bytes as they are written to the
            # drive, and has no use for a temporary file.
            with target.open("wb") as stream:
                stream.write(image.to_hex())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _write_error(target, error) from error
        return _drive_outcome(drive, options.remount_s) if options.verify else "copied, unchecked"

    steps = (
        f"copy {image.path} as Intel HEX to {target}",
        *(["wait until the drive is back and look for FAIL.TXT"] if options.verify else []),
    )
    return FlashPlan(steps, run)


_MOUNT_HINT = "plug the board in and mount the drive DAPLINK, or use the target openocd"


def _only_drive() -> Path:
    drives = find_daplink_drives()
    if len(drives) == 1:
        return drives[0]
    if drives:
        names = ", ".join(str(drive) for drive in drives)
        raise DeviceNotFoundError(
            "E-FLASH-DRIVE", f"there are {len(drives)} DAPLink drives: {names}.", "name one of them"
        )
    raise DeviceNotFoundError("E-FLASH-DRIVE", "no DAPLink drive is mounted.", _MOUNT_HINT)


def _drive_outcome(drive: Path, limit_s: float) -> str:
    """Wait for the drive to come back without our file, which the probe never keeps."""
    end = time.monotonic() + limit_s
    while True:
        try:
            names = {entry.name.upper() for entry in drive.iterdir()}
        except OSError:
            names = set()  # between two mounts
        if "FAIL.TXT" in names:
            text = printable((drive / "FAIL.TXT").read_bytes()[:400].strip())
            raise ToolError(
                "E-FLASH-FAILED",
                f"the probe reports: {text}.",
                "the target openocd, or the unlock procedure: `max78k flash --unlock-help`",
            )
        if "DETAILS.TXT" in names and "FIRMWARE.HEX" not in names:
            return "copied; the probe reports no failure (it does not read back)"
        if time.monotonic() >= end:
            return (
                f"copied; the drive did not come back within {limit_s:g} s, so the result is open"
            )
        time.sleep(0.1)


# OpenOCD


def openocd_command(image: FirmwareImage, options: FlashOptions) -> list[str]:
    """The command line for the vendor's fork of OpenOCD (``target/max78000.cfg``)."""
    name = image.path.resolve().as_posix()
    if any(char in name for char in '{}"\\\n'):
        raise InputError(
            "E-FLASH-FILE", f"OpenOCD cannot take the path {name!r}.", "move the file elsewhere"
        )
    scripts = ["-s", str(options.openocd_scripts)] if options.openocd_scripts else []
    verify = "verify " if options.verify else ""
    return [
        options.openocd,
        *scripts,
        *("-f", "interface/cmsis-dap.cfg"),
        *("-f", "target/max78000.cfg"),
        *("-c", f"program {{{name}}} {verify}reset exit"),
    ]


def _plan_openocd(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    command = openocd_command(image, options)

    def run() -> str:
        _run_openocd(command)
        return "programmed and verified" if options.verify else "programmed, not verified"

    return FlashPlan((shlex.join(command),), run)


def _run_openocd(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise ToolError(
            "E-FLASH-OPENOCD",
            f"the program {command[0]} is not there.",
            "install the vendor's OpenOCD (it comes with the MSDK) and put it on PATH, or use the"
            " target daplink",
        )
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=OPENOCD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            "E-FLASH-FAILED",
            f"OpenOCD did not end within {OPENOCD_TIMEOUT_S:g} s.",
            "the unlock procedure: `max78k flash --unlock-help`",
        ) from error
    if done.returncode:
        lines = [printable(line) for line in done.stdout.splitlines()[-SHOWN_LINES:]]
        raise ToolError(
            "E-FLASH-FAILED",
            f"OpenOCD ended with {done.returncode}:\n" + "\n".join(f"  {line}" for line in lines),
            "the unlock procedure if the part cannot be reached: `max78k flash --unlock-help`;"
            " the vendor's OpenOCD if target/max78000.cfg is unknown",
        )


def _write_error(path: Path, error: OSError) -> ToolError:
    return ToolError(
        "E-FLASH-WRITE", f"{path}: {error.strerror}.", "check space and permissions there"
    )


FLASH_TARGETS = {
    "daplink": FlashTarget("copy to the board's DAPLINK drive", _plan_daplink),
    "openocd": FlashTarget("program and verify with the vendor's OpenOCD", _plan_openocd),
    "sim": FlashTarget("the virtual board", _plan_sim),
}
