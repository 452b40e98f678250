"""OpenOCD: finding it, the exact command lines, and what its messages mean."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from max78k.chip.addresses import FLASH_BASE
from max78k.errors import DeviceNotFoundError, InputError, Max78kError, ToolError
from max78k.host.diagnosis import printable

TIMEOUT_S = 180.0
SHOWN_LINES = 15
OUR_TARGET = Path(__file__).with_name("max78000.cfg")
_VENDOR_TARGET = "target/max78000.cfg"
_INTERFACE = "interface/cmsis-dap.cfg"
_SAID = "max78k:"  # begins what our commands have OpenOCD print
_PROGRAMS = ("openocd", "openocd.exe")

_UNLOCK = "`max78k unlock` helps with a part that cannot be reached"
# What OpenOCD prints, in lower case -> code, class, meaning, what to do; the first that fits.
MESSAGES: tuple[tuple[str, str, type[Max78kError], str, str], ...] = (
    ("unable to find a matching cmsis-dap", "E-FLASH-PROBE", DeviceNotFoundError,
     "OpenOCD finds no debug probe", "plug the board in; on Linux the rule for its USB device must"
     " let you open it: `max78k doctor`"),
    ("no cmsis-dap device found", "E-FLASH-PROBE", DeviceNotFoundError,
     "OpenOCD cannot open the debug probe", "close what else uses it"),
    ("libusb_error_access", "E-FLASH-PROBE", DeviceNotFoundError,
     "the system does not let you open the debug probe", "`max78k doctor` shows the missing rule"),
    ("cannot read idr", "E-FLASH-LOCKED", ToolError,
     "the probe cannot reach the MAX78000 by SWD", _UNLOCK),
    ("error connecting dp", "E-FLASH-LOCKED", ToolError,
     "the probe cannot reach the MAX78000 by SWD", _UNLOCK),
    ("timed out while waiting for target halted", "E-FLASH-LOCKED", ToolError,
     "the MAX78000 does not stop after a reset", _UNLOCK),
    ("can't find interface/", "E-FLASH-OPENOCD", ToolError,
     "OpenOCD does not find its scripts", "--scripts FOLDER, the one with interface/ and target/"),
    ("can't find target/", "E-FLASH-OPENOCD", ToolError,
     "OpenOCD does not find its scripts", "--scripts FOLDER, the one with interface/ and target/"),
    ("flash driver 'max32xxx' not found", "E-FLASH-OPENOCD", ToolError,
     "this OpenOCD cannot program the MAX78000", "OpenOCD 0.11 or later, or the vendor's"),
    ("checksum mismatch", "E-FLASH-VERIFY", ToolError,
     "the flash does not hold what was written", "check the supply, then try again"),
    ("contents differ", "E-FLASH-VERIFY", ToolError,
     "the flash does not hold what was written", "check the supply, then try again"),
)  # fmt: skip


@dataclass(frozen=True)
class OpenOcd:
    """An OpenOCD: the program, its scripts if they have to be named, and whose build it is.

    ``of_vendor``: it brings a target file for the MAX78000; any other gets ours.
    """

    program: str
    scripts: Path | None
    of_vendor: bool


def find_openocd(program: str | None, scripts: Path | None) -> OpenOcd | None:
    """The OpenOCD that is named, else the SDK's (``MAXIM_PATH``), else the one on PATH; or None."""
    sdk = os.environ.get("MAXIM_PATH", "")
    candidates = [program] if program else []
    if not program and sdk:
        candidates += [str(Path(sdk) / "Tools" / "OpenOCD" / name) for name in _PROGRAMS]
    if not program:
        candidates.append("openocd")
    for candidate in candidates:
        found = shutil.which(candidate)
        if found is None:
            continue
        folder = Path(found).resolve().parent
        beside = (folder / "scripts", folder.parent / "share" / "openocd" / "scripts")
        for place in (scripts,) if scripts else beside:
            if (place / _VENDOR_TARGET).is_file():
                return OpenOcd(found, place, of_vendor=True)
        return OpenOcd(found, scripts, of_vendor=False)
    return None


