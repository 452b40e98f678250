"""The accelerator as the bus sees it: address decoding, control registers, runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from threadpoolctl import ThreadpoolController

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator.checks import check_run
from max78k.simulator.accelerator.cycles import layer_cycles, run_cycles
from max78k.simulator.accelerator.fifo import Fifos
from max78k.simulator.accelerator.layer import Layer, LayerRegisters, decode
from max78k.simulator.accelerator.machine import Machine, Modes
from max78k.simulator.accelerator.memories import DataMemory, KernelMemory, Memory, NarrowMemory
from max78k.simulator.accelerator.power import Power, quadrants

FAST_FIFO = 0x400C_0400  # reached by the RISC-V core alone; feeds quadrant 0
FAST_FIFO_DATA = FAST_FIFO + 0x10

_EN = cr.CTL.field("EN").mask
_CLK_EN = cr.CTL.field("CLK_EN").mask
_EXT_SYNC = cr.CTL.field("EXT_SYNC").mask
_IRQ = cr.CTL.field("IRQ").mask
_FIFO_EN = cr.CTL.field("FIFO_EN").mask
_STREAM = cr.CTL.field("STREAM").mask
_AVG_ROUND = cr.CTL.field("AVG_ROUND").mask
_MEXPRESS = cr.CTL.field("MEXPRESS").mask
_MASTER = cr.CTL.field("MASTER")

_GLOBAL = (cr.CTL.offset, cr.SRAM.offset, cr.LCNT_MAX.offset, cr.SRAM_TEST.offset)
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


@dataclass
class _Run:
    """A run between the master's EN and its end.

    ``feeding`` are the FIFOs that deliver its input, ``frame_words`` how many words each, and
    ``fifo`` the frame once it is there.
    """

    master: int
    started: tuple[int, ...]
    layers: list[Layer]
    feeding: tuple[int, ...] = ()
    frame_words: int = 0
    fifo: dict[int, list[int]] | None = None


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
        on_start: called with the estimated cycles of the CNN clock when a run starts: at the
            master's EN or, where FIFOs feed the network, when the last input word has arrived.
    """

    def __init__(self, report: Callable[[str, int], None] | None = None) -> None:
        self.on_start: Callable[[int], None] | None = None
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
        self._machine = Machine(self._data, self._kernel, self._bias, self._report)
        self._blas = ThreadpoolController()
        self._layers = LayerRegisters()
        self._global = [dict.fromkeys(_GLOBAL, 0) for _ in range(limits.QUADRANTS)]
        self._always_on = 0
        self._fifos = Fifos()
        self._power = Power()
        self._waiting: _Run | None = None  # for words from the FIFOs
        self._running: _Run | None = None

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
        if not window.in_ram or self._power.ram >> quadrant & 1:
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
        elif address == FAST_FIFO_DATA or offset in _FIFO_PORTS:
            self._push(_FIFO_PORTS.get(offset, 0), value, address)
        elif not FAST_FIFO <= address < FAST_FIFO_DATA:  # whose control has no effect here
            self._nothing(address)

    def _push(self, number: int, word: int, address: int) -> None:
        if address != FAST_FIFO_DATA and not self._fifos.enabled(number):
            self._report(f"word for FIFO {number}, which is not enabled", address)
            return
        self._fifos.push(number, word)
        self._feed()

    # Registers of a quadrant

    def _read_register(self, quadrant: int, offset: int, address: int) -> int:
        if offset in self._global[quadrant]:
            return self._global[quadrant][offset]
        if _LAYERS <= offset < _LAYERS_END:
            return self._layers.read(quadrant, offset - _LAYERS)
        if offset == cr.MLAT.offset:
            self._report("read through the byte transposer, which is not modelled", address)
        else:
            self._nothing(address)
        return 0

    def _write_register(self, quadrant: int, offset: int, value: int, address: int) -> None:
        if offset == cr.CTL.offset:
            self._control(quadrant, value)
        elif offset == cr.SRAM_TEST.offset:
            self._self_test(quadrant, value)
        elif offset in self._global[quadrant]:
            self._global[quadrant][offset] = value
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
        self._global[quadrant][cr.SRAM_TEST.offset] = value

    def _control(self, quadrant: int, value: int) -> None:
        """Write to CTL: IRQ can only be cleared; a rising EN of the master starts a run."""
        old = self._global[quadrant][cr.CTL.offset]
        value &= ~(_IRQ & ~old)
        self._global[quadrant][cr.CTL.offset] = value
        self._kernel.express[quadrant] = bool(value & _MEXPRESS)
        follows = value & _EXT_SYNC and quadrant not in (_MASTER.get(value), _MASTER.get(old))
        if follows:
            return
        if value & _EN and not old & _EN:
            self._start(quadrant)
        elif old & _EN and not value & _EN:
            self._waiting = self._running = None

    # Runs

    @property
    def busy(self) -> bool:
        """Whether a run has been started (it may wait for the FIFOs) and is not complete."""
        return self._waiting is not None or self._running is not None

    @property
    def interrupt(self) -> bool:
        """Whether any quadrant requests its interrupt."""
        return any(registers[cr.CTL.offset] & _IRQ for registers in self._global)

    @property
    def layer_cycles(self) -> list[tuple[int, int]]:
        """Number and estimated cycles of each layer of the present run."""
        layers = self._running.layers if self._running else []
        return [(layer.number, layer_cycles(layer)) for layer in layers]

    @property
    def load(self) -> float:
        """Share of all processors that the present run uses, as a mean over its cycles."""
        layers = self._running.layers if self._running else []
        cycles = [layer_cycles(layer) for layer in layers]
        busy = sum(c * len(layer.processors) for c, layer in zip(cycles, layers, strict=True))
        return busy / (limits.PROCESSORS * sum(cycles)) if sum(cycles) else 0.0

    def complete(self) -> None:
        """End the run: compute its result and raise the interrupt of the quadrants in it."""
        run, self._running = self._running, None
        if run is None:
            return
        control = self._global[run.master][cr.CTL.offset]
        # The matrix products of a layer are small: BLAS threads would wait for each other.
        with self._blas.limit(limits=1, user_api="blas"):
            self._machine.run(
                run.layers,
                run.fifo,
                Modes(bool(control & _STREAM), bool(control & _AVG_ROUND)),
            )
        for quadrant in run.started:
            self._global[quadrant][cr.CTL.offset] |= _IRQ

    def run(self) -> int:
        """Complete a started run at once; returns its estimated cycles, 0 if none was started."""
        cycles = run_cycles(self._running.layers) if self._running else 0
        self.complete()
        return cycles

    def _start(self, master: int) -> None:
        control = [registers[cr.CTL.offset] for registers in self._global]
        started = tuple(q for q, word in enumerate(control) if word & _EN)
        for quadrant in started:
            if not control[quadrant] & _CLK_EN:
                self._report(
                    f"quadrant {quadrant} is started without its clock",
                    addresses.quadrant(quadrant),
                )
        counts = cr.LCNT_MAX.unpack(self._global[master][cr.LCNT_MAX.offset])
        last = min(counts["LAST"], limits.LAYERS - 1)
        if counts["LAST"] != last:
            self._report(
                f"last layer {counts['LAST']} of {limits.LAYERS}",
                addresses.quadrant(master) + cr.LCNT_MAX.offset,
            )
        layers = [
            decode(self._layers, started, master, number)
            for number in range(counts["FIRST"], last + 1)
        ]
        modes = cr.CTL.unpack(control[master])
        if modes["ONESHOT"] or (modes["SIMPLE1B"] and any(x.weight_bits == 1 for x in layers)):
            self._report(
                "layer-by-layer runs and exclusive-or arithmetic of 1-bit weights are not modelled",
                addresses.quadrant(master),
            )
        fed = bool(control[master] & _FIFO_EN)
        for layer in [layer for layer in layers if not layer.bounded]:
            self._report(
                f"layer {layer.number} asks for more values or products than the model computes",
                addresses.quadrant(master),
            )
            layers = []
        check_run(self._layers, started, layers, fed, self._report)
        if not fed or not layers:
            self._begin(_Run(master, started, layers))
            return
        feeding = sorted({p // _PER_QUADRANT for p in layers[0].processors})
        words = self._layers.frame_words(master)
        self._waiting = _Run(master, started, layers, tuple(feeding), words)
        self._feed()

    def _feed(self) -> None:
        """Begin a waiting run once the FIFOs hold a frame."""
        run = self._waiting
        if run is not None and self._fifos.hold(run.feeding, run.frame_words):
            run.fifo = self._fifos.take(run.feeding, run.frame_words)
            self._waiting = None
            self._begin(run)

    def _begin(self, run: _Run) -> None:
        self._running = run
        if self.on_start is not None:
            self.on_start(run_cycles(run.layers))

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
        self._global[quadrant] = dict.fromkeys(_GLOBAL, 0)
        self._layers.reset(quadrant)
        self._kernel.forget_pointers(quadrant)
        for run in (self._waiting, self._running):
            if run is not None and quadrant in run.started:
                self._waiting = self._running = None
                self._fifos.clear()


def _locate(address: int) -> tuple[int | None, int]:
    """Quadrant and offset inside it; no quadrant for the common registers and for nothing."""
    quadrant, offset = divmod(address - addresses.QUADRANT_BASE, addresses.QUADRANT_STRIDE)
    return (quadrant if 0 <= quadrant < limits.QUADRANTS else None), offset
