"""The virtual MAX78000FTHR: the core, its peripherals and the accelerator, wired together.

Virtual time is what the firmware sees; it has no fixed relation to the host's clock. While the
core sleeps, time moves on to the next event at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from max78k.chip import addresses, limits
from max78k.chip import mcu_registers as mcu
from max78k.simulator import exceptions as exc
from max78k.simulator import peripherals, system_control
from max78k.simulator.adc import Adc
from max78k.simulator.camera import Camera
from max78k.simulator.clock import SECOND, Clock
from max78k.simulator.cnn_port import CnnPort
from max78k.simulator.core_sleep import CoreSleep
from max78k.simulator.cpu import Cpu, Halt, ReadDevice, Stop
from max78k.simulator.debug import DebugPort
from max78k.simulator.disturbances import Disturbances, Disturber
from max78k.simulator.energy import CORE_STATES, StateTimes
from max78k.simulator.faults import CoreChecks, Faults
from max78k.simulator.findings import Finding, FindingLog, SimulatorError
from max78k.simulator.gpio import BUTTONS, Leds, marks
from max78k.simulator.i2s import I2s
from max78k.simulator.power import ChipDraws, Supply
from max78k.simulator.program import read_program
from max78k.simulator.signals import Signals, tell
from max78k.simulator.slices import Slices
from max78k.simulator.soc import Peripherals
from max78k.simulator.spi import Spi
from max78k.simulator.trace import Trace
from max78k.simulator.uart import Uart

_INFORMATION_BLOCK, _INFORMATION_BYTES = 0x1080_0000, 0x4000


class VirtualBoard:
    """A board with one program in its flash, at power-on.

    Args:
        elf: the program, built for silicon: an ELF, HEX or BIN file.
        strict: raise SimulatorError at the first finding instead of going on.
        seed: of the random number generator; None takes the system's randomness.
        report: called with each finding.
        disturbances: faults that are to happen, counted in ``faults``.
        trace: kinds of events of :mod:`max78k.simulator.trace` to be told.
        write_trace: called with each line of it.

    Attributes:
        supply: the estimated supply current.
        signals: lists of functions to be called when something happens.
        console: UART0, whose ``host_write`` and ``host_read`` are the host's end of the line.

    Raises:
        InputError: E-BOARD-ELF, the file cannot be used.
        ToolError: E-BOARD-UNICORN, the emulator is not installed.
    """

    def __init__(
        self,
        elf: Path,
        *,
        strict: bool = False,
        seed: int | None = None,
        report: Callable[[Finding], None] | None = None,
        disturbances: Disturbances = Disturbances(),  # noqa: B008 frozen
        trace: frozenset[str] = frozenset(),
        write_trace: Callable[[str], None] = print,
    ) -> None:
        self._program = read_program(elf)
        self._make_core(strict, report)
        self._bus = peripherals.PeripheralBus(self._cpu, self._clock, self._log)
        self._trace = Trace(trace, write_trace, lambda: self._locate()[1:], self._bus.name_of)
        self._make_supply()
        self._make_accelerator()
        self._map()
        self._make_chip(seed)
        self._make_signals()
        self.faults = self.debug.faults = Disturber(disturbances, seed)
        for start, data in self._program.segments:
            self.debug.program_flash(start, data)
        self.faults.arm(self._clock, self._chip, self._brown_out, self._sleep.hang)
        self.reset(power_on=True)

    def _make_core(self, strict: bool, report: Callable[[Finding], None] | None) -> None:
        """The processor, its clock and exceptions, and what looks at them."""
        self._cpu = Cpu()
        self._cpu.on_return = self._leave_handler
        self._watched = self._reset_requested = self._power_lost = False
        self._clock = Clock(SECOND // mcu.ISO_HZ)
        self._clock.take_cycles = self._cpu.take_cycles
        self._clock.on_earlier = self._cpu.end_slice
        self._log = FindingLog(self._locate, strict, report)
        self._exceptions = exc.Exceptions(self._cpu)
        self._slices = Slices(self._cpu, self._clock, self._exceptions)
        self._core_faults = Faults(self._cpu, self._exceptions, self._log, self._program.name_of)
        self._core_checks = CoreChecks(
            self._cpu, self._exceptions, self._log, self._program.symbols
        )
        self._system = system_control.SystemControl(
            self._cpu, self._clock, self._exceptions, self._request_reset
        )
        self.debug = DebugPort(self._cpu)

    def _make_supply(self) -> None:
        """The current, and the LEDs that draw from it."""
        self.supply = Supply(lambda: self._clock.now)
        self._draws = ChipDraws(self.supply)
        self._leds = Leds(
            lambda: self._clock.seconds,
            lambda count: self.supply.enter("leds", "led", load=count),
        )

    def _make_accelerator(self) -> None:
        self._cnn = CnnPort(
            self._clock,
            self._cpu.stall,
            set_irq=lambda level: self._exceptions.set_level(addresses.IRQ_CNN, level),
            report=lambda message, address: self._log.add(
                "E-BOARD-CNN", message, address, self._cnn.begun_at
            ),
            supply=self.supply,
            place=lambda: self._cpu.get("PC"),
        )

    def _make_chip(self, seed: int | None) -> None:
        """The peripherals, and what they do to the core's clock, sleep and current."""
        self._chip = Peripherals(
            self._cpu, self._clock, self._log, self._exceptions, self._system, self._bus,
            request_reset=self._request_reset, cnn_power=self._set_cnn_power,
            pins_changed=self._pins_changed, seed=seed,
            clock_changed=lambda: self._draws.clock(
                self._clock.period, self._chip.gcr.fast_oscillators
            ), leave_power=self._leave_power,
        )  # fmt: skip
        for uart in self._chip.uarts:
            uart.on_enable = lambda: self._draws.uarts(sum(u.enabled for u in self._chip.uarts))
        self._chip.sequencer.on_wake = self._power_returns
        self._cnn.clocks = self._chip.gcr
        self._core_times = StateTimes(CORE_STATES, lambda: self._clock.now, self._draws.core)
        self._sleep = CoreSleep(
            self._exceptions, self._system, self._chip.sequencer, self._core_times
        )

    def _make_signals(self) -> None:
        self.signals = Signals(self._clock)
        self.signals.wire(self._exceptions, self.supply, self._cnn, self._chip.uarts)
        self.signals.exceptions.append(lambda number, entered: self._bus.interrupted(entered))
        self._trace.follow(self.signals)

    def _brown_out(self) -> None:
        self._power_lost = True
        self._request_reset()

    def _map(self) -> None:
        cpu, unit = self._cpu, self._system
        cnn_read = self._polled(self._cnn.read)
        reads, writes = self._trace.reads, self._trace.writes
        devices = (
            (peripherals.BASE, peripherals.SIZE, self._bus.read, self._bus.write),
            (addresses.CNN_BASE, addresses.CNN_BYTES, cnn_read, self._cnn_write),
            (system_control.BASE, system_control.SIZE, self._polled(unit.read), unit.write),
        )
        for base, size, read, write in devices:
            cpu.map_device(base, size, reads(read), writes(write))
            peek = self._bus.peek if base == peripherals.BASE else read
            self.debug.add_device(range(base, base + size), peek, write)
        cpu.map_memory(addresses.FLASH_BASE, addresses.FLASH_BYTES, writable=False)
        cpu.map_memory(_INFORMATION_BLOCK, _INFORMATION_BYTES, writable=False)
        cpu.write_memory(_INFORMATION_BLOCK, b"\xff" * _INFORMATION_BYTES)
        cpu.map_memory(addresses.SRAM_BASE, addresses.SRAM_BYTES, writable=True)
        cpu.write_memory(addresses.FLASH_BASE, b"\xff" * addresses.FLASH_BYTES)

    # -- what a user of the board does and sees

    @property
    def console(self) -> Uart:
        """UART0."""
        return self._chip.uarts[0]

    @property
    def camera(self) -> Camera:
        """The camera, whose ``show`` takes what it sees."""
        return self._chip.camera

    @property
    def microphone(self) -> I2s:
        """The I2S interface, whose ``hear`` takes the samples of the microphone."""
        return self._chip.i2s

    @property
    def spi(self) -> Sequence[Spi]:
        """SPI0 and SPI1, whose ``exchange`` is what answers at the other end."""
        return self._chip.spis

    @property
    def adc(self) -> Adc:
        """The converter, whose ``volts`` are the voltages at its channels."""
        return self._chip.adc

    @property
    def now(self) -> float:
        """Virtual seconds since power-on."""
        return self._clock.seconds

    @property
    def findings(self) -> list[Finding]:
        """What has been found so far."""
        return self._log.findings

    @property
    def leds(self) -> dict[str, bool]:
        """Whether each LED is lit, by colour."""
        return dict(self._leds.lit)

    @property
    def led_events(self) -> list[tuple[float, str, bool]]:
        """(seconds, name, lit), the last thousand."""
        return list(self._leds.events)

    @property
    def energy(self) -> dict[str, float]:
        """Seconds in each power state: core active/sleep/deep_sleep, CNN off/idle/active."""
        return self._core_times.seconds() | self._cnn.times.seconds()

    def press(self, button: str, down: bool = True) -> None:
        """Press ("SW1" or "SW2") or let go."""
        port, pin = BUTTONS[button]
        self._chip.ports[port].drive(pin, not down)
        self._pins_changed()

    def symbol(self, name: str) -> int:
        """Address of a symbol of the program; raises KeyError."""
        return self._program.symbols[name]

    def memory(self, address: int, size: int) -> bytes:
        """Content of flash or SRAM; raises LookupError elsewhere."""
        return self._cpu.read_memory(address, size)

    def reset(self, *, power_on: bool = False) -> None:
        """Reset the chip; SRAM is kept unless the power was off."""
        self._reset_requested = self._power_lost = False
        if power_on:
            self._chip.forget_memory(retained=0)
            for watchdog in self._chip.watchdogs:
                watchdog.forget()
        self._exceptions.reset()
        self._bus.forget()
        self._system.reset()
        self._chip.reset(power_on=power_on)
        self._cpu.reset(addresses.FLASH_BASE)
        self._sleep.end()
        tell(self.signals.resets)()

    def run(self, seconds: float | None = None, until: Callable[[], bool] | None = None) -> None:
        """Let virtual time pass.

        Args:
            seconds: how long at most; None means until the core sleeps with nothing to wake it.
            until: asked at least every virtual millisecond of execution, after each event and each
                interrupt handler, and before the core sleeps on; True ends the run.

        Raises:
            SimulatorError: the core locked up or has no handler for an exception, or a finding
                in strict mode.
        """
        end = None if seconds is None else self._clock.now + round(seconds * SECOND)
        self._watched = until is not None
        while until is None or not until():
            if self.debug.stopped or (end is not None and self._clock.now >= end):
                return
            if not self.step(end):
                return

    # -- for a pump between the board and the outside

    @property
    def asleep(self) -> bool:
        """The core waits for an interrupt or an event."""
        return self._sleep.reason is not None

    @property
    def has_work(self) -> bool:
        """A byte is on a serial line or the accelerator runs."""
        return self._clock.has_work

    @property
    def next_event(self) -> float | None:
        """Virtual seconds of the next event, None if there is none."""
        time = self._clock.next_time
        return None if time is None else time / SECOND

    def pass_time(self, until: float) -> None:
        """Let a sleeping core sleep on until the given virtual second, or to the next event."""
        self._sleep_on(round(until * SECOND))
        self._settle()

    def step(self, end: int | None = None) -> bool:
        """Run one slice or sleep to the next event, at most until ``end`` (femtoseconds).

        Returns False if the core sleeps and nothing will wake it, which takes no time.
        """
        self._sleep.look()
        if self.asleep:
            passed = self._sleep_on(end)
            self._settle()
            return passed
        try:
            if self._exceptions.pending:
                self._slices.unmask()
                self._enter_pending()
            halt = self._slices.run(end)
            self._core_checks.look(self._system.fpu_enabled)
            if halt.stop is not Stop.END and not self._reset_requested:
                self._stopped(halt)
        except exc.Lockup:
            raise SimulatorError(
                "E-BOARD-LOCKUP",
                "the core locked up: a fault inside a fault handler, or a stack pointer that "
                f"points nowhere\n{self._core_faults.dump()}",
            ) from None
        self._settle()
        return True

    # -- the core

    def _pins_changed(self) -> None:
        self._leds.look(self._chip.ports)
        self.supply.mark(marks(self._chip.ports))
        tell(self.signals.pins)(self._chip.ports)

    def _set_cnn_power(self, powered: int, ram: int, isolated: int, reset: int) -> None:
        self._cnn.set_power(powered, ram, isolated, reset)
        self._draws.cnn_memory(powered & ram, limits.QUADRANTS)

    def _settle(self) -> None:
        """Carry out what is due, and wake the core if that wakes it."""
        self._clock.fire_due()
        if self._reset_requested:
            self.reset(power_on=self._power_lost)
        self._sleep.look()

    def _sleep_on(self, end: int | None) -> bool:
        following = self._clock.next_time
        times = [time for time in (following, end) if time is not None]
        if times:
            self._clock.jump(min(times))
        return bool(times)

    def _stopped(self, halt: Halt) -> None:
        if halt.stop is Stop.WAIT_FOR_EVENT and self._cpu.has_sent_event(halt.address):
            self._exceptions.event = True
        if halt.stop in (Stop.WAIT_FOR_INTERRUPT, Stop.WAIT_FOR_EVENT):
            self._sleep.begin(halt.stop)
        elif halt.stop is Stop.EXCEPTION_RETURN:
            self._sleep.begin(Stop.WAIT_FOR_INTERRUPT)
        elif halt.stop is Stop.SUPERVISOR_CALL:
            self._core_faults.check_handler(self._exceptions.raise_fault(exc.SUPERVISOR_CALL))
        elif halt.stop is Stop.DEBUG or (halt.stop is Stop.BREAKPOINT and self.debug.attached):
            self.debug.stop(halt.address)
        else:
            self._core_faults.take(halt)

    def _enter_pending(self) -> None:
        entered = self._exceptions.enter_pending()
        if entered is not None:
            self._core_faults.check_handler(entered)

    def _leave_handler(self) -> bool:
        """Carry out an exception return; False if the core is to sleep then."""
        unit = self._exceptions
        sleeps = unit.leave()
        entered = unit.enter_pending(exc.CHAIN_CYCLES) if unit.pending else None
        if entered is not None:
            self._core_faults.check_handler(entered)
        else:
            self._cpu.stall(exc.RETURN_CYCLES)
            if sleeps:
                return False
        if self._watched:
            self._cpu.end_slice()
        return True

    def _leave_power(self, off: bool) -> None:
        """Backup mode keeps the RAM banks that are to be retained, power-down none."""
        self._power_lost = off
        self._sleep.lose_power()
        self._cpu.end_slice()

    def _power_returns(self) -> None:
        if self._sleep.reason is Stop.NO_POWER:
            self._chip.forget_memory(self._chip.sequencer.retained)
            self._reset_requested = True

    def _request_reset(self) -> None:
        self._reset_requested = True
        self._cpu.end_slice()

    def _locate(self, pc: int | None = None) -> tuple[int, str, float]:
        pc = self._cpu.get("PC") if pc is None else pc
        return pc, self._program.name_of(pc), self._clock.seconds

    def _cnn_write(self, address: int, value: int, size: int) -> None:
        self._bus.end_polling()
        self._cnn.write(address, value, size)

    def _polled(self, read: ReadDevice) -> ReadDevice:
        """Reads that may be part of a polling loop."""

        def noted(address: int, size: int) -> int:
            value = read(address, size)
            self._bus.polled(address, value)
            return value

        return noted