def required_openocd(program: str | None, scripts: Path | None) -> OpenOcd:
    """The same; raises ToolError ``E-FLASH-OPENOCD`` where there is none."""
    tool = find_openocd(program, scripts)
    if tool is None:
        raise ToolError(
            "E-FLASH-OPENOCD",
            f"the program {program or 'openocd'} is not there.",
            "install OpenOCD (the vendor's comes with the MSDK, whose folder MAXIM_PATH names), or"
            " use --method daplink",
        )
    return tool


def program_command(tool: OpenOcd, name: str, compare: bool, verify: bool) -> list[str]:
    """The command line that brings ``name``, a file of the flash's contents, into the chip."""
    if any(char in name for char in '{}"\\\n'):
        raise InputError(
            "E-FLASH-FILE", f"OpenOCD cannot take the path {name!r}.", "another folder for TMPDIR"
        )
    file = f"{{{name}}} 0x{FLASH_BASE:08x} bin"
    write = f"flash write_image erase {file}"
    if verify:
        write += f"; verify_image {file}"
    write += f"; echo {{{_SAID} written}}"
    if compare:
        write = (
            f"if {{[catch {{verify_image {file}}}]}} {{ echo {{{_SAID} differs}}; {write} }}"
            f" else {{ echo {{{_SAID} unchanged}} }}"
        )
    return [*_begin(tool), *_commands("init", "reset init", write, "reset run", "shutdown")]


def erase_command(tool: OpenOcd) -> list[str]:
    """The command line that erases the whole flash, with as little as possible before it."""
    halt = "if {[catch {reset halt}]} { halt }"
    return [*_begin(tool), *_commands("init", halt, "max32xxx mass_erase 0", "shutdown")]


def program(tool: OpenOcd, content: bytes, *, compare: bool, verify: bool) -> str:
    """Write ``content`` from the start of flash; returns what was confirmed.

    Raises the errors of MESSAGES, else ToolError ``E-FLASH-FAILED``.
    """
    with tempfile.TemporaryDirectory(prefix="max78k-") as folder:
        file = Path(folder) / "FIRMWARE.bin"
        file.write_bytes(content)
        said = run(program_command(tool, file.as_posix(), compare, verify))
    if f"{_SAID} unchanged" in said:
        return "unchanged: the flash held the same already; the board was reset"
    if f"{_SAID} written" not in said:
        raise ToolError(
            "E-FLASH-FAILED", "OpenOCD ended well without a word on the flash.", "--force"
        )
    return "programmed and verified" if verify else "programmed, not verified"


def run(command: list[str]) -> str:
    """What OpenOCD printed. Raises the errors of MESSAGES, else ToolError ``E-FLASH-FAILED``."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            "E-FLASH-FAILED", f"OpenOCD did not end within {TIMEOUT_S:g} s.", _UNLOCK
        ) from error
    except OSError as error:
        raise ToolError(
            "E-FLASH-OPENOCD", f"{command[0]}: {error.strerror}.", "is it an OpenOCD?"
        ) from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise _failure(done.returncode, done.stdout)
    return said


def shown(command: list[str]) -> str:
    """A command line as a person would type it."""
    return shlex.join(command)


def _begin(tool: OpenOcd) -> list[str]:
    scripts = ["-s", str(tool.scripts)] if tool.scripts else []
    target = _VENDOR_TARGET if tool.of_vendor else OUR_TARGET.as_posix()
    return [tool.program, *scripts, "-f", _INTERFACE, "-f", target]


def _commands(*commands: str) -> list[str]:
    return [part for command in commands for part in ("-c", command)]


def _failure(status: int, said: bytes) -> Max78kError:
    lines = [printable(line) for line in said.splitlines()[-SHOWN_LINES:]]
    text = "\n".join(f"  {line}" for line in lines)
    # What the comparison printed before is no failure.
    everything = said.decode("utf-8", "replace").lower().rpartition(f"{_SAID} differs")[2]
    for words, code, kind, meaning, hint in MESSAGES:
        if words in everything:
            return kind(code, f"{meaning}; OpenOCD ended with {status}:\n{text}\n", hint)
    return ToolError("E-FLASH-FAILED", f"OpenOCD ended with {status}:\n{text}\n", _UNLOCK)
