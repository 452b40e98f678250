"""What happens when an instruction cannot be carried out, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from max78k.simulator import exceptions as exc
from max78k.simulator.cpu import Cpu, Stop
from max78k.simulator.findings import FindingLog


@dataclass(frozen=True)
class Fault:
    """How one kind of stop is seen by the core: exception, status bits and the finding's text."""

    number: int
    cfsr: int
    code: str
    message: str
    hfsr: int = 0


FAULTS = {
    Stop.BAD_READ: Fault(
        exc.BUS_FAULT,
        exc.PRECISE_BUS | exc.BUS_ADDRESS_VALID,
        "E-BOARD-UNMAPPED",
        "read of an address where nothing is",
    ),
    Stop.BAD_WRITE: Fault(
        exc.BUS_FAULT,
        exc.PRECISE_BUS | exc.BUS_ADDRESS_VALID,
        "E-BOARD-UNMAPPED",
        "write to an address where nothing can be written",
    ),
    Stop.BAD_FETCH: Fault(
        exc.BUS_FAULT,
        exc.INSTRUCTION_BUS,
        "E-BOARD-UNMAPPED",
        "a jump to an address where no code is",
    ),
    Stop.GUARDED_WRITE: Fault(
        exc.MEM_FAULT,
        exc.DATA_ACCESS | exc.MEMORY_ADDRESS_VALID,
        "E-BOARD-GUARD",
        "a write to memory that the protection unit closes, such as below the stack",
    ),
    Stop.UNDEFINED: Fault(
        exc.USAGE_FAULT,
        exc.UNDEFINED_INSTRUCTION,
        "E-BOARD-UNDEFINED",
        "an undefined instruction",
    ),
    Stop.BREAKPOINT: Fault(
        exc.HARD_FAULT, 0, "E-BOARD-BREAKPOINT", "BKPT without a debugger", exc.DEBUG_EVENT
    ),
}

_ENDLESS_LOOP = b"\xfe\xe7"  # a branch to itself, what an unused vector usually holds
# The end of the stack's region under the names that linker scripts give it.
_STACK_LIMITS = ("__stack_guard", "__StackLimit", "__stack_limit", "_sstack", "__stack_bottom")
_CONTROL_FPCA = 4
_DUMPED = (
    "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "SP", "LR",
    "PC", "XPSR", "MSP", "PSP", "CONTROL", "PRIMASK",
)  # fmt: skip


def has_handler(cpu: Cpu, address: int) -> bool:
    """Whether a vector leads to code that does something."""
    if not address & 1:
        return False
    try:
        return cpu.read_memory(address & ~1, 2) != _ENDLESS_LOOP
    except LookupError:
        return False


def dump(cpu: Cpu, name_of: Callable[[int], str]) -> str:
    """All registers, and the functions that PC and LR point into, on a few lines."""
    values = {name: cpu.get(name) for name in _DUMPED}
    cells = [f"{name:>7} 0x{value:08x}" for name, value in values.items()]
    lines = ["".join(cells[start : start + 4]) for start in range(0, len(cells), 4)]
    for name in ("PC", "LR"):
        lines.append(f"{name:>7} in {name_of(values[name] & ~1)}")
    return "\n".join(lines)


class CoreChecks:
    """Looks between slices of execution for what no single instruction reveals."""

    def __init__(self, cpu: Cpu, log: FindingLog, symbols: Mapping[str, int]) -> None:
        limits = [symbols[name] for name in _STACK_LIMITS if name in symbols]
        self._stack_limit = limits[0] if limits else 0
        self._log = log
        self._registers = cpu.bank(("SP", "CONTROL"))

    def look(self, fpu_enabled: bool) -> None:
        """The stack is in its region, and the FPU is used only when it is enabled."""
        sp, control = self._registers.read()
        if sp < self._stack_limit:
            self._log.add("E-BOARD-STACK", "the stack has grown below its region", sp)
        if not fpu_enabled and control & _CONTROL_FPCA:
            self._log.add("E-BOARD-FPU", "the FPU is used before CPACR enables it")
