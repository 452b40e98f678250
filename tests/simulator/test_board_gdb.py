"""The debugger's port, spoken to as GDB does."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from board_support import compiled

from max78k.simulator.board import VirtualBoard
from max78k.simulator.gdb import GdbServer
from max78k.simulator.program import read_program

ELF = ("hello", "VERDICT=PASS")


@contextmanager
def debugged(
    *program: str, options: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A board that waits for a debugger, and its TCP port."""
    command = [sys.executable, "-m", "max78k", "board", "run", str(compiled(*program))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*command, "--console", "--gdb", "0", *options], text=True, **pipes)
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


def monitor(gdb: Client, command: str) -> str:
    answer = gdb.ask("qRcmd," + command.encode().hex())
    return "" if answer == "OK" else bytes.fromhex(answer).decode()


def to_program(gdb: Client, symbols: dict[str, int]) -> None:
    """Past the start-up code, which clears the variables."""
    assert gdb.ask(f"Z1,{symbols['program']:x},2") == "OK"
    assert gdb.ask("c") == "S05"


@contextmanager
def session(
    *program: str, options: tuple[str, ...] = ()
) -> Iterator[tuple[Client, dict[str, int]]]:
    with debugged(*program, options=options) as (_, port):
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
        assert monitor(gdb, "reset") == ""
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
        wrong = "m mzz,4 M1,1:zz pff P5 Z0 G12 qRcmd,zz sxyz Z2,1 X10000000,zz vFlashErase:0,10"
        for packet in (*wrong.split(), "vFlashWrite:0:x"):
            assert gdb.ask(packet) in ("E01", "OK")
        assert gdb.register(15) == symbols["reset_handler"]


def test_watchpoints_stop_after_the_access_in_memory_and_devices():
    with session("misc") as (gdb, symbols):
        word = symbols["random_word"]
        to_program(gdb, symbols)
        assert gdb.ask(f"Z2,{word:x},4") == "OK"
        assert gdb.ask("c") == f"T05watch:{word:x};"
        assert gdb.word(word) != 0
        assert gdb.ask("?") == f"T05watch:{word:x};"
        assert gdb.ask(f"z2,{word:x},4") == "OK"
        assert gdb.ask(f"Z3,{symbols['pressed']:x},4") == "OK"
        assert gdb.ask("c") == f"T05rwatch:{symbols['pressed']:x};"
        assert gdb.ask(f"z3,{symbols['pressed']:x},4") == "OK"
        assert gdb.ask("Z4,4008041c,4") == "OK"
        gdb.send("c")
        time.sleep(0.2)  # until it waits for the button
        gdb.line.sendall(b"\x03")
        assert gdb.answer() == "S02"
        assert "SW1" in monitor(gdb, "press sw1")
        assert gdb.ask("c") == "T05awatch:4008041c;"
        assert gdb.word(symbols["pressed"]) == 1


def test_monitor_tells_what_the_board_offers():
    with session("misc") as (gdb, symbols):
        to_program(gdb, symbols)
        assert gdb.ask(f"Z2,{symbols['random_word']:x},4") == "OK"
        gdb.ask("c")
        assert "green on" in monitor(gdb, "leds") and "red off" in monitor(gdb, "leds")
        assert monitor(gdb, "findings") == "none\n"
        assert monitor(gdb, "current").startswith("estimate: ")
        assert monitor(gdb, "time").endswith("s since power-on\n")
        assert "monitor press" in monitor(gdb, "help")
        assert monitor(gdb, "frobnicate").startswith("monitor frobnicate is not known")
        assert monitor(gdb, "press X") == "one of SW1, SW2\n"


def test_floating_point_and_system_registers_have_numbers():
    with session("float") as (gdb, _):
        names = re.findall(r'reg name="(\w+)" bitsize="(\d+)" regnum="(\d+)"',
                           gdb.ask("qXfer:features:read:target.xml:0,ffff"))  # fmt: skip
        numbers = {name: (int(number), int(bits)) for name, bits, number in names}
        assert numbers["xpsr"] == (25, 32) and numbers["d15"][1] == 64 and "control" in numbers
        d3 = numbers["d3"][0]
        assert gdb.ask(f"P{d3:x}=000000000000f83f") == "OK"
        assert gdb.ask(f"p{d3:x}") == "000000000000f83f"
        msp = numbers["msp"][0]
        assert gdb.register(msp) == gdb.register(13)


