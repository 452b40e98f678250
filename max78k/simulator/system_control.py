"""The private peripherals of the core: NVIC, system control block, SysTick, DWT.

Addresses and fields are those of the ARMv7-M architecture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from max78k.simulator import mpu
from max78k.simulator.clock import Clock
from max78k.simulator.cpu import Cpu
from max78k.simulator.exceptions import (
    BUS_FAULT,
    COUNT,
    EXTERNAL,
    MEM_FAULT,
    NMI,
    PEND_SV,
    PRIORITY_MASK,
    SYS_TICK,
    USAGE_FAULT,
    Exceptions,
)
from max78k.simulator.mpu import MemoryProtection
from max78k.simulator.systick import CycleCounter, SysTick

BASE, SIZE = 0xE000_0000, 0x10_0000

_DWT_CTRL, _DWT_CYCCNT = 0x1000, 0x1004
_SYSTICK, _SYSTICK_END = 0xE010, 0xE020
_ISER, _ICER, _ISPR, _ICPR, _IABR, _IPR, _IPR_END = (
    0xE100, 0xE180, 0xE200, 0xE280, 0xE300, 0xE400, 0xE500,
)  # fmt: skip
_CPUID, _ICSR, _VTOR, _AIRCR, _SCR, _CCR = 0xED00, 0xED04, 0xED08, 0xED0C, 0xED10, 0xED14
_SHPR, _SHCSR, _CFSR, _HFSR, _MMFAR, _BFAR = 0xED18, 0xED24, 0xED28, 0xED2C, 0xED34, 0xED38
_CPACR, _DEMCR, _STIR = 0xED88, 0xEDFC, 0xEF00

_CPUID_VALUE = 0x410F_C241  # Cortex-M4 r0p1
_AIRCR_KEY, _AIRCR_READ_KEY = 0x05FA, 0xFA05_0000
_SYSRESETREQ, _PRIGROUP_SHIFT = 1 << 2, 8
_SLEEPONEXIT, SLEEPDEEP, _SEVONPEND = 1 << 1, 1 << 2, 1 << 4
_TRCENA = 1 << 24
_FPU_ENABLED = 0xF << 20
_FAULT_ENABLES = {16: MEM_FAULT, 17: BUS_FAULT, 18: USAGE_FAULT}
_PENDING_BITS = {31: NMI, 28: PEND_SV, 26: SYS_TICK}  # bits of ICSR that set
_CLEARING_BITS = {27: PEND_SV, 25: SYS_TICK}
_RESET_WORDS = {_CCR: 0x200, 0xEF34: 0xC000_0000}

# Registers whose bits act one by one; a narrow write to them touches its own lane alone.
_BITWISE = (*range(_ISER, _IABR, 4), _CFSR)


class SystemControl:
    """Word registers of the private peripheral bus.

    Args:
        request_reset: called when software asks for a system reset.
    """

    def __init__(
        self, cpu: Cpu, clock: Clock, exceptions: Exceptions, request_reset: Callable[[], None]
    ) -> None:
        self._cpu = cpu
        self._exceptions = exceptions
        self._request_reset = request_reset
        self.systick = SysTick(clock, lambda: exceptions.set_pending(SYS_TICK))
        self.cycle_counter = CycleCounter(clock)
        self._protection = MemoryProtection(cpu.guard)
        self.reset()

    def reset(self) -> None:
        """The state after any reset of the core."""
        self._words = dict(_RESET_WORDS)
        self.systick.reset()
        self.cycle_counter.reset()
        self._protection.reset()

    @property
    def sleep_deep(self) -> bool:
        """SCR.SLEEPDEEP."""
        return bool(self._words.get(_SCR, 0) & SLEEPDEEP)

    @property
    def fpu_enabled(self) -> bool:
        """CPACR gives full access to the floating-point unit."""
        return self._words.get(_CPACR, 0) & _FPU_ENABLED == _FPU_ENABLED

    # -- bus

    def read(self, address: int, size: int) -> int:
        """Read 1, 2 or 4 bytes."""
        value = self._read(address - BASE & ~3) >> 8 * (address & 3)
        return value & ((1 << 8 * size) - 1)

    def write(self, address: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 bytes."""
        offset, shift = address - BASE & ~3, 8 * (address & 3)
        if size < 4:
            mask = ((1 << 8 * size) - 1) << shift
            kept = 0 if offset in _BITWISE else self._read(offset) & ~mask
            value = kept | (value << shift & mask)
        self._write(offset, value)

    # -- registers

    def _read(self, offset: int) -> int:
        unit = self._exceptions
        if _SYSTICK <= offset < _SYSTICK_END:
            return self.systick.read(offset - _SYSTICK)
        if mpu.BASE <= offset < mpu.END:
            return self._protection.read(offset)
        if _ISER <= offset < _IPR:
            return self._irq_bits(offset)
        if _IPR <= offset < _IPR_END:
            return self._priorities(EXTERNAL + offset - _IPR)
        if _SHPR <= offset < _SHCSR:
            return self._priorities(4 + offset - _SHPR)
        if offset == _SHCSR:
            return sum(1 << bit for bit, n in _FAULT_ENABLES.items() if unit.enabled[n])
        if offset == _ICSR:
            return self._read_icsr()
        computed = {
            _CPUID: _CPUID_VALUE,
            _VTOR: unit.vtor,
            _AIRCR: _AIRCR_READ_KEY | self._words.get(_AIRCR, 0),
            _CFSR: unit.cfsr,
            _HFSR: unit.hfsr,
            _MMFAR: unit.mmfar,
            _BFAR: unit.bfar,
        }
        if offset == _DWT_CYCCNT:
            return self.cycle_counter.value
        value = computed.get(offset)
        return self._words.get(offset, 0) if value is None else value

    def _write(self, offset: int, value: int) -> None:
        unit = self._exceptions
        if _SYSTICK <= offset < _SYSTICK_END:
            self.systick.write(offset - _SYSTICK, value)
        elif mpu.BASE <= offset < mpu.END:
            self._protection.write(offset, value)
        elif _ISER <= offset < _IABR:
            self._write_irq_bits(offset, value)
        elif _IPR <= offset < _IPR_END:
            self._set_priorities(EXTERNAL + offset - _IPR, value)
        elif _SHPR <= offset < _SHCSR:
            self._set_priorities(4 + offset - _SHPR, value)
        elif offset == _CFSR:
            unit.cfsr &= ~value
        elif offset == _HFSR:
            unit.hfsr &= ~value
        elif offset in self._writers:
            self._writers[offset](self, value)
        else:
            self._words[offset] = value

    def _irq_range(self, offset: int) -> range:
        first = EXTERNAL + (offset & 0x7F) * 8
        return range(first, min(first + 32, COUNT))

    def _irq_bits(self, offset: int) -> int:
        unit, numbers = self._exceptions, self._irq_range(offset)
        register = offset & ~0x7F
        if register in (_ISER, _ICER):
            chosen = [n for n in numbers if unit.enabled[n]]
        elif register in (_ISPR, _ICPR):
            chosen = [n for n in numbers if n in unit.pending]
        else:
            chosen = [n for n in numbers if n in unit.active]
        return sum(1 << n - numbers.start for n in chosen)

    def _write_irq_bits(self, offset: int, value: int) -> None:
        unit, register = self._exceptions, offset & ~0x7F
        numbers = self._irq_range(offset)
        for n in (n for n in numbers if value >> n - numbers.start & 1):
            if register == _ISER:
                unit.enabled[n] = 1
            elif register == _ICER:
                unit.enabled[n] = 0
            elif register == _ISPR:
                unit.set_pending(n)
            else:
                unit.clear_pending(n)
        self._cpu.end_slice()

    def _priorities(self, first: int) -> int:
        chosen = self._exceptions.priority[first : first + 4]
        return int.from_bytes(chosen, "little")

    def _set_priorities(self, first: int, value: int) -> None:
        priority = self._exceptions.priority
        for n in range(first, min(first + 4, COUNT)):
            priority[n] = value >> 8 * (n - first) & PRIORITY_MASK
        self._cpu.end_slice()

    def _read_icsr(self) -> int:
        unit = self._exceptions
        word = (unit.active[-1] if unit.active else 0) | (unit.candidate() or 0) << 12
        word |= (1 << 22) if any(n >= EXTERNAL for n in unit.pending) else 0
        word |= (1 << 11) if len(unit.active) <= 1 else 0
        return word | sum(1 << bit for bit, n in _PENDING_BITS.items() if n in unit.pending)

    def _write_icsr(self, value: int) -> None:
        for bit, number in _PENDING_BITS.items():
            if value >> bit & 1:
                self._exceptions.set_pending(number)
        for bit, number in _CLEARING_BITS.items():
            if value >> bit & 1:
                self._exceptions.clear_pending(number)

    def _write_vtor(self, value: int) -> None:
        self._exceptions.vtor = value & 0xFFFF_FF80

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _AIRCR_KEY:
            return
        group = value >> _PRIGROUP_SHIFT & 7
        self._words[_AIRCR] = group << _PRIGROUP_SHIFT
        self._exceptions.group_mask = PRIORITY_MASK & (0xFF << group + 1)
        if value & _SYSRESETREQ:
            self._request_reset()

    def _write_scr(self, value: int) -> None:
        self._words[_SCR] = value
        self._exceptions.sleep_on_exit = bool(value & _SLEEPONEXIT)
        self._exceptions.event_on_pending = bool(value & _SEVONPEND)

    def _write_shcsr(self, value: int) -> None:
        for bit, number in _FAULT_ENABLES.items():
            self._exceptions.enabled[number] = value >> bit & 1

    def _write_stir(self, value: int) -> None:
        number = EXTERNAL + (value & 0x1FF)
        if number < COUNT:
            self._exceptions.set_pending(number)

    def _write_trace(self, offset: int, value: int) -> None:
        self._words[offset] = value
        self._write_cyccnt(self.cycle_counter.value)

    def _write_cyccnt(self, value: int) -> None:
        running = self._words.get(_DEMCR, 0) & _TRCENA and self._words.get(_DWT_CTRL, 0) & 1
        self.cycle_counter.set(value, bool(running))

    _writers: ClassVar[dict[int, Callable[[SystemControl, int], None]]] = {
        _ICSR: _write_icsr,
        _VTOR: _write_vtor,
        _AIRCR: _write_aircr,
        _SCR: _write_scr,
        _SHCSR: _write_shcsr,
        _STIR: _write_stir,
        _DWT_CYCCNT: _write_cyccnt,
        _DWT_CTRL: lambda self, value: self._write_trace(_DWT_CTRL, value),
        _DEMCR: lambda self, value: self._write_trace(_DEMCR, value),
    }
