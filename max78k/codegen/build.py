"""Compiling a C project to ELF, Intel HEX and plain binary."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from max78k.chip import addresses
from max78k.codegen.program_files import Segment, load_segments, plain_binary, section_sizes
from max78k.codegen.toolchain import Compiler, find_compiler
from max78k.errors import InputError, ToolError
from max78k.files import write_bytes, write_text
from max78k.host.intel_hex import intel_hex

_COMPILE_SECONDS = 600
_MESSAGE_LINES = 40


@dataclass(frozen=True)
class BuildResult:
    """Paths of the program in three formats, and its sizes.

    ``text_bytes`` is code and constants in flash, ``data_bytes`` initialized variables (in flash
    and RAM), ``bss_bytes`` RAM that begins as zeros, without the stack.
    """

    elf: Path
    hex: Path
    bin: Path
    text_bytes: int
    data_bytes: int
    bss_bytes: int


def build(project: Path, *, compiler: Compiler | None = None) -> BuildResult:
    """Compile ``project`` (see :func:`max78k.codegen.project.write_project`) into its ``build``.

    Raises:
        InputError: the folder holds no project.
        ToolError: there is no compiler, or it reports errors (they are in the message).
    """
    compiler = _ready(project, compiler)
    folder = project.resolve()
    output = folder / "build"
    output.mkdir(exist_ok=True)
    fresh = output / "firmware.elf.new"
    elf = output / "firmware.elf"
    try:
        _compile(folder, compiler, fresh)
        segments, sizes = load_segments(fresh), section_sizes(fresh)
        _require_flash(segments)
        fresh.replace(elf)
    finally:
        fresh.unlink(missing_ok=True)
    result_hex, result_bin = elf.with_suffix(".hex"), elf.with_suffix(".bin")
    write_text(result_hex, intel_hex((part.load_address, part.content) for part in segments))
    write_bytes(result_bin, plain_binary(segments))
    return BuildResult(elf, result_hex, result_bin, *sizes)


def planned_command(project: Path, *, compiler: Compiler | None = None) -> list[str]:
    """What :func:`build` would run in ``project``, without running it; raises the same errors."""
    compiler = _ready(project, compiler)
    folder = project.resolve()
    return compile_command(folder, compiler, folder / "build" / "firmware.elf")


def _ready(project: Path, compiler: Compiler | None) -> Compiler:
    """The compiler, if the folder holds a project."""
    if (project / "project.mk").is_file():
        raise InputError(
            "E-BUILD-PROJECT",
            f"{project} is a project for the chip vendor's SDK.",
            f"make -C {project} MAXIM_PATH=<folder of the SDK>",
        )
    if not (project / "src" / "compile.flags").is_file():
        raise InputError(
            "E-BUILD-PROJECT",
            f"{project} holds no C project.",
            "the folder that max78k synthesize has written.",
        )
    return compiler or find_compiler()


def compile_command(folder: Path, compiler: Compiler, output: Path) -> list[str]:
    """The command that makes ``output``; to be run in ``folder``. Paths in it are relative.

    The sources' order and the absence of absolute paths make the result depend on nothing but the
    files and the compiler.
    """
    sources = sorted(
        path.relative_to(folder).as_posix()
        for part in ("src", "generated")
        for path in (folder / part).glob("*.c")
    )
    flags = shlex.split((folder / "src" / "compile.flags").read_text("utf-8"))
    return [
        *compiler.command,
        *compiler.machine,
        *flags,
        f"-ffile-prefix-map={folder}=.",
        "-Isrc",
        "-Igenerated",
        *sources,
        "-Wl,--entry=reset_handler",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-T",
        "src/max78000.ld",
        *compiler.link,
        "-o",
        output.relative_to(folder).as_posix(),
    ]


def _compile(folder: Path, compiler: Compiler, output: Path) -> None:
    environment = dict(os.environ)
    if compiler.is_zig:
        # What depends on the project stays in it; the compiler's own run-time library is shared.
        environment["ZIG_LOCAL_CACHE_DIR"] = str(folder / "build" / "compiler-cache")
    command = compile_command(folder, compiler, output)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMPILE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(
            "E-BUILD-COMPILER", f"{compiler.name} could not be run: {error}.", ""
        ) from error
    if done.returncode != 0:
        report = "\n".join((done.stderr or done.stdout).strip().splitlines()[:_MESSAGE_LINES])
        full = "overflowed" in report
        hint = "a network with fewer weights or a smaller input." if full else ""
        raise ToolError("E-BUILD-FAILED", f"{compiler.name} reports:\n{report}", hint)


def _require_flash(segments: list[Segment]) -> None:
    end = addresses.FLASH_BASE + addresses.FLASH_BYTES
    for segment in segments:
        last = segment.load_address + len(segment.content)
        if not addresses.FLASH_BASE <= segment.load_address <= last <= end:
            raise ToolError(
                "E-BUILD-ADDRESS",
                f"the program has content at 0x{segment.load_address:08x}, outside the flash.",
                "leave the linker script as it was generated.",
            )
