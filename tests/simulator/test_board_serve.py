"""The board behind a pseudo-terminal, as a host program sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial
from board_support import compiled

from max78k.simulator.board import VirtualBoard
from max78k.simulator.expect import End
from max78k.simulator.pty import PseudoTerminal
from max78k.simulator.serve import serve

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals need a Unix system")


@contextmanager
def serving(elf: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A board in a process of its own, and the path of its port."""
    command = [sys.executable, "-m", "max78k.simulator", str(elf), *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    try:
        line = process.stdout.readline().split()
        yield process, line[1] if line[:1] == ["pty"] else ""
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def seconds_of_cpu(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_all_byte_values_pass_at_any_rate_over_several_connections(tmp_path: Path):
    link = tmp_path / "port"
    data = bytes(range(256)) * 3
    with serving(compiled("echo"), "--link", str(link)) as (process, path):
        assert link.resolve() == Path(path)
        for baud in (115200, 9600, 921600):
            with serial.Serial(str(link), baud, timeout=10) as port:
                port.write(data)
                assert port.read(len(data)) == bytes((byte + 1) & 0xFF for byte in data)
                for _ in range(5):
                    port.write(b"\x10")
                    assert port.read(1) == b"\x11"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not link.is_symlink()


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processor time is read from /proc"
)
def test_sleeping_firmware_costs_no_processor_time():
    with serving(compiled("echo")) as (process, path):
        with serial.Serial(path, timeout=10) as port:
            port.write(b"a")
            assert port.read(1) == b"b"
            before = seconds_of_cpu(process)
            time.sleep(1.0)
            assert seconds_of_cpu(process) - before < 0.05
            port.write(b"b")
            assert port.read(1) == b"c"


def test_timers_keep_step_with_the_host_while_nothing_else_happens():
    with serving(compiled("heartbeat")) as (_, path):
        with serial.Serial(path, timeout=10) as port:
            port.read(1)
            began = time.monotonic()
            assert port.read(5) == b"....."  # one every 100 ms
            assert 0.35 < time.monotonic() - began < 3.0


def test_ends_with_its_parent():
    with serving(compiled("echo"), "--stop-with-stdin") as (process, path):
        process.stdin.write("ignored\n")
        process.stdin.flush()
        with serial.Serial(path, timeout=10) as port:
            port.write(b"a")
            assert port.read(1) == b"b"
        process.stdin.close()
        assert process.wait(10) == 0


def test_crash_and_findings_go_to_standard_error():
    with serving(compiled("nohandler")) as (process, _):
        assert process.wait(10) == 2
        errors = process.stderr.read()
    assert "E-BOARD-UNMAPPED" in errors
    assert "E-BOARD-HANDLER" in errors and "PC in culprit" in errors
    assert "Traceback" not in errors


def test_unusable_file_and_link_are_refused(tmp_path: Path):
    with serving(tmp_path / "none.elf") as (process, path):
        assert process.wait(10) == 2 and not path
        assert process.stderr.read().startswith("E-BOARD-ELF")
    occupied = tmp_path / "file"
    occupied.write_text("precious")
    with serving(compiled("echo"), "--link", str(occupied)) as (process, path):
        assert process.wait(10) == 2 and not path
        assert process.stderr.read().startswith("E-BOARD-PTY")
    assert occupied.read_text() == "precious"


class Flood:
    """A port at which a host writes without end."""

    path = "flood"

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.write(self._write_end, b"x")
        self.reads = 0

    @property
    def descriptors(self) -> list[int]:
        return [self._read_end]

    def read(self) -> bytes:
        self.reads += 1
        assert self.reads < 1000, "nothing keeps the board from reading more and more"
        return bytes(4096)

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


def test_a_host_that_never_stops_writing_is_not_read_for_ever(tmp_path: Path):
    port = Flood()
    board = VirtualBoard(compiled("heartbeat"))
    serve(board, port=port, end=End(timeout=1.0))
    assert board.console.host_waiting < 100_000
    port.close()


def test_a_terminal_is_read_in_pieces_of_limited_size(monkeypatch: pytest.MonkeyPatch):
    port = PseudoTerminal()
    pieces = iter([bytes(4096)] * 1000)
    monkeypatch.setattr(os, "read", lambda *_: next(pieces))
    assert len(port.read()) < 100_000
    monkeypatch.undo()
    port.close()
