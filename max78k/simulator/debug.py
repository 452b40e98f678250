"""What a debugger sees of the board: registers, memory, breakpoints, watchpoints."""

from __future__ import annotations

from max78k.chip import addresses
from max78k.simulator.cpu import Cpu, ReadDevice, WriteDevice
from max78k.simulator.disturbances import Disturber

CORE = (*(f"R{n}" for n in range(13)), "SP", "LR", "PC", "XPSR")
FLOATING_POINT = (*(f"D{n}" for n in range(16)), "FPSCR")
SYSTEM = ("MSP", "PSP", "PRIMASK", "BASEPRI", "FAULTMASK", "CONTROL")

# What each kind of watchpoint stops at.
WATCHED = {"watch": ("write",), "rwatch": ("read",), "awatch": ("read", "write")}


class DebugPort:
    """Registers, memory and breakpoints of a board that stands between two slices.

    Attributes:
        attached: a debugger is there: BKPT stops for it.
        stopped: the core has come to a breakpoint; the debugger takes this back.
        hit: the kind and place of the watchpoint that it has stopped for, if it is one.
        faults: tells what flash takes.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._devices: list[tuple[range, ReadDevice, WriteDevice]] = []
        self._breakpoints: set[int] = set()
        self._watchpoints: set[tuple[str, int, int]] = set()
        self.attached = False
        self.stopped = False
        self.hit: tuple[str, int] | None = None
        self.faults: Disturber | None = None

    def add_device(self, where: range, read: ReadDevice, write: WriteDevice) -> None:
        """Let the debugger reach a device at these addresses."""
        self._devices.append((where, read, write))

    def _device(self, address: int) -> tuple[ReadDevice, WriteDevice]:
        for where, read, write in self._devices:
            if address in where:
                return read, write
        raise LookupError(f"nothing at 0x{address:08x}")

    def register(self, name: str) -> int:
        """A register of CORE, FLOATING_POINT or SYSTEM."""
        return self._cpu.get(name)

    def set_register(self, name: str, value: int) -> None:
        """Change one of them."""
        self._cpu.set(name, value)

    def read(self, address: int, size: int) -> bytes:
        """Memory, or registers of devices; raises LookupError where there is nothing."""
        try:
            return self._cpu.read_memory(address, size)
        except LookupError:
            first = address & ~3
            words = [self._device(at)[0](at, 4) for at in range(first, address + size, 4)]
            data = b"".join(word.to_bytes(4, "little") for word in words)
            return data[address - first : address - first + size]

    def write(self, address: int, data: bytes) -> None:
        """Change memory, flash included, or whole words of devices; LookupError elsewhere."""
        try:
            self._cpu.write_memory(address, data)
        except LookupError:
            if (address | len(data)) & 3:
                raise
            for at in range(0, len(data), 4):
                word = int.from_bytes(data[at : at + 4], "little")
                self._device(address + at)[1](address + at, word, 4)
        else:
            self._cpu.forget_code()

    def erase_flash(self, address: int, size: int) -> None:
        """Erase whole pages; raises LookupError outside flash."""
        first, last = self._in_flash(address, size)
        page = addresses.FLASH_PAGE_BYTES
        start, end = first // page * page, -(-last // page) * page
        self.program_flash(addresses.FLASH_BASE + start, b"\xff" * (end - start))

    def program_flash(self, address: int, data: bytes) -> None:
        """Write to flash that has been erased; raises LookupError outside flash."""
        self._in_flash(address, len(data))
        parts = [(address, data)] if self.faults is None else self.faults.stored(address, data)
        for start, part in parts:
            self._cpu.write_memory(start, part)
        self._cpu.forget_code()

    @staticmethod
    def _in_flash(address: int, size: int) -> tuple[int, int]:
        first, last = address - addresses.FLASH_BASE, address - addresses.FLASH_BASE + size
        if not 0 <= first <= last <= addresses.FLASH_BYTES:
            raise LookupError(f"0x{address:08x} is not in flash")
        return first, last

    def set_breakpoint(self, address: int, present: bool) -> None:
        """Make a breakpoint or take it away."""
        (self._breakpoints.add if present else self._breakpoints.discard)(address & ~1)
        self._cpu.set_breakpoints(self._breakpoints)

    def set_watchpoint(self, kind: str, address: int, size: int, present: bool) -> None:
        """Make a watchpoint of a kind of WATCHED or take it away."""
        place = (kind, address, max(size, 1))
        (self._watchpoints.add if present else self._watchpoints.discard)(place)
        self._set_watchpoints()

    def _set_watchpoints(self) -> None:
        self._cpu.set_watchpoints(
            (start, size, which)
            for kind, start, size in self._watchpoints
            for which in WATCHED[kind]
        )

    def clear(self) -> None:
        """The debugger goes: no breakpoints."""
        self._breakpoints.clear()
        self._watchpoints.clear()
        self._cpu.set_breakpoints(self._breakpoints)
        self._set_watchpoints()
        self.attached = self.stopped = False

    def stop(self, address: int) -> None:
        """The core has come to a breakpoint, or has accessed an address that is watched."""
        self.stopped = True
        near = [
            (kind, start)
            for kind, start, size in self._watchpoints
            if start - 4 < address < start + size
        ]
        self.hit = near[0] if near and address != self._cpu.get("PC") else None

    def resume(self) -> None:
        """Go on from a stop: a breakpoint at this very place does not count."""
        self._cpu.resume_at = self._cpu.get("PC")
        self.stopped = False
