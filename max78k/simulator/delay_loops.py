"""Loops that do nothing but count a register down: what they have left to do can be computed.

Recognised are backward ``BNE`` loops of ``SUBS Rn, #k`` and any ``NOP``, as compilers and vendors'
headers write delays. Such a loop touches no memory, so that only time tells how far it has come.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from max78k.simulator.cpu import Cpu

_NOP = 0xBF00
_BNE, _BACKWARD = 0xD1, 0x80
_LONGEST_LOOP = 8  # instructions
_BEFORE = 2 * _LONGEST_LOOP  # bytes


@dataclass(frozen=True)
class DelayLoop:
    """A loop in memory: its counter, the step and the number of its instructions."""

    register: str
    step: int
    instructions: int


def _subtraction(word: int) -> tuple[int, int] | None:
    """Register and step of ``SUBS Rn, #k`` or ``SUBS Rn, Rn, #k``."""
    if word >> 11 == 0x07:
        return word >> 8 & 7, word & 0xFF
    if word >> 9 == 0x0F and word >> 3 & 7 == word & 7:
        return word & 7, word >> 6 & 7
    return None


def find_loop(code: tuple[int, ...], at: int) -> DelayLoop | None:
    """The delay loop whose first instruction is half-word ``at`` of ``code``."""
    found: tuple[int, int] | None = None
    for index in range(at, min(at + _LONGEST_LOOP, len(code))):
        word = code[index]
        if word >> 8 == _BNE and word & _BACKWARD:
            to_start = index + 2 + (word & 0xFF) - 0x100 == at
            if not (to_start and found and found[1]):
                return None
            return DelayLoop(f"R{found[0]}", found[1], index - at + 1)
        step = _subtraction(word)
        if step is not None and found is None:
            found = step
        elif word != _NOP:
            return None
    return None


def skip(cpu: Cpu, cycles: int) -> int:
    """Carry out at most ``cycles`` cycles of a delay loop that the core is in.

    Returns the cycles that were skipped, 0 if the program counter is not in such a loop. They are
    whole turns, so that the program counter stays; the last is left to the core, for the flags.
    """
    pc = cpu.get("PC")
    try:
        code = struct.unpack(f"<{2 * _LONGEST_LOOP}H", cpu.read_memory(pc - _BEFORE, 2 * _BEFORE))
    except LookupError:
        return 0
    for start in range(_LONGEST_LOOP, 0, -1):
        loop = find_loop(code, start)
        if loop is not None and start + loop.instructions > _LONGEST_LOOP:
            break
    else:
        return 0
    count = cpu.get(loop.register)
    turns = min(count // loop.step - 1, cycles // loop.instructions)
    if turns <= 0 or count % loop.step:
        return 0
    cpu.set(loop.register, count - turns * loop.step)
    return turns * loop.instructions
