"""Execution in slices: how long the core may run before somebody looks at the outside."""

from __future__ import annotations

from max78k.simulator import delay_loops
from max78k.simulator.clock import Clock
from max78k.simulator.cpu import Cpu, Halt, Stop
from max78k.simulator.exceptions import Exceptions

_SLICE_CYCLES = 100_000  # the longest run without a look at the outside: 1 ms at 100 MHz
# While an interrupt is held back, no hook tells of the unmasking: slices have one instruction at
# first, then an eighth of the time it has waited, up to a limit.
_MASKED_SHIFT, _LONGEST_MASKED_CYCLES = 3, 256
_SPIN_INSTRUCTIONS = 1000  # a slice of so many that used up its time may end in a delay loop
_AFTER_SKIP_CYCLES = 64  # to see whether the loop goes on
_CPSIE_I = 0xB662
_UNPRIVILEGED = 1  # CONTROL.nPRIV


class Slices:
    """Lets the core run up to the next event, and skips delay loops."""

    def __init__(self, cpu: Cpu, clock: Clock, exceptions: Exceptions) -> None:
        self._cpu, self._clock, self._exceptions = cpu, clock, exceptions
        self._unmasked = cpu.bank(("PRIMASK", "PC"))
        self._next_instruction = cpu.bank(("PC", "CONTROL", "PRIMASK"))
        self._masked_cycles = 0
        self._spinning = False

    def unmask(self) -> None:
        """Carry out a CPSIE that comes next, as it does after most WFI."""
        pc, control, primask = self._next_instruction.read()
        if not primask or control & _UNPRIVILEGED:
            return
        try:
            unmasks = self._cpu.halfword(pc) == _CPSIE_I
        except LookupError:
            return
        if unmasks:
            self._unmasked.write([0, pc + 2 | 1])
            self._cpu.stall(1)

    def run(self, end: int | None) -> Halt:
        """Run one slice, at most until ``end`` (femtoseconds)."""
        cycles = self._cycles(end)
        skipped = delay_loops.skip(self._cpu, cycles) if self._spinning else 0
        if skipped:
            self._cpu.pass_over(skipped)
            cycles = min(self._cycles(end), _AFTER_SKIP_CYCLES)
        if self._exceptions.wakes:
            cycles = min(cycles, (self._masked_cycles >> _MASKED_SHIFT) + 1, _LONGEST_MASKED_CYCLES)
            self._masked_cycles += cycles
        else:
            self._masked_cycles = 0
        self._clock.deadline = self._clock.now + cycles * self._clock.period
        self._cpu.close_slice()
        try:
            halt = self._cpu.run(cycles)
        finally:
            self._clock.settle()
            self._clock.deadline = 0
        instructions = self._cpu.count.value + skipped
        self._spinning = halt.stop is Stop.END and instructions > _SPIN_INSTRUCTIONS
        return halt

    def _cycles(self, end: int | None) -> int:
        now, period, time = self._clock.now, self._clock.period, self._clock.next_time
        if time is None or (end is not None and end < time):
            time = end
        if time is None:
            return _SLICE_CYCLES
        return min(max((time - now + period - 1) // period, 1), _SLICE_CYCLES)
