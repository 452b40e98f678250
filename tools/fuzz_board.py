"""Throws random programs and bus accesses at the virtual board, which must not crash or hang.

Run: python tools/fuzz_board.py [--seconds 600] [--seed 0] [--limit 15]

Six kinds of cases in turn: random bus accesses to all devices; random code; a broken ELF, HEX or
BIN file; random packets for the debugger; a random program of the accelerator; random accesses and
code with a time limit, waveforms and random faults. A case may end with an error of the package;
any other exception, or more than ``--limit`` seconds of processor time, is a failure, and its seed
is printed. Exit status 1 if there were failures.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.errors import Max78kError
from max78k.simulator.accelerator import Accelerator
from max78k.simulator.board import VirtualBoard
from max78k.simulator.disturbances import parse
from max78k.simulator.expect import End
from max78k.simulator.gdb import GdbServer
from max78k.simulator.serve import serve
from max78k.simulator.vcd import waveforms

VIRTUAL_SECONDS = 0.02
ACCESSES = 400
_BLOCKS = [
    value
    for name, value in vars(addresses).items()
    if name.isupper() and isinstance(value, int) and 0x4000_0000 <= value < 0x5100_0000
]
_PRIVATE = (0xE000_1000, 0xE000_E000)  # DWT; NVIC and system control
_VALUES = (0, 1, 3, 0x80, 0xFF, 0x8000_0000, 0xFFFF_FFFF, 0xA5, 0x5A)
_PROLOGUE = struct.pack("<2I", addresses.SRAM_BASE + addresses.SRAM_BYTES, 0x1000_0101)
_ENDLESS = b"\xfe\xe7"
_PACKETS = (
    *"?gGpPmMXcCsSZzHDk", "Z2,", "z3,", "Z4,2000", "m1000", "X1000", "P1", "qXfer:features:read:",
    "qXfer:memory-map:read::", "vFlashErase:1000", "vFlashWrite:1000", "vFlashDone", "vCont",
    "qRcmd,72657365", "qRcmd,70726573732053573120", "qSupported:", "j",
)  # fmt: skip
TIME_LIMIT, GRACE = 0.2, 4.0  # seconds of the host


def _image(code: bytes) -> bytes:
    """Flash content: a vector table whose handlers all lead to the code, and the code."""
    table = _PROLOGUE + struct.pack("<I", 0x1000_0101) * 62
    return table + code


def _boot(folder: Path, content: bytes) -> VirtualBoard:
    program = folder / "program"
    program.write_bytes(content)
    return VirtualBoard(program, seed=0)


def _address(source: random.Random) -> int:
    kind = source.random()
    if kind < 0.1:
        return source.choice(_PRIVATE) + source.randrange(0, 0x1000)
    if kind < 0.3:
        place = source.choice((0, 0x10, 0x8000, 0x1_0000, 0x8_0000, 0x30_0000))
        return addresses.quadrant(source.randrange(4)) + place + source.randrange(0, 0xA80)
    if kind < 0.302:
        return source.randrange(0x4000_0000, 0x5200_0000)  # mostly nothing: a bus fault
    return source.choice(_BLOCKS) + source.choice(
        (source.randrange(0x240), 4 * source.randrange(16))
    )


def _value(source: random.Random) -> int:
    return source.choice((*_VALUES, source.getrandbits(32), 1 << source.randrange(32)))


def bus_accesses(source: random.Random, folder: Path) -> None:
    """Loads and stores of all widths to the addresses of devices."""
    board = _boot(folder, _image(_accesses(source) + _ENDLESS))
    board.console.host_write(source.randbytes(20))
    board.run(VIRTUAL_SECONDS)


def _accesses(source: random.Random) -> bytes:
    """Code that turns all clocks on and makes many random accesses."""
    code = b""
    stores = [(0x4000_0024, 0), (0x4000_0048, 0), (0x4008_000C, 0), (0x4000_5800, 15)]
    stores += [(0x4000_5804, 15), (0x4000_580C, 0)]
    accesses = [(address, value, 0x6001) for address, value in stores]
    for _ in range(ACCESSES):
        operation = source.choice((0x6001, 0x6001, 0x6001, 0x6802, 0x7001, 0x7802, 0x8001, 0x8802))
        accesses.append((_address(source) & (~3 if operation in (0x6001, 0x6802) else ~1),
                         _value(source), operation))  # fmt: skip
    for address, value, operation in accesses:
        # movw, movt R0 and R1, then one access through R0 of R1 or R2
        code += _move(0, address) + _move(1, value) + struct.pack("<H", operation)
    return code


def _move(register: int, value: int) -> bytes:
    """MOVW and MOVT."""
    words = []
    for base, half in ((0xF240, value & 0xFFFF), (0xF2C0, value >> 16)):
        words.append(base | half >> 12 | (half >> 11 & 1) << 10)
        words.append((half >> 8 & 7) << 12 | register << 8 | half & 0xFF)
    return struct.pack("<4H", *words)


def random_code(source: random.Random, folder: Path) -> None:
    """Bytes that were never meant to be executed."""
    board = _boot(folder, _image(source.randbytes(source.choice((16, 200, 4000)))))
    board.run(VIRTUAL_SECONDS)


def broken_file(source: random.Random, folder: Path) -> None:
    """A program file with wrong bytes in it."""
    kind = source.randrange(3)
    if kind == 0:
        content = _elf(_image(_ENDLESS))
    elif kind == 1:
        content = bytearray(b":02000004100" + b"0EA\n:0800000000000220010100" + b"10C4\n")
    else:
        content = bytearray(_image(_ENDLESS))
    for _ in range(source.randrange(12)):
        content[source.randrange(len(content))] = source.randrange(256)
    del content[source.randrange(len(content)) if source.random() < 0.3 else len(content) :]
    _boot(folder, bytes(content)).run(VIRTUAL_SECONDS)


def _elf(image: bytes) -> bytearray:
    """A program with one segment, and a symbol table of one function."""
    names, strings = b"\0.symtab\0.strtab\0", b"\0main\0"
    symbols = bytes(16) + struct.pack("<IIIBBH", 1, 0x1000_0101, 2, 2, 0, 0)
    place = 84 + len(image)
    parts = ((b"", 0, 0, 0), (symbols, 1, 2, 16), (names, 9, 3, 0), (strings, 9, 3, 0))
    table, body = b"", b""
    for n, (part, name, kind, size) in enumerate(parts):
        link = 3 if n == 1 else 0
        table += struct.pack(
            "<10I", name, kind, 0, 0, place + len(body), len(part), link, 1, 1, size
        )
        body += part
    head = struct.pack(
        "<HHIIIIIHHHHHH", 2, 40, 1, 0x1000_0101, 52, place + len(body), 0x0500_0400,
        52, 32, 1, 40, len(parts), 2,
    )  # fmt: skip
    segment = struct.pack("<8I", 1, 84, 0x1000_0000, 0x1000_0000, len(image), len(image), 5, 4)
    return bytearray(b"\x7fELF\1\1\1" + bytes(9) + head + segment + image + body + table)


def debugger_packets(source: random.Random, folder: Path) -> None:
    """What a broken debugger may send."""
    board = _boot(folder, _image(_ENDLESS))
    server = GdbServer(board, 0)
    try:
        for _ in range(100):
            text = source.choice(_PACKETS) + "".join(
                source.choice("0123456789abcdef,:=;xyz}") for _ in range(source.randrange(12))
            )
            server._answer(text)
            board.debug.stopped = False
            board.run(1e-5)
    finally:
        server.close()


def accelerator_program(source: random.Random, folder: Path) -> None:
    """Layer registers that no compiler would write, and a run."""
    model = Accelerator(lambda message, address: None)
    model.set_power(15, 15, 0, 0)
    last = source.randrange(3)
    for quadrant in range(4):
        base = addresses.quadrant(quadrant)
        for register in cr.LAYER_REGISTERS:
            for layer in range(last + 1):
                word = _fields(source, register) if register.fields else source.getrandbits(32)
                model.write(base + register.offset + 4 * layer, word, 4)
        model.write(base + cr.LCNT_MAX.offset, cr.LCNT_MAX.pack(LAST=last), 4)
    enable = cr.CTL.field("CLK_EN").mask | cr.CTL.field("EN").mask
    streams = cr.CTL.field("STREAM").mask if source.random() < 0.3 else 0
    model.write(addresses.quadrant(0) + cr.CTL.offset, enable | streams, 4)
    model.run()


def _fields(source: random.Random, register: Register) -> int:
    """Most fields small or 0: only then is there anything to compute."""
    word = 0
    for field in register.fields:
        limit = source.choice((1, 1, 2, 4, 1 << field.width))
        word |= field.put(source.randrange(min(limit, 1 << field.width)))
    return word


def timed_run(source: random.Random, folder: Path) -> None:
    """A run as the command makes it, which must end in time."""
    code = _accesses(source) if source.random() < 0.5 else source.randbytes(4000)
    fault = source.choice(("", "brownout@1ms,camera-noise", "uart-flip=0.5", "hang@2ms"))
    program = folder / "program"
    program.write_bytes(_image(code + _ENDLESS))
    board = VirtualBoard(program, seed=0, disturbances=parse(fault))
    board.camera.show(np.zeros((3, 4, 4, 3), np.uint8))
    began = time.monotonic()
    with waveforms(folder / "run.vcd", board):
        serve(board, port=None, end=End("never printed", timeout=TIME_LIMIT))
    if time.monotonic() - began > TIME_LIMIT + GRACE:
        raise TimeoutError("the run did not end in time")


CASES: tuple[Callable[[random.Random, Path], None], ...] = (
    bus_accesses,
    random_code,
    broken_file,
    debugger_packets,
    accelerator_program,
    timed_run,
)


def run_case(seed: int, limit: float) -> str:
    """Run one case; returns what went wrong, or nothing."""
    case = CASES[seed % len(CASES)]
    began = time.process_time()  # other work on the machine does not count
    with tempfile.TemporaryDirectory() as folder:
        try:
            case(random.Random(seed), Path(folder))
        except Max78kError:
            pass  # a refusal, or the end of the firmware
        except Exception as error:
            return f"seed {seed} {case.__name__}: {type(error).__name__}: {error}"
    taken = time.process_time() - began
    return f"seed {seed} {case.__name__}: took {taken:.1f} s" if taken > limit else ""


def main() -> int:
    """Run cases until the time is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=15.0, help="processor seconds for one case")
    options = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + options.seconds
    seed, failures = options.seed, 0
    while time.monotonic() < end:
        faulthandler.dump_traceback_later(20 * options.limit, exit=True)
        failure = run_case(seed, options.limit)
        if failure:
            failures += 1
            print(failure, flush=True)
        seed += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{seed - options.seed} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
