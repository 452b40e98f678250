"""Flashing: one table of methods, each a way to bring a firmware file into a board.

``auto`` takes the vendor's OpenOCD where it is found, for it compares, verifies and is made for
this chip; else the board's USB drive; else any other OpenOCD, with our own target file. None of
this has been tried on a board.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.files import write_bytes
from max78k.host import flash_drive, flash_openocd
from max78k.host.firmware_image import FirmwareImage, read_firmware
from max78k.host.state import virtual_flash

AUTO, SIM = "auto", "sim"
REMOUNT_TIMEOUT_S = 20.0  # DAPLink drops off the bus after programming and mounts anew


@dataclass(frozen=True)
class FlashOptions:
    """Choices that some methods take; the others ignore them.

    Attributes:
        drive: daplink: mount point; searched for if None.
        copy_as: daplink: "hex" or "bin"; a probe may take one and not the other.
        remount_s: daplink: how long the drive may take to come back.
        openocd: openocd: the program; searched for if None.
        scripts: openocd: folder with interface/ and target/.
        verify: read back what was written (openocd), wait for the probe's word (daplink).
        force: write also what is there already.
    """

    drive: Path | None = None
    copy_as: str = "hex"
    remount_s: float = REMOUNT_TIMEOUT_S
    openocd: str | None = None
    scripts: Path | None = None
    verify: bool = True
    force: bool = False


@dataclass(frozen=True)
class FlashPlan:
    """What will be done, in words, and how to do it; ``run`` returns what was confirmed."""

    steps: tuple[str, ...]
    run: Callable[[], str]


@dataclass(frozen=True)
class FlashMethod:
    """A way to flash."""

    summary: str
    plan: Callable[[FirmwareImage, FlashOptions], FlashPlan]


@dataclass(frozen=True)
class FlashResult:
    """What was done (or would be, if ``dry_run``), and how far it was confirmed."""

    method: str
    firmware: str
    bytes: int
    steps: tuple[str, ...]
    dry_run: bool
    outcome: str


def flash(
    method: str,
    firmware: Path,
    options: FlashOptions | None = None,
    *,
    dry_run: bool = False,
) -> FlashResult:
    """Check ``firmware`` (see :func:`read_firmware`) and bring it to a board.

    A dry run makes every check and changes nothing. Raises InputError ``E-FLASH-METHOD`` or those
    of the file, DeviceNotFoundError ``E-FLASH-DRIVE``, ``E-FLASH-PROBE`` or ``E-FLASH-NONE``,
    ToolError ``E-FLASH-OPENOCD``, ``E-FLASH-LOCKED``, ``E-FLASH-FAILED`` or ``E-FLASH-WRITE``.
    """
    image = read_firmware(firmware)
    options = options or FlashOptions()
    name = find_method(options) if method == AUTO else method
    if name not in FLASH_METHODS:
        raise InputError(
            "E-FLASH-METHOD",
            f"there is no method {name!r}.",
            "one of " + ", ".join((AUTO, *FLASH_METHODS)),
        )
    plan = FLASH_METHODS[name].plan(image, options)
    outcome = "dry run: nothing was changed" if dry_run else plan.run()
    return FlashResult(name, str(firmware), image.size, plan.steps, dry_run, outcome)


def find_method(options: FlashOptions) -> str:
    """What ``auto`` stands for on this machine. Raises DeviceNotFoundError ``E-FLASH-NONE``."""
    if options.drive is not None:
        return "daplink"
    tool = flash_openocd.find_openocd(options.openocd, options.scripts)
    if options.openocd is not None or (tool is not None and tool.of_vendor):
        return "openocd"
    if flash_drive.find_drives():
        return "daplink"
    if tool is not None:
        return "openocd"
    raise DeviceNotFoundError(
        "E-FLASH-NONE",
        "no drive of a DAPLink probe is mounted, and no OpenOCD is installed.",
        "plug the board in and mount its drive DAPLINK, or install OpenOCD; `--port sim` is the"
        " virtual board",
    )


def _plan_sim(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    if image.kind != "elf":
        raise InputError(
            "E-FLASH-FORMAT", f"{image.path} is not an ELF file; the virtual board boots an ELF.",
            "name the .elf file beside it",
        )  # fmt: skip
    flash_file = virtual_flash()
    content = image.path.read_bytes()

    def run() -> str:
        try:
            same = flash_file.is_file() and flash_file.read_bytes() == content
            if not same or options.force:
                write_bytes(flash_file, content)
        except OSError as error:
            raise write_error(flash_file, error) from error
        if same and not options.force:
            return "unchanged: the same file was there; `--port sim` boots it"
        return "stored; `--port sim` boots it"

    return FlashPlan((f"store {image.path} as {flash_file}, unless it is there",), run)


def _plan_daplink(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    drive = flash_drive.checked_drive(options.drive)
    name, content = "firmware.hex", image.to_hex()
    if options.copy_as == "bin":
        name, content = "firmware.bin", image.to_bin()

    def run() -> str:
        try:
            outcome = flash_drive.copy(
                drive, name, content, options.remount_s if options.verify else None
            )
        except OSError as error:
            raise write_error(drive / name, error) from error
        return outcome

    steps = (
        f"copy {image.path} to {drive / name}, {len(content):,} bytes (the drive cannot be read,"
        " so nothing is compared)",
        *(["wait until the drive is back and look for FAIL.TXT"] if options.verify else []),
    )
    return FlashPlan(steps, run)


def _plan_openocd(image: FirmwareImage, options: FlashOptions) -> FlashPlan:
    tool = flash_openocd.required_openocd(options.openocd, options.scripts)
    compare = options.verify and not options.force

    def run() -> str:
        return flash_openocd.program(tool, image.to_bin(), compare=compare, verify=options.verify)

    command = flash_openocd.program_command(tool, "FIRMWARE.bin", compare, options.verify)
    steps = (
        f"write {image.path} as FIRMWARE.bin, {len(image.to_bin()):,} bytes, to a temporary folder",
        flash_openocd.shown(command),
    )
    return FlashPlan(steps, run)


def write_error(path: Path, error: OSError) -> ToolError:
    """For a file that cannot be written."""
    return ToolError(
        "E-FLASH-WRITE", f"{path}: {error.strerror}.", "check space and permissions there"
    )


FLASH_METHODS = {
    "daplink": FlashMethod("copy to the board's DAPLINK drive", _plan_daplink),
    "openocd": FlashMethod("compare, program and verify with OpenOCD", _plan_openocd),
    SIM: FlashMethod("the virtual board", _plan_sim),
}
