"""The debugger's port, spoken to as GDB does."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from board_support import compiled

from max78k.simulator.program import read_program

ELF = ("hello", "VERDICT=PASS")


@contextmanager
def debugged(*program: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A board that waits for a debugger, and its TCP port."""
    command = [sys.executable, "-m", "max78k", "board", "run", str(compiled(*program))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*command, "--console", "--gdb", "0"], text=True, **pipes)
    try:
        yield process, int(process.stderr.readline().rpartition(":")[2])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


class Client:
    """As much of GDB's remote protocol as the tests need."""

    def __init__(self, port: int) -> None:
        self.line = socket.create_connection(("127.0.0.1", port), 20)
        self.received = b""

    def send(self, packet: str) -> None:
        self.line.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())

    def answer(self) -> str:
        while not (match := re.search(rb"\$([^#]*)#(..)", self.received)):
            data = self.line.recv(4096)
            assert data, "the board has closed the connection"
            self.received += data
        self.received = self.received[match.end() :]
        assert int(match[2], 16) == sum(match[1]) & 0xFF
        self.line.sendall(b"+")
        return match[1].decode()

    def ask(self, packet: str) -> str:
        self.send(packet)
        return self.answer()

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def word(self, address: int) -> int:
        return int.from_bytes(bytes.fromhex(self.ask(f"m{address:x},4")), "little")


@contextmanager
def session(*program: str) -> Iterator[tuple[Client, dict[str, int]]]:
    with debugged(*program) as (_, port):
        client = Client(port)
        try:
            yield client, read_program(compiled(*program)).symbols
        finally:
            client.line.close()


def test_breakpoints_steps_registers_and_memory():
    with session(*ELF) as (gdb, symbols):
        assert "PacketSize" in gdb.ask("qSupported:multiprocess+")
        assert "m-profile" in gdb.ask("qXfer:features:read:target.xml:0,ffb")
        assert gdb.ask("?") == "S05"
        assert gdb.register(15) == symbols["reset_handler"]
        place = symbols["put_line"]
        assert gdb.ask(f"Z0,{place:x},2") == "OK"
        for lines in (0, 1):
            assert gdb.ask("c") == "S05"
            assert gdb.register(15) == place
            assert gdb.word(symbols["lines"]) == lines
        text = gdb.register(0)
        assert bytes.fromhex(gdb.ask(f"m{text:x},4")) == b"PASS"
        assert len(gdb.ask("g")) == 17 * 8
        assert gdb.ask("s") == "S05"
        assert place < gdb.register(15) <= place + 4
        assert gdb.ask("P5=78563412") == "OK" and gdb.register(5) == 0x12345678
        assert gdb.ask(f"M{symbols['lines']:x},4:2a000000") == "OK"
        assert gdb.word(symbols["lines"]) == 42
        assert gdb.word(0x4004_2010) == 64  # a register of the UART
        assert gdb.word(0x1000_0004) == symbols["reset_handler"] | 1
        assert gdb.ask("m60000000,4") == "E01"
        assert gdb.ask(f"z0,{place:x},2") == "OK"
        assert gdb.ask("vMustReplyEmpty") == ""


def test_interrupt_from_the_keyboard_and_reset():
    with session("echo") as (gdb, symbols):
        gdb.send("c")
        gdb.line.sendall(b"\x03")
        assert gdb.answer() == "S02"
        assert gdb.register(25) & 1 << 24  # XPSR: Thumb
        assert gdb.ask("qRcmd," + b"reset".hex()) == "OK"
        assert gdb.register(15) == symbols["reset_handler"]


def test_firmware_goes_on_when_the_debugger_has_left():
    with debugged(*ELF) as (process, port):
        gdb = Client(port)
        assert gdb.ask("D") == "OK"
        gdb.line.close()
        assert process.stdout.readline() == "known-answer test\n"


def test_rubbish_does_no_harm():
    with session(*ELF) as (gdb, symbols):
        gdb.line.sendall(b"rubbish$zz#00$m10000000#00$#00+++-")
        assert gdb.answer() == ""  # to the empty packet, whose checksum is right
        for packet in ("m", "mzz,4", "M1,1:zz", "pff", "P5", "Z0", "G12", "qRcmd,zz", "sxyz"):
            assert gdb.ask(packet) in ("E01", "OK")
        assert gdb.register(15) == symbols["reset_handler"]


@pytest.mark.skipif(not shutil.which("gdb-multiarch"), reason="needs gdb-multiarch")
def test_gdb_itself_finds_its_way():
    with debugged(*ELF) as (_, port):
        commands = [
            "set confirm off", f"target remote localhost:{port}", "break put_line", "continue",
            "backtrace", "info registers pc", "stepi", "detach",
        ]  # fmt: skip
        arguments = [part for command in commands for part in ("-ex", command)]
        done = subprocess.run(
            ["gdb-multiarch", "-nx", "-batch", str(compiled(*ELF)), *arguments],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert "Breakpoint 1, " in done.stdout and "put_line" in done.stdout, done
    assert "reset_handler" in done.stdout  # the backtrace
