"""Finding a compiler for the Cortex-M4."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from max78k.errors import ToolError

ENVIRONMENT = "MAX78K_CC"
_GCC = "arm-none-eabi-gcc"
_GCC_FLAGS = (
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfloat-abi=hard",
    "-mfpu=fpv4-sp-d16",
    # Otherwise the loops in memcpy and memset may become calls of themselves.
    "-fno-tree-loop-distribute-patterns",
)
_ZIG_FLAGS = ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4+vfp4d16sp")


@dataclass(frozen=True)
class Compiler:
    """How to call a compiler.

    Attributes:
        name: for messages.
        command: program and leading arguments.
        machine: arguments that select the core.
        link: arguments for linking, before and after which nothing else is needed.
    """

    name: str
    command: tuple[str, ...]
    machine: tuple[str, ...]
    link: tuple[str, ...]

    @property
    def is_zig(self) -> bool:
        """Whether this is the compiler in the ziglang package, which keeps a cache folder."""
        return self.name == "zig"


def find_compiler(preferred: str | None = None) -> Compiler:
    """The compiler to use: ``preferred``, MAX78K_CC, arm-none-eabi-gcc, or the ziglang package.

    Args:
        preferred: a program of the GCC family for bare-metal Arm, or "zig".

    Raises:
        ToolError: E-BUILD-COMPILER, none is there or the one asked for is not.
    """
    asked = preferred or os.environ.get(ENVIRONMENT)
    if asked and asked != "zig":
        return _gcc(asked)
    if not asked and shutil.which(_GCC):
        return _gcc(_GCC)
    if importlib.util.find_spec("ziglang") is None:
        raise ToolError(
            "E-BUILD-COMPILER",
            "no compiler for the Cortex-M4 was found.",
            "pip install 'max78k[board]', or install arm-none-eabi-gcc.",
        )
    command = (sys.executable, "-m", "ziglang", "cc")
    return Compiler("zig", command, _ZIG_FLAGS, ("-fno-sanitize=all",))


def _gcc(program: str) -> Compiler:
    found = shutil.which(program)
    if found is None:
        raise ToolError(
            "E-BUILD-COMPILER",
            f"the compiler {program} was not found.",
            f"install it, or leave out --cc and {ENVIRONMENT} to use the one at hand.",
        )
    return Compiler(Path(found).name, (found,), _GCC_FLAGS, ("-nostdlib", "-static", "-lgcc"))
