"""Throws random programs and bus accesses at the virtual board, which must not crash or hang.

Run: python tools/fuzz_board.py [--seconds 600] [--seed 0] [--limit 15]

Five kinds of cases in turn: random bus accesses to all devices; random code; a broken ELF, HEX or
BIN file; random packets for the debugger; a random program of the accelerator. A case may end with
an error of the package; any other exception, or more than ``--limit`` seconds, is a failure, and
its seed is printed. Exit status 1 if there were failures.
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

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.chip.registers import Register
from max78k.errors import Max78kError
from max78k.simulator.accelerator import Accelerator
from max78k.simulator.board import VirtualBoard
from max78k.simulator.gdb import GdbServer

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
    """All clocks on, then loads and stores of all widths to the addresses of devices."""
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
    board = _boot(folder, _image(code + _ENDLESS))
    board.console.host_write(source.randbytes(20))
    board.run(VIRTUAL_SECONDS)


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
        content = bytearray(b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack(
            "<HHIIIIIHHHHHH", 2, 40, 1, 0x1000_0101, 52, 0, 0x0500_0400, 52, 32, 1, 40, 0, 0
        ) + struct.pack("<8I", 1, 84, 0x1000_0000, 0x1000_0000, 264, 264, 5, 4))  # fmt: skip
        content += _image(_ENDLESS)
    elif kind == 1:
        content = bytearray(b":02000004100" + b"0EA\n:0800000000000220010100" + b"10C4\n")
    else:
        content = bytearray(_image(_ENDLESS))
    for _ in range(source.randrange(12)):
        content[source.randrange(len(content))] = source.randrange(256)
    del content[source.randrange(len(content)) if source.random() < 0.3 else len(content) :]
    _boot(folder, bytes(content)).run(VIRTUAL_SECONDS)


def debugger_packets(source: random.Random, folder: Path) -> None:
    """What a broken debugger may send."""
    board = _boot(folder, _image(_ENDLESS))
    server = GdbServer(board, 0)
    try:
        for _ in range(100):
            letters = "?gGpPmMcsZzHDk" if source.random() < 0.8 else "qRcmd,vXj"
            text = source.choice(letters) + "".join(
                source.choice("0123456789abcdef,:=;xyz") for _ in range(source.randrange(12))
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


CASES: tuple[Callable[[random.Random, Path], None], ...] = (
    bus_accesses,
    random_code,
    broken_file,
    debugger_packets,
    accelerator_program,
)


def run_case(seed: int, limit: float) -> str:
    """Run one case; returns what went wrong, or nothing."""
    case = CASES[seed % len(CASES)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            case(random.Random(seed), Path(folder))
        except Max78kError:
            pass  # a refusal, or the end of the firmware
        except Exception as error:
            return f"seed {seed} {case.__name__}: {type(error).__name__}: {error}"
    taken = time.monotonic() - began
    return f"seed {seed} {case.__name__}: took {taken:.1f} s" if taken > limit else ""


def main() -> int:
    """Run cases until the time is over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=15.0, help="seconds for one case")
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