def test_a_crash_stops_for_the_debugger_and_tells_why():
    with session("nohandler") as (gdb, _):
        gdb.send("c")
        text = gdb.answer()
        assert text[0] == "O" and "E-BOARD-HANDLER" in bytes.fromhex(text[1:]).decode()
        assert gdb.answer() == "S0b" and gdb.ask("?") == "S0b"
        assert len(gdb.ask("g")) == 17 * 8


def test_flash_is_erased_and_programmed_page_by_page():
    with session(*ELF, options=("--fault", "flash-fail=page63")) as (gdb, _):
        assert 'blocksize">0x2000' in gdb.ask("qXfer:memory-map:read::0,ffff")
        for page in (0x1007_C000, 0x1007_E000):
            assert gdb.ask(f"vFlashErase:{page:x},2000") == "OK"
            assert gdb.ask(f"vFlashWrite:{page:x}:ab}}\x03d") == "OK"
        assert gdb.ask("vFlashDone") == "OK"
        assert bytes.fromhex(gdb.ask("m1007c000,5")) == b"ab#d\xff"
        assert bytes.fromhex(gdb.ask("m1007e000,5")) == b"\xff" * 5
        assert gdb.ask("vFlashErase:20000000,2000") == "E01"


needs_gdb = pytest.mark.skipif(not shutil.which("gdb-multiarch"), reason="needs gdb-multiarch")


def gdb_arguments(port: int, elf: Path, *commands: str) -> list[str]:
    lines = ["set confirm off", f"target remote localhost:{port}", *commands]
    return [
        "gdb-multiarch",
        "-nx",
        "-batch",
        str(elf),
        *(x for line in lines for x in ("-ex", line)),
    ]


def gdb_session(*commands: str, program: tuple[str, ...] = ELF) -> str:
    with debugged(*program) as (_, port):
        done = subprocess.run(
            gdb_arguments(port, compiled(*program), *commands),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    return done.stdout + done.stderr


@needs_gdb
def test_gdb_itself_finds_its_way():
    text = gdb_session("break put_line", "continue", "backtrace", "info registers pc", "stepi",
                       "p $d0", "info registers msp control", "monitor help", "detach")  # fmt: skip
    assert "Breakpoint 1, " in text and "put_line" in text
    assert "in reset_handler" in text  # the backtrace
    assert "msp " in text and "control " in text and "monitor press" in text
    assert "Cannot" not in text and "detached" in text


@needs_gdb
def test_gdb_itself_watches_loads_and_reads_devices():
    text = gdb_session(
        "load", "compare-sections", "break program", "continue",
        "watch *(unsigned*)&lines", "continue",
        "x/1xw 0x40042010", "delete", "monitor reset",
        "maintenance flush register-cache", "info registers pc",
    )  # fmt: skip
    assert "Loading section .text" in text and "MIS-MATCHED" not in text and "matched." in text
    assert "Hardware watchpoint 2" in text and "New value = 1" in text
    assert re.search(r"0x40042010:\s+0x00000040", text)  # the divisor of the UART's clock
    assert re.search(r"pc +0x\w+ +0x\w+ <reset_handler", text)


@needs_gdb
def test_gdb_itself_interrupts_and_shows_a_crash():
    with debugged("heartbeat") as (board, port):
        gdb = subprocess.Popen(
            gdb_arguments(port, compiled("heartbeat"), "continue", "info registers pc"),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert board.stdout.read(5) == "....."
        gdb.send_signal(signal.SIGINT)
        text = gdb.communicate(timeout=60)[0]
    assert "SIGINT" in text and re.search(r"pc +0x1000", text)
    text = gdb_session("continue", "backtrace", program=("nohandler",))
    assert "E-BOARD-HANDLER" in text and "SIGSEGV" in text
    assert "signal handler called" in text and "culprit" in text


def test_a_debugger_that_leaves_before_its_answers_is_let_go():
    """What it had sent is not carried out any more: nobody is there to take back a breakpoint."""
    server = GdbServer(VirtualBoard(compiled("hello"), seed=1), 0)
    try:
        for packets in (b"$?#00" * 8, b"$?#3f" * 8 + b"$c#63"):
            with socket.create_connection(("127.0.0.1", server.port), 20) as line:
                server.serve()
                line.sendall(packets)
            while server.descriptors != [server._listener.fileno()]:
                server.serve()
            assert not server._received
    finally:
        server.close()
