"""The Cortex-M4F core: the one module that uses Unicorn (GPL-2.0, an optional extra).

Unicorn executes instructions; it has no system control space, interrupts or sleep. This module
wraps it as a core that runs for a number of cycles and says why it stopped.

Time: one cycle per instruction, plus the wait cycles that the bus asks for with ``stall``. The
real core needs 1 to 3 cycles for most instructions and waits for flash now and then, so that
computation takes longer on silicon than here; bus-bound phases and accelerator runs do not
depend on this.

Facts about Unicorn that this code rests on:

* ``emu_start`` with a count keeps the number of executed instructions, and its limit, in two
  adjacent words of its state. They are found by a trial run. Reading the first gives the time
  inside a device access; lowering the second ends the run before the next instruction, which
  ``emu_stop`` inside a device access would not do cleanly: the store would be executed twice.
* The program counter is exact inside a device access as long as all runs have a count.
* An interrupt hook that writes PC makes the run go on from there.
* Every code hook slows all instructions down, whatever its address: from 380 million instructions
  per second to 110 million with four hooks and 7 million with 64. Only breakpoints use them.
* It never stops between the instructions of an IT block.
* Its Python binding puts two functions around each callback and one around each call, which takes
  as long as the device behind it. Devices, registers and runs use the library's own functions.
* WFI ends a run without a word; WFE ends it as an invalid instruction that lies before the
  program counter; other undefined instructions leave the program counter on themselves.
* A branch to an EXC_RETURN value in handler mode arrives as interrupt 8, SVC as 2, BKPT as 7.
* Writing XPSR with another exception number switches the stack pointer bank.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from max78k.errors import ToolError

_NO_END = 0xFFFF_FFF0  # an address that no program runs to
_STATE_WORDS = 1024  # of Unicorn's state, searched for its instruction counter
_SCRATCH = 0x6000_0000  # for the trial run; no memory of the chip lies there
_WFE = b"\x20\xbf"
_SEV = 0xBF40

_NAMES = (
    "R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12", "SP", "LR",
    "PC", "XPSR", "MSP", "PSP", "CONTROL", "PRIMASK", "BASEPRI", "FAULTMASK", "FPSCR", "IPSR",
    *(f"S{n}" for n in range(16)), *(f"D{n}" for n in range(16)),
)  # fmt: skip


class Stop(Enum):
    """Why the core stopped."""

    END = auto()  # the cycles are used up or the slice was ended
    WAIT_FOR_INTERRUPT = auto()
    WAIT_FOR_EVENT = auto()
    EXCEPTION_RETURN = auto()
    SUPERVISOR_CALL = auto()
    UNDEFINED = auto()
    BREAKPOINT = auto()
    BAD_READ = auto()
    BAD_WRITE = auto()
    BAD_FETCH = auto()
    GUARDED_WRITE = auto()
    NO_POWER = auto()  # backup mode or power-down, until a wake-up event resets the chip
    HANG = auto()  # for good, until a reset
    DEBUG = auto()  # before the instruction at a breakpoint, or after an access that is watched


@dataclass(frozen=True)
class Halt:
    """Why the core stopped, and the address of the access where it was an access."""

    stop: Stop
    address: int = 0


_ENDED, _WAITS = Halt(Stop.END), Halt(Stop.WAIT_FOR_INTERRUPT)
ReadDevice = Callable[[int, int], int]  # (address, size) -> value
WriteDevice = Callable[[int, int, int], None]  # (address, value, size)


def _unicorn() -> Any:
    try:
        import unicorn
        import unicorn.arm_const
    except ImportError as error:
        raise ToolError(
            "E-BOARD-UNICORN",
            "the virtual board needs the package unicorn, which is not installed",
            "pip install 'max78k[board]'",
        ) from error
    return unicorn


class RegisterBank:
    """Some registers that are read and written together, several times as fast as one by one."""

    def __init__(self, library: Any, handle: Any, numbers: list[int]) -> None:
        size = len(numbers)
        self._read, self._write = library.uc_reg_read_batch, library.uc_reg_write_batch
        self._handle = handle
        self._values = (ctypes.c_uint64 * size)()
        start = ctypes.addressof(self._values)
        self._numbers = (ctypes.c_int * size)(*numbers)
        self._pointers = (ctypes.c_void_p * size)(*(start + 8 * n for n in range(size)))
        self._size = ctypes.c_int(size)

    def read(self) -> list[int]:
        """Their values, in the order in which the bank was made."""
        self._read(self._handle, self._numbers, self._pointers, self._size)
        return self._values[:]

    def write(self, values: list[int]) -> None:
        """Change all of them."""
        self._values[:] = values  # type: ignore[assignment]
        self._write(self._handle, self._numbers, self._pointers, self._size)


class Cpu:
    """A Cortex-M4F with memories and devices mapped to it.

    Attributes:
        on_return: called for an exception return; True if it has been carried out and the run
            goes on, False to stop with EXCEPTION_RETURN.
        count: instructions executed in the present slice.
        resume_at: a breakpoint that the next run begins at and must not stop at.
    """

    def __init__(self) -> None:
        unicorn = _unicorn()
        const = unicorn.arm_const
        self._engine = engine = unicorn.Uc(
            unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
        )
        engine.ctl_set_cpu_model(const.UC_CPU_ARM_CORTEX_M4)
        self._binding = unicorn.unicorn_py3.unicorn
        self._start, self._handle = self._binding.uclib.uc_emu_start, engine._uch
        self._callbacks: list[Any] = []  # Unicorn has only their addresses
        self._register = {name: getattr(const, f"UC_ARM_REG_{name}") for name in _NAMES}
        self._protection = {
            True: unicorn.UC_PROT_ALL,
            False: unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC,
        }
        self._bad_access = {
            unicorn.UC_MEM_READ_UNMAPPED: Stop.BAD_READ,
            unicorn.UC_MEM_READ_PROT: Stop.BAD_READ,
            unicorn.UC_MEM_WRITE_UNMAPPED: Stop.BAD_WRITE,
            unicorn.UC_MEM_WRITE_PROT: Stop.BAD_WRITE,
            unicorn.UC_MEM_FETCH_UNMAPPED: Stop.BAD_FETCH,
            unicorn.UC_MEM_FETCH_PROT: Stop.BAD_FETCH,
        }
        self._interrupts = {
            2: Stop.SUPERVISOR_CALL,
            7: Stop.BREAKPOINT,
            8: Stop.EXCEPTION_RETURN,
        }
        self._write_hook = unicorn.UC_HOOK_MEM_WRITE
        self._code_hook = unicorn.UC_HOOK_CODE
        self._guards: list[int] = []
        self._breakpoints: list[int] = []
        self._watch_hooks = {"read": unicorn.UC_HOOK_MEM_READ, "write": unicorn.UC_HOOK_MEM_WRITE}
        self._watchpoints: list[int] = []
        self.resume_at: int | None = None
        self._memories: list[tuple[int, int, mmap.mmap]] = []
        self._writable: list[tuple[int, int, mmap.mmap]] = []
        self.on_return: Callable[[], bool] = lambda: False
        self._halt: Halt | None = None
        self._failure: BaseException | None = None
        self.count, self._limit = self._find_counter()
        self._pc = self.bank(("PC",))
        self._budget = 0
        self._stalled = 0
        self._taken = 0
        self.count.value = 0
        self.instructions = 0  # executed or passed over before the present slice
        engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)

    def _find_counter(self) -> tuple[ctypes.c_uint64, ctypes.c_uint64]:
        """Where Unicorn keeps the executed count and, beside it, the limit."""
        engine, base = self._engine, _SCRATCH
        engine.mem_map(base, 0x1000)
        engine.mem_write(base, b"\xfe\xe7")  # a branch to itself
        words = (ctypes.c_uint64 * _STATE_WORDS).from_address(engine._uch.value)
        candidates = set(range(_STATE_WORDS - 1))
        for limit in (0x1235, 0x777):
            engine.emu_start(base | 1, _NO_END, count=limit)
            candidates = {n for n in candidates if words[n] == limit + 1 and words[n + 1] == limit}
        engine.mem_unmap(base, 0x1000)
        if len(candidates) != 1:
            raise ToolError(
                "E-BOARD-UNICORN",
                "this build of unicorn keeps its instruction counter in an unknown place",
                "pip install 'unicorn==2.1.4'",
            )
        start = ctypes.addressof(words) + 8 * candidates.pop()
        return ctypes.c_uint64.from_address(start), ctypes.c_uint64.from_address(start + 8)

    # -- memories and devices

    def map_memory(self, base: int, size: int, writable: bool) -> None:
        """Map zeroed memory; writing to memory that is not writable stops the core."""
        content = mmap.mmap(-1, size)  # begins at a page, as Unicorn asks for
        pointer = ctypes.addressof(ctypes.c_char.from_buffer(content))
        self._engine.mem_map_ptr(base, size, self._protection[writable], pointer)
        self._memories.append((base, base + size, content))
        if writable:
            self._writable.append(self._memories[-1])

    def map_device(self, base: int, size: int, read: ReadDevice, write: WriteDevice) -> None:
        """Send accesses to a range to functions of the absolute address."""

        def on_read(_handle: Any, offset: int, width: int, _data: Any) -> int:
            try:
                return read(base + offset, width)
            except BaseException as error:
                self._fail(error)
                return 0

        def on_write(_handle: Any, offset: int, width: int, value: int, _data: Any) -> None:
            try:
                write(base + offset, value, width)
            except BaseException as error:
                self._fail(error)

        binding = self._binding
        callbacks = binding.MMIO_READ_CFUNC(on_read), binding.MMIO_WRITE_CFUNC(on_write)
        self._callbacks.extend(callbacks)
        reader, writer = callbacks
        binding.uclib.uc_mmio_map(self._handle, base, size, reader, None, writer, None)

    def _fail(self, error: BaseException) -> None:
        """Keep an error of a device until the run has ended; it must not cross Unicorn's frames."""
        self._failure = self._failure or error
        self.end_slice()

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of mapped memory; raises LookupError where there is none."""
        for start, end, content in self._memories:
            if start <= address and address + size <= end:
                return content[address - start : address - start + size]
        raise LookupError(f"no memory at 0x{address:08x}")

    def write_memory(self, address: int, data: bytes) -> None:
        """Change memory from outside, flash included; raises LookupError where there is none.

        Code that was executed there is translated anew after ``forget_code``.
        """
        self._change(self._memories, address, data)

    def write_ram(self, address: int, data: bytes) -> None:
        """The same for another master on the bus, which cannot change flash."""
        self._change(self._writable, address, data)

    @staticmethod
    def _change(memories: list[tuple[int, int, mmap.mmap]], address: int, data: bytes) -> None:
        for start, end, content in memories:
            if start <= address and address + len(data) <= end:
                content[address - start : address - start + len(data)] = data
                return
        raise LookupError(f"no memory at 0x{address:08x}")

    def forget_code(self) -> None:
        """Call after code has been changed from outside."""
        self._engine.ctl_flush_tb()

    def guard(self, regions: list[tuple[int, int]]) -> None:
        """Stop on instructions that store to (start, bytes); the data has been changed then.

        The program counter stays on the instruction. Memory accesses take a quarter longer.
        """
        for hook in self._guards:
            self._engine.hook_del(hook)
        self._guards = [
            self._engine.hook_add(
                self._write_hook, self._on_guarded_write, begin=start, end=start + size - 1
            )
            for start, size in regions
        ]
        self.forget_code()

    def set_breakpoints(self, places: set[int]) -> None:
        """Stop with DEBUG before the instructions at these addresses, and at no others."""
        for hook in self._breakpoints:
            self._engine.hook_del(hook)
        self._breakpoints = [
            self._engine.hook_add(self._code_hook, self._on_breakpoint, begin=place, end=place)
            for place in places
        ]
        self.forget_code()

    def set_watchpoints(self, regions: Iterable[tuple[int, int, str]]) -> None:
        """Stop with DEBUG after instructions that "read" or "write" (start, bytes, which)."""
        for hook in self._watchpoints:
            self._engine.hook_del(hook)
        self._watchpoints = [
            self._engine.hook_add(
                self._watch_hooks[which], self._on_watched, begin=start, end=start + size - 1
            )
            for start, size, which in regions
        ]
        self.forget_code()

    def word(self, address: int) -> int:
        """A 32-bit word of memory; raises LookupError where there is none."""
        return int.from_bytes(self.read_memory(address, 4), "little")

    def halfword(self, address: int) -> int:
        """A 16-bit word of memory; raises LookupError where there is none."""
        return int.from_bytes(self.read_memory(address, 2), "little")

    def has_sent_event(self, after_wait: int) -> bool:
        """A WFE that ends at this address comes right after SEV, which Unicorn passes over."""
        try:
            return self.halfword(after_wait - 4) == _SEV
        except LookupError:
            return False

    # -- registers

    def get(self, name: str) -> int:
        """A register by its name in capitals."""
        value: int = self._engine.reg_read(self._register[name])
        return value

    def set(self, name: str, value: int) -> None:
        """Change a register; PC is given with or without the Thumb bit."""
        self._engine.reg_write(self._register[name], value | 1 if name == "PC" else value)

    def reset(self, table: int) -> None:
        """Registers as after a reset with the vector table at ``table``."""
        for name in ("CONTROL", "PRIMASK", "BASEPRI", "FAULTMASK"):
            self.set(name, 0)
        self.set("XPSR", 1 << 24)
        self.set("SP", self.word(table) & ~3)
        self.set("LR", 0xFFFF_FFFF)
        self.set("PC", self.word(table + 4))

    def bank(self, names: Sequence[str]) -> RegisterBank:
        """Several registers to be read and written together."""
        numbers = [self._register[name] for name in names]
        return RegisterBank(self._binding.uclib, self._handle, numbers)

    # -- execution

    def run(self, cycles: int) -> Halt:
        """Execute for about ``cycles`` cycles at most; passes on an error raised by a device."""
        (start,) = self._pc.read()
        self._halt = None
        self._budget = cycles + self._stalled
        status = self._start(self._handle, start | 1, _NO_END, 0, cycles)
        ended = self.count.value > self._limit.value
        if ended:
            self.count.value = self._limit.value
        self.resume_at = None
        if self._failure is not None or self._engine._hook_exception is not None:
            self._raise_failure()
        if status and self._halt is None:
            return self._invalid(start)
        return self._halt or (_ENDED if ended else _WAITS)

    def _raise_failure(self) -> None:
        failure = self._failure or self._engine._hook_exception
        self._failure = self._engine._hook_exception = None
        raise failure

    def close_slice(self) -> None:
        """Begin a new count; call it when all cycles of the last run have been taken."""
        self.instructions += self.count.value
        self.count.value = self._stalled = self._taken = 0

    def take_cycles(self) -> int:
        """Cycles run since this was last called; exact inside a device access."""
        total = self.count.value + self._stalled
        taken = total - self._taken
        self._taken = total
        return taken

    @property
    def executed(self) -> int:
        """Instructions executed or passed over since power-on."""
        return self.instructions + self.count.value

    def stall(self, cycles: int) -> None:
        """Let a device access take ``cycles`` more than its instruction."""
        self._stalled += cycles
        executed, left = self.count.value, self._budget - self._stalled
        self._limit.value = left if left > executed else executed

    def pass_over(self, instructions: int) -> None:
        """Count instructions whose effect has been brought about between two slices."""
        self.instructions += instructions
        self.stall(instructions)

    def cycles_left(self) -> int:
        """Cycles to the end of the present slice."""
        return max(self._budget - self._stalled - self.count.value, 0)

    def end_slice(self) -> None:
        """Stop before the next instruction."""
        self._budget = self.count.value + self._stalled
        self._limit.value = self.count.value

    def _invalid(self, start: int) -> Halt:
        pc = self.get("PC")
        try:
            before = self.read_memory(pc - 2, 2)
        except LookupError:
            before = b""
        return Halt(Stop.WAIT_FOR_EVENT if before == _WFE and start != pc else Stop.UNDEFINED, pc)

    def _on_interrupt(self, engine: Any, number: int, _data: Any) -> None:
        stop = self._interrupts.get(number, Stop.UNDEFINED)
        try:
            if stop is Stop.EXCEPTION_RETURN and self.on_return():
                return
        except BaseException as error:
            self._fail(error)
        self._halt = Halt(stop)
        engine.emu_stop()

    def _on_bad_access(
        self, _engine: Any, access: int, address: int, _size: int, _value: int, _data: Any
    ) -> bool:
        self._halt = Halt(self._bad_access.get(access, Stop.BAD_READ), address)
        return False

    def _on_breakpoint(self, engine: Any, address: int, _size: int, _data: Any) -> None:
        if address == self.resume_at:
            self.resume_at = None
            return
        self.count.value -= 1  # it was counted before it is executed
        self._halt = Halt(Stop.DEBUG, address)
        engine.emu_stop()

    def _on_watched(
        self, _engine: Any, _access: int, address: int, _size: int, _value: int, _data: Any
    ) -> None:
        self._halt = self._halt or Halt(Stop.DEBUG, address)
        self.end_slice()

    def _on_guarded_write(
        self, engine: Any, _access: int, address: int, _size: int, _value: int, _data: Any
    ) -> None:
        self._halt = Halt(Stop.GUARDED_WRITE, address)
        engine.emu_stop()
