"""``max78k doctor``: what is installed, what is missing, and what that means."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass

import click

from max78k.cli.terminal import emit, json_option


@dataclass(frozen=True)
class Need:
    """A module or program, and what does not work without it."""

    name: str
    for_what: str
    remedy: str


_MODULES = (
    Need("torch", "training, export of checkpoints", "pip install torch"),
    Need("onnxruntime", "the ONNX level of verify", "pip install onnxruntime"),
    Need("cv2", "reading pictures", "pip install opencv-python-headless"),
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
    Need("openocd", "flashing with --target openocd", "the vendor's OpenOCD"),
)


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check what max78k needs on this machine.

    \b
    Examples:
      max78k doctor
      max78k doctor --json
    """
    rows = [(need, importlib.util.find_spec(need.name) is not None) for need in _MODULES]
    rows += [(need, shutil.which(need.name) is not None) for need in _PROGRAMS]
    lines = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for need, found in rows:
        remedy = "" if found else f"  ({need.remedy})"
        lines.append(f"{'ok     ' if found else 'missing'} {need.name:<18} {need.for_what}{remedy}")
    data = {
        "python": sys.version.split()[0],
        "found": {need.name: found for need, found in rows},
    }
    emit("\n".join(lines), data, as_json)
