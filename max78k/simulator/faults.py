"""What happens when an instruction cannot be carried out, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from max78k.simulator import exceptions as exc
from max78k.simulator.cpu import Cpu, Halt, Stop
from max78k.simulator.findings import FindingLog, SimulatorError


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
# The end of the stack's region under the names that linker scripts give it; the end of the static
# data where it has no name.
_STACK_LIMITS = ("__stack_guard", "__StackLimit", "__stack_limit", "_sstack", "__stack_bottom")
_DATA_ENDS = ("__ebss", "_ebss", "__bss_end__", "__bss_end", "_end", "end")
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


class Faults:
    """Takes faults, and tells of handlers that are missing or do not do their work.

    Args:
        name_of: gives the function at a code address.
    """

    def __init__(
        self, cpu: Cpu, exceptions: exc.Exceptions, log: FindingLog, name_of: Callable[[int], str]
    ) -> None:
        self._cpu = cpu
        self._exceptions = exceptions
        self._log = log
        self._name_of = name_of
        self._known_handlers: set[int] = set()
        exceptions.on_unacknowledged = self._unacknowledged

    def dump(self) -> str:
        """All registers, and the functions that PC and LR point into, on a few lines."""
        values = {name: self._cpu.get(name) for name in _DUMPED}
        cells = [f"{name:>7} 0x{value:08x}" for name, value in values.items()]
        lines = ["".join(cells[start : start + 4]) for start in range(0, len(cells), 4)]
        for name in ("PC", "LR"):
            lines.append(f"{name:>7} in {self._name_of(values[name] & ~1)}")
        return "\n".join(lines)

    def take(self, halt: Halt) -> None:
        """An instruction could not be carried out; raises SimulatorError without a handler."""
        fault = FAULTS[halt.stop]
        self._log.add(fault.code, fault.message, halt.address)
        state = self.dump()
        number = self._exceptions.raise_fault(fault.number, fault.cfsr, fault.hfsr, halt.address)
        self.check_handler(number, f"{fault.message} (0x{halt.address:08x})\n{state}")

    def check_handler(self, number: int, state: str = "") -> None:
        """Just entered: an empty vector or one to an endless loop is the end of the program."""
        address = self._exceptions.entry
        if address in self._known_handlers:
            return
        if not has_handler(self._cpu, address):
            irq = number - exc.EXTERNAL
            what = f"interrupt {irq}" if irq >= 0 else f"exception {number}"
            raise SimulatorError(
                "E-BOARD-HANDLER",
                f"{what} happened, which the firmware has no handler for: {state or self.dump()}",
            )
        self._known_handlers.add(address)

    def _unacknowledged(self, number: int) -> None:
        self._log.add(
            "E-BOARD-IRQ",
            f"interrupt {number - exc.EXTERNAL} is not acknowledged: its line has stayed high over "
            f"{exc.UNACKNOWLEDGED} returns from its handler",
            pc=self._exceptions.handler(number) & ~1,
        )


class CoreChecks:
    """Looks between slices of execution, and at exceptions, for what no instruction reveals."""

    def __init__(
        self, cpu: Cpu, exceptions: exc.Exceptions, log: FindingLog, symbols: Mapping[str, int]
    ) -> None:
        limits = [symbols[name] for name in (*_STACK_LIMITS, *_DATA_ENDS) if name in symbols]
        self._stack_limit = limits[0] if limits else 0
        self._log = log
        exceptions.stack_limit, exceptions.on_overflow = self._stack_limit, self._overflow
        self._registers = cpu.bank(("MSP", "CONTROL"))

    def look(self, fpu_enabled: bool) -> None:
        """The main stack is in its region, and the FPU is used only when it is enabled.

        Stacks of threads lie where the program's own scheduler puts them.
        """
        sp, control = self._registers.read()
        if sp < self._stack_limit:
            self._overflow(sp)
        if not fpu_enabled and control & _CONTROL_FPCA:
            self._log.add("E-BOARD-FPU", "the FPU is used before CPACR enables it")

    def _overflow(self, stack: int) -> None:
        self._log.add("E-BOARD-STACK", "the stack has grown below its region", stack)
