"""``max78k build``: C project to ELF, HEX and BIN."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import click

from max78k.cli.terminal import emit, json_option


@click.command("build")
@click.argument("project", type=click.Path(path_type=Path))
@click.option("--cc", "compiler", metavar="PROGRAM", help="Compiler to use instead of searching.")
@click.option("--dry-run", is_flag=True, help="Print the compiler's command, run nothing.")
@json_option
def command(project: Path, compiler: str | None, dry_run: bool, as_json: bool) -> None:
    """Compile the C project in folder PROJECT with the compiler at hand.

    \b
    Examples:
      max78k build fer7-firmware
      max78k build fer7-firmware --cc arm-none-eabi-gcc
      max78k build fer7-firmware --dry-run

    arm-none-eabi-gcc is used if it is on the PATH, otherwise the compiler in the ziglang package
    (`pip install 'max78k[board]'`). The results are in PROJECT/build.
    """
    from max78k.codegen.build import build, planned_command
    from max78k.codegen.toolchain import find_compiler

    if dry_run:
        words = planned_command(project, compiler=find_compiler(compiler))
        emit(shlex.join(words), {"command": words, "dry_run": True}, as_json)
        return
    result = build(project, compiler=find_compiler(compiler))
    text = (
        f"{result.elf}\n{result.hex}\n{result.bin}\n"
        f"flash {result.text_bytes + result.data_bytes:,} bytes, "
        f"RAM {result.data_bytes + result.bss_bytes:,} bytes"
    )
    emit(text, {key: _plain(value) for key, value in asdict(result).items()}, as_json)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
