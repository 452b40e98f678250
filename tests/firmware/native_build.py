"""Compiling the firmware's link server as a program of the host."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from max78k.codegen.project import write_project
from max78k.compiler.image import Image

Device = Callable[..., tuple[bytes, str]]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def _host_compiler(folder: Path) -> list[str]:
    """The host's C compiler with sanitizers if it has them, else the one in the ziglang wheel."""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    found = shutil.which("cc")
    if found:
        for options in (SANITIZE, ()):
            command = [found, *options, str(probe), "-o", str(folder / "probe")]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return [found, *options]
    pytest.importorskip("ziglang", reason="no C compiler for this machine")
    return [sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined"]


def compile_native(image: Image, folder: Path, driver: str) -> Path:
    """The link and the server for ``image`` with ``driver``, a file here, as a host program."""
    project = write_project(image, folder / "project")
    names = ("csi.c", "link.c", "output.c", "server.c", "stream.c")
    sources = [project / "src" / name for name in names]
    sources += sorted((project / "generated").glob("*.c"))
    return compile_sources(sources, [project / "src", project / "generated"], folder, driver)


def compile_sources(sources: list[Path], include: list[Path], folder: Path, driver: str) -> Path:
    """Files of the firmware with ``driver``, a file here, as a host program."""
    program = folder / Path(driver).stem
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    done = subprocess.run(
        [
            *_host_compiler(folder),
            *flags,
            *(f"-I{path}" for path in include),
            str(Path(__file__).with_name(driver)),
            *map(str, sources),
            "-o",
            str(program),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def compile_device(image: Image, folder: Path) -> Device:
    """The link server for ``image`` as a host program: (bytes, mode) -> (replies, messages)."""
    program = compile_native(image, folder, "native_device.c")

    def run(stream: bytes, mode: str = "server") -> tuple[bytes, str]:
        result = subprocess.run(
            [str(program), mode], input=stream, capture_output=True, timeout=60, check=False
        )
        messages = result.stderr.decode("utf-8", "replace")
        assert result.returncode == 0, messages
        return result.stdout, messages

    return run
