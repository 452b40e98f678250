"""Exceptions of the ARMv7-M: pending, priority, entry and return, as the architecture defines them.

Numbers are exception numbers: 2 NMI, 3 HardFault, ... 15 SysTick, 16 + n external interrupt n.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from max78k.chip import addresses
from max78k.simulator.cpu import Cpu

NMI, HARD_FAULT, MEM_FAULT, BUS_FAULT, USAGE_FAULT = 2, 3, 4, 5, 6
SUPERVISOR_CALL, PEND_SV, SYS_TICK, EXTERNAL = 11, 14, 15, 16
COUNT = EXTERNAL + addresses.IRQ_COUNT
PRIORITY_MASK = 0xE0  # three bits of priority are implemented
THREAD_PRIORITY = 0x100
ENTRY_CYCLES = 12
RETURN_CYCLES = 10
CHAIN_CYCLES = 6  # from one handler to the next, instead of a return and an entry
UNACKNOWLEDGED = 100  # returns in a row with the line still high

_FIXED_PRIORITY = {NMI: -2, HARD_FAULT: -1}
_ALWAYS_ENABLED = (NMI, HARD_FAULT, SUPERVISOR_CALL, 12, PEND_SV, SYS_TICK)
_BASIC_FRAME = ("R0", "R1", "R2", "R3", "R12", "LR")
_MASKS = ("BASEPRI", "PRIMASK", "FAULTMASK")
_FP_FRAME = (*(f"S{n}" for n in range(16)), "FPSCR")
_FP_BYTES = 72
_FPCA = 4
_SPSEL = 2
_ALIGNED = 1 << 9  # in the stacked XPSR: the frame was moved down by 4 bytes
_THUMB = 1 << 24

# Configurable fault status register.
INSTRUCTION_BUS, PRECISE_BUS, BUS_ADDRESS_VALID = 1 << 8, 1 << 9, 1 << 15
DATA_ACCESS, MEMORY_ADDRESS_VALID = 1 << 1, 1 << 7
STACKING_BUS = 1 << 12
UNDEFINED_INSTRUCTION, INVALID_STATE, INVALID_RETURN = 1 << 16, 1 << 17, 1 << 18
VECTOR_FAULT, FORCED, DEBUG_EVENT = 1 << 1, 1 << 30, 1 << 31  # hard fault status register


class Lockup(Exception):
    """A fault in the handler of the last resort: the core stands still until a reset."""


class Exceptions:
    """Pending and active exceptions of one core.

    Attributes:
        vtor: address of the vector table.
        cfsr, hfsr, bfar, mmfar: fault status.
        event: the event register that WFE waits for.
        entry: address of the last handler entered, from the vector table.
        on_change: called with an exception's number and True at its entry, False at its return.
        on_line: called with an external interrupt's number and the new level of its line.
        stack_limit: lowest address of the main stack.
        on_overflow: called with an address below it when registers are to be stacked there.
        on_unacknowledged: called with the number of an exception whose handler has returned again
            and again without its line having been low.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._masks = cpu.bank(_MASKS)
        self._interrupted = cpu.bank((*_BASIC_FRAME, "PC", "XPSR", "SP", "CONTROL"))
        self._entered = cpu.bank(("SP", "CONTROL", "XPSR", "LR", "PC"))
        self._leaving = cpu.bank(("PC", "CONTROL", "MSP", "PSP", "FAULTMASK"))
        self._returned = cpu.bank(("FAULTMASK", "XPSR", "CONTROL", "SP", *_BASIC_FRAME, "PC"))
        self.on_change: Callable[[int, bool], None] = lambda number, entered: None
        self.on_line: Callable[[int, bool], None] = lambda irq, level: None
        self.stack_limit = 0
        self.on_overflow: Callable[[int], None] = lambda address: None
        self.on_unacknowledged: Callable[[int], None] = lambda number: None
        self._floats = cpu.bank(_FP_FRAME)
        self.reset()

    def reset(self) -> None:
        """The state after any reset of the core."""
        self.vtor = addresses.FLASH_BASE
        self.enabled = bytearray(COUNT)
        for number in _ALWAYS_ENABLED:
            self.enabled[number] = 1
        self.priority = bytearray(COUNT)
        self.group_mask = PRIORITY_MASK
        self.pending: set[int] = set()
        self.active: list[int] = []
        self.levels = bytearray(COUNT)
        self._still_high = [0] * COUNT  # returns since the line was low
        self.cfsr = self.hfsr = self.bfar = self.mmfar = 0
        self.event = False
        self.sleep_on_exit = False
        self.event_on_pending = False
        self.entry = 0

    # -- requests

    def set_level(self, irq: int, level: bool) -> None:
        """Drive an external interrupt line; a rising line makes the interrupt pending."""
        number = EXTERNAL + irq
        if level == self.levels[number]:
            return
        self.levels[number] = level
        self.on_line(irq, level)
        if level:
            self.set_pending(number)
        else:
            self._still_high[number] = 0

    def set_pending(self, number: int) -> None:
        """Make an exception pending."""
        if number not in self.pending:
            self.pending.add(number)
            self.event |= self.event_on_pending
            self._cpu.end_slice()

    def clear_pending(self, number: int) -> None:
        """Take back a request; a line that is still high stays pending."""
        if not self.levels[number]:
            self.pending.discard(number)

    # -- priorities

    def _priority(self, number: int) -> int:
        fixed = _FIXED_PRIORITY.get(number)
        return self.priority[number] & PRIORITY_MASK if fixed is None else fixed

    def _group(self, number: int) -> int:
        fixed = _FIXED_PRIORITY.get(number)
        return self.priority[number] & self.group_mask if fixed is None else fixed

    def _active_priority(self) -> int:
        if not self.active:
            return THREAD_PRIORITY
        return min(self._group(number) for number in self.active)

    def _current_priority(self) -> int:
        """Priority of what runs now, raised by BASEPRI, PRIMASK and FAULTMASK."""
        priority = self._active_priority()
        basepri, primask, faultmask = self._masks.read()
        if faultmask & 1:
            return min(priority, -1)
        if primask & 1:
            return min(priority, 0)
        basepri &= self.group_mask
        return min(priority, basepri) if basepri else priority

    def candidate(self) -> int | None:
        """The pending, enabled exception of the highest priority."""
        if not self.pending:
            return None
        if len(self.pending) == 1:
            (number,) = self.pending
            return number if self.enabled[number] else None
        ready = [number for number in self.pending if self.enabled[number]]
        return min(ready, key=lambda number: (self._priority(number), number), default=None)

    @property
    def wakes(self) -> bool:
        """True when something pending ends WFI, for which the mask registers do not count."""
        if not self.pending:
            return False
        number = self.candidate()
        return number is not None and self._group(number) < self._active_priority()

    # -- entry and return

    def enter_pending(self, cycles: int = ENTRY_CYCLES) -> int | None:
        """Enter the highest pending exception if it may preempt; returns its number."""
        number = self.candidate()
        if number is None or self._group(number) >= self._current_priority():
            return None
        self.pending.discard(number)
        self.enter(number, cycles)
        return number

    def raise_fault(self, number: int, cfsr: int = 0, hfsr: int = 0, address: int = 0) -> int:
        """Take a synchronous fault, as HardFault where its own handler may not run.

        Returns the number of the exception entered. Raises Lockup inside HardFault or NMI.
        """
        self.cfsr |= cfsr
        self.hfsr |= hfsr
        if cfsr & BUS_ADDRESS_VALID:
            self.bfar = address
        if cfsr & MEMORY_ADDRESS_VALID:
            self.mmfar = address
        current = self._current_priority()
        if number != HARD_FAULT and (not self.enabled[number] or self._group(number) >= current):
            self.hfsr |= FORCED
            number = HARD_FAULT
        if self._group(number) >= current:
            raise Lockup
        self.enter(number)
        return number

    def handler(self, number: int) -> int:
        """Address in the vector table, 0 where there is no table."""
        try:
            return self._cpu.word(self.vtor + 4 * number)
        except LookupError:
            return 0

    def enter(self, number: int, cycles: int = ENTRY_CYCLES) -> None:
        """Stack the registers and go to the handler; raises Lockup if the stack is not memory."""
        cpu = self._cpu
        *basic, pc, xpsr, stack, control = self._interrupted.read()
        with_fp = bool(control & _FPCA)
        stack -= 32 + (_FP_BYTES if with_fp else 0)
        moved = stack & 4
        stack = (stack - moved) & 0xFFFF_FFFF
        if stack < self.stack_limit and (self.active or not control & _SPSEL):
            self.on_overflow(stack)
        stacked_xpsr = (xpsr & ~_ALIGNED) | (_ALIGNED if moved else 0)
        frame = struct.pack("<8I", *basic, pc & ~1, stacked_xpsr)
        if with_fp:
            frame += struct.pack("<17I4x", *self._floats.read())
        try:
            cpu.write_memory(stack, frame)
        except LookupError:
            self.cfsr |= STACKING_BUS
            raise Lockup from None
        link = 0xFFFF_FFF1 if self.active else (0xFFFF_FFFD if control & _SPSEL else 0xFFFF_FFF9)
        control &= ~_FPCA if self.active else ~(_FPCA | _SPSEL)
        link = link & ~0x10 if with_fp else link
        self.entry = self.handler(number)
        self._entered.write([stack, control, _THUMB | number, link, self.entry | 1])
        self.active.append(number)
        self.on_change(number, True)
        self.event = True
        cpu.stall(cycles)

    def leave(self) -> bool:
        """Carry out the exception return that the core stopped at; True if it is to sleep then.

        Its time, RETURN_CYCLES or CHAIN_CYCLES, is left to the caller. Raises Lockup on a return
        that does not fit the state.
        """
        cpu = self._cpu
        pc, control, msp, psp, faultmask = self._leaving.read()
        link = pc | 1
        number = self.active.pop() if self.active else 0
        to_handler = link & ~0x10 == 0xFFFF_FFE1
        if not number or to_handler != bool(self.active):
            self.cfsr |= INVALID_RETURN
            raise Lockup
        use_psp = link & 0xF == 0xD
        stack = psp if use_psp else msp
        with_fp = not link & 0x10
        size = 32 + (_FP_BYTES if with_fp else 0)
        try:
            frame = cpu.read_memory(stack, size)
        except LookupError:
            raise Lockup from None
        *values, pc, xpsr = struct.unpack("<8I", frame[:32])
        if not to_handler:
            control = control & ~_SPSEL | (_SPSEL if use_psp else 0)
        control = control & ~_FPCA | (_FPCA if with_fp else 0)
        stack += size + (4 if xpsr & _ALIGNED else 0)
        self._returned.write(
            [faultmask if number == NMI else 0, xpsr & ~_ALIGNED, control, stack, *values, pc | 1]
        )
        if with_fp:
            self._floats.write(list(struct.unpack("<17I4x", frame[32:])))
        if self.levels[number]:
            self._come_again(number)
        self.on_change(number, False)
        self.event = True
        return self.sleep_on_exit and not self.active

    def _come_again(self, number: int) -> None:
        """The line is high at the end of its handler."""
        self.pending.add(number)
        self._still_high[number] += 1
        if self._still_high[number] == UNACKNOWLEDGED:
            self.on_unacknowledged(number)
