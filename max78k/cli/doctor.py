"""``max78k doctor``: what is missing on this machine and the board, and how to mend it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from max78k.cli.terminal import emit, json_option
from max78k.errors import Max78kError

if TYPE_CHECKING:
    from max78k.host.ports import PortInfo

OK, MISSING, WRONG = "ok", "missing", "wrong"


@dataclass(frozen=True)
class Finding:
    """Something that was looked at; ``remedy`` is empty where nothing is to be done."""

    state: str
    name: str
    about: str
    remedy: str = ""


@dataclass(frozen=True)
class Need:
    """A module or program, and what does not work without it."""

    name: str
    for_what: str
    remedy: str


OLDEST, NEWEST = (3, 10), (3, 13)
_MODULES = (
    Need("torch", "training, export of checkpoints", "pip install torch"),
    Need("onnxruntime", "the ONNX level of verify", "pip install onnxruntime"),
    Need("cv2", "reading pictures", "pip install opencv-python-headless"),
    Need("serial", "talking to boards", "pip install pyserial"),
    Need("unicorn", "the virtual board", "pip install 'max78k[board]'"),
    Need("elftools", "the virtual board, HEX and BIN files", "pip install 'max78k[board]'"),
    Need("rich", "the virtual board's screen", "pip install 'max78k[board]'"),
    Need("vcd", "the virtual board's waveforms", "pip install 'max78k[board]'"),
    Need("ziglang", "building where there is no arm-none-eabi-gcc", "pip install 'max78k[board]'"),
    Need("optuna", "max78k search", "pip install 'max78k[search]'"),
    Need("tensorboard", "train-qat --tensorboard", "pip install 'max78k[tensorboard]'"),
)
_PROGRAMS = (
    Need("arm-none-eabi-gcc", "building (ziglang does it too)", "your system's Arm GCC package"),
    Need("gdb-multiarch", "debugging on the virtual board", "your system's package of that name"),
    Need("openocd", "flashing with --method openocd", "the vendor's OpenOCD"),
)


@click.command("doctor")
@click.option(
    "--port", envvar="MAX78K_PORT", help="Ask the board at this port; by default one that is found."
)
@json_option
@click.pass_context
def command(ctx: click.Context, port: str | None, as_json: bool) -> None:
    """Check this machine, the way to a board, and the board's firmware.

    \b
    Examples:
      max78k doctor
      max78k doctor --port /dev/ttyACM0
      max78k doctor --port sim --json

    Ends with status 2 if something that is there does not work. What is missing is no fault: not
    everybody needs everything.
    """
    findings = [_python(), *_modules(), *_programs(), _compiler()]
    findings += _way_to_a_board(port)
    lines = []
    for item in findings:
        remedy = f"  -> {item.remedy}" if item.remedy else ""
        lines.append(f"{item.state:<7} {item.name:<18} {item.about}{remedy}")
    data = {
        "python": sys.version.split()[0],
        "found": {item.name: item.state == OK for item in findings},
        "findings": [asdict(item) for item in findings],
    }
    emit("\n".join(lines), data, as_json)
    if any(item.state == WRONG for item in findings):
        ctx.exit(2)


def _python() -> Finding:
    about = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Finding(OK, "Python", about)
    span = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
    return Finding(WRONG, "Python", about, f"a virtual environment with Python {span}")


def _modules() -> Iterator[Finding]:
    for need in _MODULES:
        found = importlib.util.find_spec(need.name) is not None
        yield _need(need, found)


def _programs() -> Iterator[Finding]:
    for need in _PROGRAMS:
        yield _need(need, shutil.which(need.name) is not None)


def _need(need: Need, found: bool) -> Finding:
    return Finding(OK if found else MISSING, need.name, need.for_what, "" if found else need.remedy)


def _compiler() -> Finding:
    from max78k.codegen.toolchain import find_compiler

    return _tried("compiler", lambda: f"{find_compiler().name} is what `build` uses", MISSING)


def _tried(name: str, look: Callable[[], str], failed: str = WRONG) -> Finding:
    """What ``look`` says, or its error and hint."""
    try:
        return Finding(OK, name, look())
    except Max78kError as error:
        return Finding(failed, name, f"{error.code} {error.message}", error.hint)


def _way_to_a_board(port: str | None) -> Iterator[Finding]:
    """The ports, whether they may be opened, and the firmware at the other end."""
    if importlib.util.find_spec("serial") is None:
        return
    from max78k.host.ports import access_error, list_ports
    from max78k.host.usb_devices import UDEV_RULE, closed_probes

    boards = [found for found in list_ports() if found.likely_board]
    if not boards:
        yield Finding(
            MISSING, "board", "no MAX78000FTHR at USB",
            "a USB cable that carries data; a name with --port; `--port sim` needs no board",
        )  # fmt: skip
    for board in boards:
        yield _board(board)
    for found in boards if port is None else ():
        error = access_error(found.device)
        if error is not None:
            yield Finding(WRONG, "permission", f"{error.code} {error.message}", error.hint)
    for file in closed_probes():
        yield Finding(
            WRONG if shutil.which("openocd") else MISSING, "debugger",
            f"{file} may not be opened: OpenOCD does not reach the probe",
            f"put the line {UDEV_RULE} into /etc/udev/rules.d/60-daplink.rules, then "
            "`sudo udevadm control --reload`, and plug the board in again",
        )  # fmt: skip
    asked = port or (boards[0].device if len(boards) == 1 else None)
    if asked is not None:
        yield _tried("firmware", lambda: _firmware(asked))


def _board(board: PortInfo) -> Finding:
    serial_number = f", serial number {board.serial_number}" if board.serial_number else ""
    return Finding(OK, "board", f"{board.device}: {board.name}{serial_number}")


def _firmware(port: str) -> str:
    """Who answers at ``port``; raises the link's errors, which say why nobody does."""
    from max78k.host.messages import PROTOCOL_VERSION
    from max78k.host.session import connect

    with connect(port) as device:
        info = device.info
    return (
        f"{info.firmware}, protocol {info.protocol} (this max78k: {PROTOCOL_VERSION}), network "
        f"{info.network_name} ({info.network_id:08x}), {info.core_clock_hz // 1_000_000} MHz"
    )
