"""The accelerator as the bus sees it: address decoding, memories, registers, power."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator.cycles import layer_cycles
from max78k.simulator.accelerator.fifo import Fifos
from max78k.simulator.accelerator.layer import LayerRegisters
from max78k.simulator.accelerator.machine import Machine
from max78k.simulator.accelerator.memories import DataMemory, KernelMemory, Memory, NarrowMemory
from max78k.simulator.accelerator.power import Power, quadrants
from max78k.simulator.accelerator.runs import Runs
from max78k.simulator.accelerator.transposer import Transposer

_IRQ = cr.CTL.field("IRQ").mask
_MEXPRESS = cr.CTL.field("MEXPRESS").mask
_MLAT_EN = cr.CTL.field("MLAT_EN").mask
_FASTFIFO_EN = cr.CTL.field("FASTFIFO_EN").mask

_FAST_STATUS = addresses.FAST_FIFO + 4
_LAYERS = addresses.LAYER_REGISTERS_OFFSET
_LAYERS_END = _LAYERS + LayerRegisters.SLOTS * addresses.LAYER_REGISTER_STRIDE
_PER_QUADRANT = limits.PROCESSORS_PER_QUADRANT
_FIFO_PORTS = {register.offset: n for n, register in enumerate(cr.FIFO_DATA)}
_DATA_BYTES = limits.DATA_BYTES // limits.QUADRANTS
_TRAM_BYTES = _PER_QUADRANT * addresses.TRAM_STRIDE
_KERNEL_BYTES = _PER_QUADRANT * addresses.KERNEL_STRIDE
_BIAS_BYTES = 4 * limits.BIAS_BYTES_PER_QUADRANT
_KERNEL_POWER_DOWN_SHIFT = 12  # always-on control: bit 12 + q cuts the kernels of quadrant q
_TEST_DONE = 1 << 27  # self test: set at the end of any test


@dataclass(frozen=True)
class _Window:
    """A memory as a quadrant shows it on the bus.

    ``start_bit`` and ``done_bit`` are those of its self test; memories ``in_ram`` have the RAM's
    power supply.
    """

    name: str
    offset: int
    size: int
    memory: Memory
    start_bit: int
    done_bit: int
    in_ram: bool = False


class Accelerator:
    """Bus-level model of the CNN accelerator; all quadrants are off until :meth:`set_power`.

    Args:
        report: called with a message and a bus address for everything that firmware should not
            do, once per message: accesses without power or of the wrong width, operands that
            nothing wrote, kernels that were never loaded, registers that contradict each other.

    Attributes:
        runs: what is running; ``runs.now`` ties it to a clock. Without a clock the FIFOs are
            emptied at once, and a run lasts until :meth:`run` or :meth:`complete`.
    """

    def __init__(self, report: Callable[[str, int], None] | None = None) -> None:
        self._listener = report
        self._reported: set[str] = set()
        self._data = DataMemory()
        self._kernel = KernelMemory()
        self._bias = NarrowMemory(_BIAS_BYTES // 4, 8)
        self._tram = NarrowMemory(_TRAM_BYTES // 4, 16)
        self._windows = (
            _Window("data", addresses.DATA_OFFSET, _DATA_BYTES, self._data, 0, 18, True),
            _Window("kernel", addresses.KERNEL_OFFSET, _KERNEL_BYTES, self._kernel, 2, 19, True),
            _Window("bias", addresses.BIAS_OFFSET, _BIAS_BYTES, self._bias, 6, 21),
            _Window("line buffer", addresses.TRAM_OFFSET, _TRAM_BYTES, self._tram, 4, 20),
        )
        self._layers = LayerRegisters()
        self._control = [0] * limits.QUADRANTS
        self._counts = [0] * limits.QUADRANTS
        self._sram = [0] * limits.QUADRANTS
        self._tests = [0] * limits.QUADRANTS
        self._plain = {
            cr.SRAM.offset: self._sram,
            cr.LCNT_MAX.offset: self._counts,
            cr.SRAM_TEST.offset: self._tests,
            cr.CTL.offset: self._control,
        }
        self._always_on = 0
        self._fifos = Fifos()
        self._power = Power()
        self._transposers = [Transposer(self._data, q) for q in range(limits.QUADRANTS)]
        machine = Machine(self._data, self._kernel, self._bias, self._report)
        self.runs = Runs(
            machine, self._layers, self._control, self._counts, self._fifos, self._report
        )

    # The bus

    def read(self, address: int, size: int = 4) -> int:
        """Value at an absolute bus address; what cannot be read is reported and reads as 0."""
        if size != 4 or address & 3:
            self._report(f"{size}-byte read of the accelerator, which takes aligned words", address)
            return 0
        quadrant, offset = _locate(address)
        if quadrant is None:
            return self._read_common(address)
        if not self._answers(quadrant, address):
            return 0
        window = self._window(offset)
        if window is None:
            return self._read_register(quadrant, offset, address)
        if not self._supplied(window, quadrant, address):
            return 0
        value, known = window.memory.read(quadrant, offset - window.offset)
        if not known:
            self._report(
                f"read of {window.name} memory of quadrant {quadrant} that was never written",
                address,
            )
        return value

    def write(self, address: int, value: int, size: int = 4) -> None:
        """Write to an absolute bus address; what cannot be written is reported and dropped."""
        quadrant, offset = _locate(address)
        if quadrant is not None and not self._answers(quadrant, address):
            return
        if size != 4 or address & 3:
            self._write_byte(quadrant, offset, value, size, address)
            return
        value &= 0xFFFF_FFFF
        if quadrant is None:
            self._write_common(address, value)
            return
        window = self._window(offset)
        if window is None:
            self._write_register(quadrant, offset, value, address)
            return
        if not self._supplied(window, quadrant, address):
            return
        wrong = window.memory.write(quadrant, offset - window.offset, value)
        if wrong:
            self._report(wrong, address)

    def _write_byte(
        self, quadrant: int | None, offset: int, value: int, size: int, address: int
    ) -> None:
        """The one access that is not an aligned word: 1 to byte 1 of an express column address."""
        inside = offset - addresses.KERNEL_OFFSET
        if (
            quadrant is not None
            and 0 <= inside < _KERNEL_BYTES
            and self._kernel.express[quadrant]
            and (size, value, address & 3) == (1, 1, 1)
        ):
            self._kernel.point(quadrant, inside)
        else:
            self._report(
                f"{size}-byte write to the accelerator, which takes aligned words", address
            )

    def _window(self, offset: int) -> _Window | None:
        for window in self._windows:
            if window.offset <= offset < window.offset + window.size:
                return window
        return None

    def _answers(self, quadrant: int, address: int) -> bool:
        if self._power.usable >> quadrant & 1:
            return True
        self._report(
            f"access to quadrant {quadrant}, which {self._power.obstacle(quadrant)}", address
        )
        return False

    def _supplied(self, window: _Window, quadrant: int, address: int) -> bool:
        down = 0
        if window.memory is self._kernel:
            down = self._always_on >> _KERNEL_POWER_DOWN_SHIFT
        if not window.in_ram or self._power.ram & ~down & 1 << quadrant:
            return True
        self._report(f"{window.name} memory of quadrant {quadrant} has no power", address)
        return False

    def _nothing(self, address: int) -> None:
        self._report(f"the accelerator has nothing at 0x{address:08X}", address)

    def _report(self, message: str, address: int) -> None:
        if self._listener is not None and message not in self._reported:
            self._reported.add(message)
            self._listener(message, address)

    # Registers outside the quadrants

    def _read_common(self, address: int) -> int:
        if address == addresses.CNN_AON:
            return self._always_on
        self.runs.advance()
        if address == _FAST_STATUS:
            return self._fifos.fast_status()
        if address in (addresses.CNN_FIFO, addresses.CNN_FIFO + cr.FIFO_STAT.offset):
            return self._fifos.read(address - addresses.CNN_FIFO)
        self._nothing(address)
        return 0

    def _write_common(self, address: int, value: int) -> None:
        if not self._power.usable:
            self._report("access to the accelerator while no quadrant has power", address)
            return
        offset = address - addresses.CNN_FIFO
        if address == addresses.CNN_AON:
            self._always_on = value
            for quadrant in quadrants(value >> _KERNEL_POWER_DOWN_SHIFT):
                self._kernel.lose(quadrant)
        elif offset == cr.FIFO_CTL.offset:
            self._fifos.write_control(value)
        elif address == addresses.FAST_FIFO_DATA or offset in _FIFO_PORTS:
            self._push(_FIFO_PORTS.get(offset, 0), value, address)
        elif not addresses.FAST_FIFO <= address < addresses.FAST_FIFO_DATA:
            self._nothing(address)  # the fast FIFO's threshold and interrupts have no effect here

    def _push(self, number: int, word: int, address: int) -> None:
        fast = address == addresses.FAST_FIFO_DATA
        name = "the fast FIFO" if fast else f"FIFO {number}"
        enabled = self._control[0] & _FASTFIFO_EN if fast else self._fifos.enabled(number)
        if not enabled:
            self._report(f"word for {name}, which is not enabled", address)
            return
        self.runs.advance()
        if not self._fifos.push(number, word):
            self._report(f"a word for {name} is lost: it is full", address)
        self.runs.arrive()

    # Registers of a quadrant

    def _read_register(self, quadrant: int, offset: int, address: int) -> int:
        if offset in self._plain:
            return self._plain[offset][quadrant]
        if _LAYERS <= offset < _LAYERS_END:
            return self._layers.read(quadrant, offset - _LAYERS)
        if offset != cr.MLAT.offset:
            self._nothing(address)
            return 0
        if not self._control[quadrant] & _MLAT_EN:
            self._report("read through the byte transposer, which is not switched on", address)
            return 0
        value, known = self._transposers[quadrant].read(self._control[quadrant])
        if not known:
            self._report("the byte transposer reads data that was never written", address)
        return value

    def _write_register(self, quadrant: int, offset: int, value: int, address: int) -> None:
        if offset == cr.CTL.offset:
            self._kernel.express[quadrant] = bool(value & _MEXPRESS)
            self._transposers[quadrant].control(self._control[quadrant], value, self._layers)
            self.runs.write_control(quadrant, value)
        elif offset == cr.SRAM_TEST.offset:
            self._self_test(quadrant, value)
        elif offset in self._plain:
            self._plain[offset][quadrant] = value
        elif _LAYERS <= offset < _LAYERS_END:
            self._layers.write(quadrant, offset - _LAYERS, value)
        else:
            self._nothing(address)

    def _self_test(self, quadrant: int, value: int) -> None:
        """Tests end at once and never fail; they leave zeros."""
        for window in self._windows:
            if value >> window.start_bit & 1:
                window.memory.zero(quadrant)
                value |= _TEST_DONE | 1 << window.done_bit
        self._tests[quadrant] = value

    # Runs

    @property
    def on_start(self) -> Callable[[int], None] | None:
        """Called with the estimated cycles to its end when a run starts or goes on.

        That is at the master's EN or, where FIFOs feed it, when all its input has arrived.
        """
        return self.runs.on_start

    @on_start.setter
    def on_start(self, listener: Callable[[int], None] | None) -> None:
        self.runs.on_start = listener

    @property
    def busy(self) -> bool:
        """Whether a run has been started (it may wait for the FIFOs) and is not complete."""
        return self.runs.busy

    @property
    def interrupt(self) -> bool:
        """Whether any quadrant requests its interrupt."""
        return any(word & _IRQ for word in self._control)

    @property
    def layer_cycles(self) -> list[tuple[int, int]]:
        """Number and estimated cycles of each layer of the present run."""
        return [(layer.number, layer_cycles(layer)) for layer in self.runs.layers]

    @property
    def load(self) -> float:
        """Share of all processors that the present run uses, as a mean over its cycles."""
        layers = self.runs.layers
        cycles = [layer_cycles(layer) for layer in layers]
        busy = sum(c * len(layer.processors) for c, layer in zip(cycles, layers, strict=True))
        return busy / (limits.PROCESSORS * sum(cycles)) if sum(cycles) else 0.0

    def complete(self) -> None:
        """End the run: compute its result and raise the interrupt of the quadrants in it."""
        self.runs.complete()

    def run(self) -> int:
        """Complete a started run at once; returns its cycles left, 0 if none was started."""
        cycles = self.runs.cycles_left
        self.complete()
        return cycles

    # Power

    def set_power(self, powered: int, ram: int, isolated: int, reset: int) -> None:
        """Power, RAM power, isolation and reset: bit q of each mask stands for quadrant q.

        Reset and loss of power clear the registers; loss of power the bias and the line buffers as
        well; loss of RAM power the kernels and the data. Kernels survive while the RAM is powered.
        """
        old, self._power = self._power, Power(powered, ram, isolated, reset)
        for quadrant in quadrants(old.powered & ~powered):
            self._bias.lose(quadrant)
            self._tram.lose(quadrant)
        for quadrant in quadrants(old.ram & ~ram):
            self._kernel.lose(quadrant)
            self._data.lose(quadrant)
        for quadrant in quadrants(reset | old.powered & ~powered):
            self._clear_registers(quadrant)

    def _clear_registers(self, quadrant: int) -> None:
        for words in self._plain.values():
            words[quadrant] = 0
        self._layers.reset(quadrant)
        self._kernel.forget_pointers(quadrant)
        self.runs.drop(quadrant)


def _locate(address: int) -> tuple[int | None, int]:
    """Quadrant and offset inside it; no quadrant for the common registers and for nothing."""
    quadrant, offset = divmod(address - addresses.QUADRANT_BASE, addresses.QUADRANT_STRIDE)
    return (quadrant if 0 <= quadrant < limits.QUADRANTS else None), offset
