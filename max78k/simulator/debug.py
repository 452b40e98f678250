"""What a debugger sees of the board: registers, memory, breakpoints."""

from __future__ import annotations

from max78k.simulator.cpu import Cpu, ReadDevice, WriteDevice

REGISTERS = (*(f"R{n}" for n in range(13)), "SP", "LR", "PC", "XPSR")


class DebugPort:
    """Registers, memory and breakpoints of a board that stands between two slices.

    Attributes:
        attached: a debugger is there: BKPT stops for it.
        stopped: the core has come to a breakpoint; the debugger takes this back.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._devices: list[tuple[range, ReadDevice, WriteDevice]] = []
        self._breakpoints: set[int] = set()
        self.attached = False
        self.stopped = False

    def add_device(self, where: range, read: ReadDevice, write: WriteDevice) -> None:
        """Let the debugger reach a device at these addresses."""
        self._devices.append((where, read, write))

    def _device(self, address: int) -> tuple[ReadDevice, WriteDevice]:
        for where, read, write in self._devices:
            if address in where:
                return read, write
        raise LookupError(f"nothing at 0x{address:08x}")

    def registers(self) -> list[int]:
        """R0 to R12, SP, LR, PC, XPSR."""
        return [self._cpu.get(name) for name in REGISTERS]

    def set_register(self, number: int, value: int) -> None:
        """Change one of them, by its place."""
        self._cpu.set(REGISTERS[number], value)

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

    def set_breakpoint(self, address: int, present: bool) -> None:
        """Make a breakpoint or take it away."""
        (self._breakpoints.add if present else self._breakpoints.discard)(address & ~1)
        self._cpu.set_breakpoints(self._breakpoints)

    def clear(self) -> None:
        """The debugger goes: no breakpoints."""
        self._breakpoints.clear()
        self._cpu.set_breakpoints(self._breakpoints)
        self.attached = self.stopped = False

    def resume(self) -> None:
        """Go on from a stop: a breakpoint at this very place does not count."""
        self._cpu.resume_at = self._cpu.get("PC")
        self.stopped = False
