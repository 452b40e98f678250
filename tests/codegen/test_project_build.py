"""Compiling a project with each compiler that is at hand."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from tiny_image import tiny_image

from max78k.chip import addresses
from max78k.codegen.build import build
from max78k.codegen.program_files import Segment, plain_binary
from max78k.codegen.project import write_project
from max78k.codegen.toolchain import find_compiler
from max78k.errors import InputError, ToolError
from max78k.host.intel_hex import intel_hex

GCC = "arm-none-eabi-gcc"


@pytest.fixture(params=["zig", GCC])
def compiler(request):
    if request.param == GCC and shutil.which(GCC) is None:
        pytest.skip(f"{GCC} is not installed")
    if request.param == "zig":
        pytest.importorskip("ziglang")
    pytest.importorskip("elftools")
    return find_compiler(request.param)


def read_hex(text):
    """Bytes by address, with every checksum tested."""
    memory, upper = {}, 0
    lines = text.split("\n")
    assert lines.pop() == "" and lines[-1] == ":00000001FF"
    for line in lines:
        record = bytes.fromhex(line[1:])
        assert sum(record) & 0xFF == 0
        count, address, kind = record[0], int.from_bytes(record[1:3], "big"), record[3]
        data = record[4:-1]
        assert len(data) == count and address + count <= 0x10000
        if kind == 4:
            upper = int.from_bytes(data, "big") << 16
        elif kind == 0:
            memory.update({upper + address + n: byte for n, byte in enumerate(data)})
    return memory


def test_project_compiles_without_a_warning_and_gives_the_same_elf_anywhere(tmp_path, compiler):
    strict = replace(compiler, machine=(*compiler.machine, "-Werror"))
    first = build(write_project(tiny_image(), tmp_path / "a"), compiler=strict)
    second = build(write_project(tiny_image(), tmp_path / "deeper" / "b"), compiler=strict)
    assert first.elf.read_bytes() == second.elf.read_bytes()
    assert 4000 < first.text_bytes < 40_000
    assert first.bss_bytes > 2048  # the receive buffer at least

    binary = first.bin.read_bytes()
    memory = read_hex(first.hex.read_text())
    assert bytes(memory[addresses.FLASH_BASE + n] for n in range(len(binary))) == binary
    stack, reset = np.frombuffer(binary[:8], "<u4")
    assert stack == addresses.SRAM_BASE + addresses.SRAM_BYTES
    assert reset & 1 and addresses.FLASH_BASE < reset < addresses.FLASH_BASE + len(binary)
    vectors = np.frombuffer(binary, "<u4", 16 + addresses.IRQ_COUNT)
    # the console and its two channels of the DMA, the accelerator, the fault handler for the rest
    assert len(set(vectors[16:])) == 5


def test_compiler_message_is_shown(tmp_path, compiler):
    project = write_project(tiny_image(), tmp_path / "p")
    (project / "src" / "mine.c").write_text("int broken( { return 1; }\n")
    with pytest.raises(ToolError) as caught:
        build(project, compiler=compiler)
    assert caught.value.code == "E-BUILD-FAILED"
    assert "mine.c:1" in str(caught.value)
    assert not (project / "build" / "firmware.elf").exists()


def test_program_outside_the_flash_is_refused_and_leaves_nothing(tmp_path, compiler):
    project = write_project(tiny_image(), tmp_path / "p")
    script = project / "src" / "max78000.ld"
    script.write_text(script.read_text().replace("ORIGIN = 0x10000000", "ORIGIN = 0x00100000"))
    with pytest.raises(ToolError, match="E-BUILD-ADDRESS"):
        build(project, compiler=compiler)
    assert not [path for path in (project / "build").iterdir() if path.is_file()]


def test_program_that_does_not_fit_is_refused(tmp_path, compiler):
    project = write_project(tiny_image(), tmp_path / "p")
    (project / "src" / "mine.c").write_text(
        "#include <stdint.h>\n"
        '__attribute__((section(".vectors"))) const uint8_t large[600000] = {1};\n'
    )
    with pytest.raises(ToolError, match="E-BUILD-FAILED") as caught:
        build(project, compiler=compiler)
    assert "fewer weights" in caught.value.hint


def test_make_builds_the_same_program(tmp_path):
    if shutil.which(GCC) is None or shutil.which("make") is None:
        pytest.skip(f"make or {GCC} is not installed")
    project = write_project(tiny_image(), tmp_path / "p")
    expected = build(project, compiler=find_compiler(GCC)).bin.read_bytes()
    shutil.rmtree(project / "build")
    subprocess.run(["make", "-s"], cwd=project, check=True)
    assert (project / "build" / "firmware.bin").read_bytes() == expected


def test_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(InputError, match="E-BUILD-PROJECT"):
        build(tmp_path)
    (tmp_path / "project.mk").write_text("")
    with pytest.raises(InputError, match="MAXIM_PATH"):
        build(tmp_path)


def test_missing_compiler_is_told(monkeypatch, tmp_path):
    with pytest.raises(ToolError, match="E-BUILD-COMPILER"):
        find_compiler("no-such-gcc")
    monkeypatch.setenv("MAX78K_CC", "no-such-gcc")
    with pytest.raises(ToolError, match="no-such-gcc"):
        find_compiler()
    monkeypatch.delenv("MAX78K_CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="E-BUILD-COMPILER"):
        find_compiler()


def test_hex_records_do_not_cross_64_kib_and_gaps_are_filled_as_erased_flash():
    segments = [Segment(0x1000_FFF8, bytes(range(32))), Segment(0x1001_0020, b"\x55")]
    memory = read_hex(intel_hex((one.load_address, one.content) for one in segments))
    assert bytes(memory[0x1000_FFF8 + n] for n in range(32)) == bytes(range(32))
    assert memory[0x1001_0020] == 0x55 and len(memory) == 33
    assert plain_binary(segments) == bytes(range(32)) + b"\xff" * 8 + b"\x55"
