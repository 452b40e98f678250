"""The pages of the serial protocol and of the registers, from their tables."""

from __future__ import annotations

import inspect
import re
import struct
from collections.abc import Iterator
from types import ModuleType

from markdown_tables import GENERATED, table

from max78k.chip import addresses, cnn_registers, io_registers, mcu_registers, signal_registers
from max78k.chip.registers import Register
from max78k.codegen.headers import LAYOUTS
from max78k.host import messages

_C_SIZES = {"B": "u8", "H": "u16", "I": "u32"}

_PROTOCOL_INTRODUCTION = f"""{GENERATED}
# Serial protocol

Protocol version {messages.PROTOCOL_VERSION}, spoken by the generated firmware, at first at
115200 baud, 8N1. Other programs may speak it; `max78k/host/framing.py` is a short example.

## Frames

A payload has {messages.MAX_PAYLOAD} bytes at most. A receiver that is lost waits for the next zero
byte.
"""


def protocol_page() -> str:
    """Frames, requests, statuses and layouts of the link."""
    text = inspect.getdoc(messages) or ""
    rules = [part.replace("``", "`") for part in text.split("\n\n")[2:]]
    lines = [_PROTOCOL_INTRODUCTION, "\n\n".join(rules), ""]
    lines += ["## Requests", "", "A reply has the type of its request plus 0x80.", ""]
    lines += table(("type", "name", "meaning"), _members(messages.Type, "0x{:02X}"))
    lines += ["", "## Status in a reply", ""]
    lines += table(("value", "name", "meaning"), _members(messages.Status, "{}"))
    lines += ["", "## Reset cause", ""]
    lines += table(("value", "name", "meaning"), _members(messages.ResetCause, "{}"))
    lines += ["", "## Layouts", "", "What follows a layout, if anything does, is data.", ""]
    lines += table(("payload", "bytes", "fields in order"), _layouts())
    rates = ", ".join(map(str, messages.BAUD_RATES))
    lines += ["", "## Rates", "", f"{rates} baud. `SET_BAUD` is answered at the old rate.", ""]
    lines += ["## Numbers", ""]
    names = ("DEFAULT_BAUD", "BAD_EVENTS_BEFORE_FALLBACK", "STREAM_RESULTS", "MAX_PAYLOAD")
    lines += table(("name", "value"), ((f"`{n}`", str(getattr(messages, n))) for n in names))
    lines += [""]
    return "\n".join(lines)


def _members(kind: type, number: str) -> Iterator[tuple[str, ...]]:
    """Values of an enumeration with the comments behind them."""
    pattern = re.compile(r"^ +(\w+) = (\w+)(?:  # (.*))?$", re.MULTILINE)
    for name, value, comment in pattern.findall(inspect.getsource(kind)):
        yield f"`{number.format(int(value, 0))}`", f"`{name}`", comment


def _layouts() -> Iterator[tuple[str, ...]]:
    for constant, _, names in LAYOUTS:
        layout: struct.Struct = getattr(messages, constant)
        items = re.findall(r"(\d*)([BHIs])", layout.format)
        kinds = []
        for count, kind in items:
            kinds += [f"{count} bytes"] if kind == "s" else [_C_SIZES[kind]] * int(count or 1)
        fields = ", ".join(
            f"`{name}` {kind}" for name, kind in zip(names.split(), kinds, strict=True)
        )
        yield f"`{constant}`", str(layout.size), fields


_REGISTERS_INTRODUCTION = f"""{GENERATED}
# Register map

The tables from which compiler, firmware and virtual board are made: what this project uses or
models, not all that the chip has. Offsets are from the block's base. Nothing here has been tried on
silicon by this project; names of the accelerator's registers are those of the public discussion.
"""


def registers_page() -> str:
    """Registers of the accelerator and of the microcontroller, with their fields."""
    lines = [_REGISTERS_INTRODUCTION, "## Accelerator: a quadrant", ""]
    lines += [
        f"Quadrant n has its base at 0x{addresses.QUADRANT_BASE:08X} + n * "
        f"0x{addresses.QUADRANT_STRIDE:X}.", "",
    ]  # fmt: skip
    lines += _registers(cnn_registers.GLOBAL_REGISTERS)
    lines += ["", "## Accelerator: a layer", "", "Layer n lies 4 * n bytes further.", ""]
    lines += _registers(cnn_registers.LAYER_REGISTERS)
    fifos = (cnn_registers.FIFO_CTL, cnn_registers.FIFO_STAT, *cnn_registers.FIFO_DATA)
    lines += ["", "## Accelerator: FIFOs", "", f"Base: 0x{addresses.CNN_FIFO:08X}.", ""]
    lines += _registers(fifos)
    for module in (mcu_registers, io_registers, signal_registers):
        for block, registers in _blocks(module).items():
            lines += ["", f"## {block}", "", f"Base: {_bases(block)}.", "", *_registers(registers)]
    return "\n".join(lines) + "\n"


def _blocks(module: ModuleType) -> dict[str, list[Register]]:
    blocks: dict[str, list[Register]] = {}
    for name, value in vars(module).items():
        for register in value if isinstance(value, tuple) else (value,):
            if isinstance(register, Register):
                block = blocks.setdefault(name.split("_")[0], [])
                block += [register] if register not in block else []
    return blocks


def _bases(block: str) -> str:
    instances = {
        name: base
        for name, base in vars(addresses).items()
        if isinstance(base, int) and re.fullmatch(rf"{block}\d?", name)
    }
    return ", ".join(f"{name} 0x{base:08X}" for name, base in instances.items())


def _registers(registers: tuple[Register, ...] | list[Register]) -> list[str]:
    rows = []
    for register in sorted(registers, key=lambda register: register.offset):
        fields = "; ".join(
            f"`{field.name}` {_bits(field.lsb, field.width)}{f': {field.doc}' if field.doc else ''}"
            for field in register.fields
        )
        rows.append((f"0x{register.offset:03X}", f"`{register.name}`", register.doc, fields))
    return table(("offset", "name", "holds", "fields"), rows)


def _bits(lsb: int, width: int) -> str:
    return f"[{lsb}]" if width == 1 else f"[{lsb + width - 1}:{lsb}]"
