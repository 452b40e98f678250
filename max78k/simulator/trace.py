"""What happens on the board, as lines of text: bus accesses, interrupts, accelerator layers."""

from __future__ import annotations

from collections.abc import Callable

from max78k.simulator.cpu import ReadDevice, WriteDevice
from max78k.simulator.exceptions import EXTERNAL
from max78k.simulator.signals import Run, Signals

KINDS = ("bus", "irq", "layers")
_NAMES = {
    2: "NMI", 3: "HardFault", 4: "MemManage", 5: "BusFault", 6: "UsageFault", 11: "SVCall",
    14: "PendSV", 15: "SysTick",
}  # fmt: skip


class Trace:
    """Writes one line per event of the chosen kinds.

    Args:
        kinds: some of KINDS.
        write: takes a line without its end.
        place: gives (function, virtual seconds) of the present moment.
        block: gives the name of what lies at a device address.
    """

    def __init__(
        self,
        kinds: frozenset[str],
        write: Callable[[str], None],
        place: Callable[[], tuple[str, float]],
        block: Callable[[int], str],
    ) -> None:
        self.kinds = kinds
        self._write = write
        self._place = place
        self._block = block

    def follow(self, signals: Signals) -> None:
        """Have the board tell what is traced."""
        if "irq" in self.kinds:
            signals.exceptions.append(self._exception)
        if "layers" in self.kinds:
            signals.runs.append(self._run)

    def line(self, kind: str, text: str) -> None:
        """One event."""
        symbol, seconds = self._place()
        self._write(f"{seconds * 1000:12.6f} ms {kind:6} {text}  [{symbol}]")

    def reads(self, read: ReadDevice) -> ReadDevice:
        """The same device function, that tells what it reads if the bus is traced."""
        if "bus" not in self.kinds:
            return read

        def traced(address: int, size: int) -> int:
            value = read(address, size)
            self.line("bus", f"R{8 * size:<2} 0x{address:08x} {self._block(address)} {value:#x}")
            return value

        return traced

    def writes(self, write: WriteDevice) -> WriteDevice:
        """The same device function, that tells what it writes if the bus is traced."""
        if "bus" not in self.kinds:
            return write

        def traced(address: int, value: int, size: int) -> None:
            self.line("bus", f"W{8 * size:<2} 0x{address:08x} {self._block(address)} {value:#x}")
            write(address, value, size)

        return traced

    def _exception(self, number: int, entered: bool) -> None:
        name = _NAMES.get(number, f"IRQ {number - EXTERNAL}")
        self.line("irq", f"{'enter' if entered else 'leave'} {name}")

    def _run(self, run: Run | None) -> None:
        if run is None:
            self.line("layers", "end")
            return
        self.line("layers", f"start, {run.cycles} cycles")
        for number, cycles in run.layers:
            self.line("layers", f"  layer {number:2} {cycles:9} cycles")
