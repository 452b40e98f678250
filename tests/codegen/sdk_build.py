"""Compiles a project for the vendor's SDK against a stand-in of that SDK on our drivers."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from max78k.codegen.toolchain import find_compiler
from max78k.shipped_files import shipped_folder

STAND_IN = Path(__file__).parent / "sdk_stand_in"
_DRIVERS = ("boot.c", "clock.c", "memory.c", "timer.c", "uart.c")


def build_with_stand_in(project: Path, *flags: str, compiler: str | None = None) -> Path:
    """ELF of ``project``; every warning is an error."""
    firmware = shipped_folder("firmware")
    found = find_compiler(compiler)
    elf = project / "program.elf"
    include = [project, STAND_IN, firmware, firmware / "generated"]
    command = [
        *found.command, *found.machine, *shlex.split((firmware / "compile.flags").read_text()),
        "-Werror", *flags, *(f"-I{folder}" for folder in include),
        *(str(path) for path in sorted(project.glob("*.c"))),
        str(STAND_IN / "sdk.c"), *(str(firmware / name) for name in _DRIVERS),
        "-Wl,--wrap=main", "-Wl,--entry=reset_handler", "-Wl,--gc-sections",
        "-T", str(firmware / "max78000.ld"),
        *found.link, "-o", str(elf),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return elf
