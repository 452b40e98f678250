"""The USB drive of a DAPLink probe: programs what is copied to it, and tells failures in FAIL.TXT.

Facts are those of Arm's DAPLink project: the drive drops off after a copy and mounts anew without
the file; FAIL.TXT then holds the reason, DETAILS.TXT the probe's number and mode.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from max78k.errors import DeviceNotFoundError, ToolError
from max78k.host.diagnosis import printable

BOOTLOADER = b"daplink mode: bootloader"  # the drive MAINTENANCE: it takes the probe's firmware
_MOUNT_TABLE = Path("/proc/mounts")
_MOUNT_HINT = "plug the board in and mount the drive DAPLINK, or use --method openocd"
_UNLOCK = "`max78k unlock` erases a part that cannot be reached"
_AGAIN = "copy again, with no other program on the drive, at another USB port or cable"

# What DAPLink writes -> what it means here, and what to do. The first that fits counts.
FAILURES = (
    ("timed out", "the computer stopped in the middle of the copy", _AGAIN),
    ("during the transfer", "the copy did not arrive whole", _AGAIN),
    ("out of order", "the computer sent the file's parts in another order", _AGAIN),
    ("file size and size programmed", "the copy did not arrive whole", _AGAIN),
    ("failed to reset/halt", "the probe cannot reach the MAX78000 by SWD", _UNLOCK),
    ("failed to initialize", "the MAX78000 does not answer as it starts",
     f"check the board's supply; {_UNLOCK}"),
    ("failed to unlock the target", "the MAX78000 refuses to be programmed", _UNLOCK),
    ("failed to download", "contact to the MAX78000 was lost while programming",
     f"check the supply, then try again; {_UNLOCK}"),
    ("command failure", "erasing or writing the flash failed",
     "check the supply, then try again; --method openocd shows more"),
    ("cannot be decoded", "the HEX file did not arrive as it was sent", _AGAIN),
    ("cannot be programmed", "the probe did not understand the HEX file", "--copy-as bin"),
    ("isn't compatible", "the probe takes these addresses for another chip, or is in maintenance"
     " mode", "plug the board in again without pressing a button, then --copy-as bin"),
    ("offset load address", "the probe takes these addresses for another chip", "--copy-as bin"),
    ("security bits", "the probe takes a part of the file for lock bits", "--method openocd"),
    ("format is unknown", "the probe does not know this kind of file", "--copy-as bin"),
    ("application programming", "this is about the probe's own firmware, not the MAX78000's",
     "plug the board in again without pressing a button"),
    ("update is wrong", "this is about the probe's own firmware, not the MAX78000's",
     "plug the board in again without pressing a button"),
    ("bootloader crc", "the probe's own bootloader is damaged", "the vendor's support"),
)  # fmt: skip


def find_drives(mounts: list[Path] | None = None) -> list[Path]:
    """Mounted drives of a DAPLink probe that programs its target."""
    return [
        mount
        for mount in (_mounts() if mounts is None else mounts)
        if b"daplink" in (text := details(mount)) and BOOTLOADER not in text
    ]


def details(drive: Path) -> bytes:
    """DETAILS.TXT in lower case; empty if there is none."""
    try:
        return (drive / "DETAILS.TXT").read_bytes()[:4096].lower()
    except OSError:
        return b""


def checked_drive(drive: Path | None) -> Path:
    """The drive, or the only one that there is. Raises DeviceNotFoundError ``E-FLASH-DRIVE``."""
    drive = drive or _only_drive()
    if not drive.is_dir():
        raise DeviceNotFoundError("E-FLASH-DRIVE", f"{drive} is no mounted drive.", _MOUNT_HINT)
    if BOOTLOADER in details(drive):
        raise DeviceNotFoundError(
            "E-FLASH-DRIVE",
            f"{drive} takes firmware for the probe, not for the MAX78000.",
            "plug the board in again without pressing a button",
        )
    return drive


def copy(drive: Path, name: str, content: bytes, limit_s: float | None) -> str:
    """Copy a file and wait for the probe's verdict; None: do not wait.

    Returns what is known then. Raises ToolError ``E-FLASH-FAILED`` with the meaning of FAIL.TXT,
    or OSError.
    """
    number = _number(details(drive))
    before = _failure(drive)
    # No rename as elsewhere: the probe programs the bytes as they are written to the drive, and
    # has no use for a temporary file.
    with (drive / name).open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    if limit_s is None:
        return "copied, unchecked"
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        drive = _same_probe(drive, number)
        names = _names(drive)
        if name.upper() not in names:  # the drive has come back: the probe never keeps a file
            if names & {"FAIL.TXT", "ASSERT.TXT"}:
                raise _refusal(_failure(drive))
            if "DETAILS.TXT" in names:
                return "copied; the probe reports no failure (it does not read back)"
        time.sleep(0.1)
    if (text := _failure(drive)) != before:
        raise _refusal(text)
    return f"copied; the drive did not come back within {limit_s:g} s, so the result is open"


def _refusal(text: str) -> ToolError:
    for words, meaning, hint in FAILURES:
        if words in text.lower():
            return ToolError("E-FLASH-FAILED", f'{meaning}; the probe reports "{text}".', hint)
    return ToolError(
        "E-FLASH-FAILED", f'the probe reports "{text}".', f"--method openocd; {_UNLOCK}"
    )


def _failure(drive: Path) -> str:
    """The text of FAIL.TXT, else of ASSERT.TXT (the probe's firmware broke down), else empty."""
    for name in ("FAIL.TXT", "ASSERT.TXT"):
        try:
            lines = (drive / name).read_bytes()[:400].strip().splitlines()
        except OSError:
            continue
        return "; ".join(printable(line.strip()) for line in lines if line.strip()) or name
    return ""


def _same_probe(drive: Path, number: bytes) -> Path:
    """The drive, which may have come back at another place."""
    if drive.is_dir() and _names(drive):
        return drive
    return next((it for it in find_drives() if number and _number(details(it)) == number), drive)


def _number(text: bytes) -> bytes:
    """The probe's unique number in its DETAILS.TXT."""
    return text.partition(b"unique id:")[2].partition(b"\n")[0].strip()


def _names(drive: Path) -> set[str]:
    try:
        return {entry.name.upper() for entry in drive.iterdir()}
    except OSError:
        return set()  # between two mounts


def _only_drive() -> Path:
    drives = find_drives()
    if len(drives) == 1:
        return drives[0]
    if drives:
        names = ", ".join(str(drive) for drive in drives)
        raise DeviceNotFoundError(
            "E-FLASH-DRIVE", f"there are {len(drives)} DAPLink drives: {names}.", "--drive PATH"
        )
    raise DeviceNotFoundError("E-FLASH-DRIVE", "no DAPLink drive is mounted.", _MOUNT_HINT)


def _mounts() -> list[Path]:
    """Mount points that may be a USB drive."""
    if sys.platform == "win32":
        return [Path(f"{letter}:/") for letter in "DEFGHIJKLMNOPQRSTUVWXYZ"]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    try:
        lines = _MOUNT_TABLE.read_bytes().splitlines()
    except OSError:
        return []
    fat = [line.split() for line in lines if line.split()[2:3] in ([b"vfat"], [b"msdos"])]
    # The system writes a space or backslash of a name in octal, its other bytes as they are.
    names = [re.sub(rb"\\([0-7]{3})", lambda it: bytes([int(it[1], 8)]), row[1]) for row in fat]
    return [Path(os.fsdecode(name)) for name in names]


# Unlocking


def automation_allowed(drive: Path) -> bool:
    """Whether the probe acts on files with the names of actions."""
    value = details(drive).partition(b"automation allowed:")[2].partition(b"\n")[0].strip()
    return value == b"1"


def act(drive: Path, name: str, limit_s: float, report: Callable[[str], None]) -> str:
    """Copy an empty file that is an order to the probe, and wait as :func:`copy` does."""
    report(f"copy an empty file {name} to {drive}")
    return copy(drive, name, b"", limit_s)
