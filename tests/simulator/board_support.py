"""Compiles the programs in ``board_programs`` and looks into the memory of a board."""

from __future__ import annotations

import atexit
import functools
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("unicorn", reason="the virtual board needs unicorn")
pytest.importorskip("ziglang", reason="the test programs are compiled with ziglang")

from max78k.simulator.board import VirtualBoard

_PROGRAMS = Path(__file__).parent / "board_programs"
_FLAGS = (
    "-target thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp -ffreestanding -nostdlib "
    "-O2 -Wall -Wextra -Werror -Wl,-e,reset_handler"
).split()


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="max78k-board-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def compiled(name: str, *defines: str) -> Path:
    """ELF of ``board_programs/NAME.c``."""
    elf = _folder() / f"{name}{'-'.join(defines)}.elf"
    command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, *(f"-D{d}" for d in defines)]
    command += [f"-Wl,-T,{_PROGRAMS / 'board.ld'}", str(_PROGRAMS / "start.c")]
    command += [str(_PROGRAMS / f"{name}.c"), "-o", str(elf)]
    subprocess.run(command, check=True)
    return elf


class Board(VirtualBoard):
    """A board whose program's variables can be read by name."""

    def word(self, name: str, index: int = 0) -> int:
        return struct.unpack("<I", self.memory(self.symbol(name) + 4 * index, 4))[0]

    def float(self, name: str) -> float:
        return struct.unpack("<f", self.memory(self.symbol(name), 4))[0]

    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]


def board(name: str, *defines: str, **options: object) -> Board:
    """A board with one of the programs, at power-on."""
    return Board(compiled(name, *defines), **options)


def finished(name: str, *defines: str, seconds: float = 1.0, **options: object) -> Board:
    """A board that has run the program for a while."""
    it = board(name, *defines, **options)
    it.run(seconds)
    return it
