"""The chip's peripherals, at their addresses, with their clocks and interrupt lines."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import addresses
from max78k.chip import io_registers as io
from max78k.chip import mcu_registers as mcu
from max78k.simulator.camera import Camera
from max78k.simulator.clock import Clock
from max78k.simulator.cpu import Cpu
from max78k.simulator.crc import CrcUnit
from max78k.simulator.dma import Dma, Request
from max78k.simulator.exceptions import Exceptions
from max78k.simulator.findings import FindingLog
from max78k.simulator.flash import FlashController
from max78k.simulator.gcr import ClockTree, CnnPower, LowPowerClocks
from max78k.simulator.gpio import Gpio
from max78k.simulator.i2c import I2c, I2cDevice, Pmic
from max78k.simulator.peripherals import STORAGE, Block, PeripheralBus
from max78k.simulator.rtc import RealTimeClock, WakeUpTimer
from max78k.simulator.sccb import CameraControl
from max78k.simulator.semaphores import Semaphores
from max78k.simulator.system_control import SystemControl
from max78k.simulator.timers import Timer, low_power_periods, standard_periods
from max78k.simulator.trng import RandomGenerator
from max78k.simulator.uart import LOW_POWER_SOURCES, Uart
from max78k.simulator.watchdog import Watchdog

_BLOCK = 0x400
_PAGE = 0x1000
_RAM_BANKS = ((0, 0x8000), (0x8000, 0x8000), (0x1_0000, 0xC000), (0x1_C000, 0x4000))

# (address, interrupt, clock gate register)
_UARTS = (
    (addresses.UART0, addresses.IRQ_UART0, 0),
    (addresses.UART1, addresses.IRQ_UART1, 0),
    (addresses.UART2, addresses.IRQ_UART2, 1),
)
_I2CS = (
    (addresses.I2C0, addresses.IRQ_I2C0, 0),
    (addresses.I2C1, addresses.IRQ_I2C1, 0),
    (addresses.I2C2, addresses.IRQ_I2C2, 1),
)
_TIMERS = (addresses.TMR0, addresses.TMR1, addresses.TMR2, addresses.TMR3)
_PORTS = ((addresses.GPIO0, _PAGE), (addresses.GPIO1, _PAGE), (addresses.GPIO2, 0x200))


class Peripherals:
    """All blocks but the accelerator.

    Args:
        request_reset: called for a system reset.
        cnn_power: called with the four masks of GCFR.
        pins_changed: called when an output pin changes.
        clock_changed: called when the core clock has changed.
        seed: of the random number generator.
    """

    def __init__(
        self,
        cpu: Cpu,
        clock: Clock,
        log: FindingLog,
        exceptions: Exceptions,
        system: SystemControl,
        bus: PeripheralBus,
        *,
        request_reset: Callable[[], None],
        cnn_power: Callable[[int, int, int, int], None],
        pins_changed: Callable[[], None],
        clock_changed: Callable[[], None],
        seed: int | None,
    ) -> None:
        self._cpu = cpu
        self._clock = clock
        self._exceptions = exceptions
        self._system = system
        self._bus = bus
        self._pins_changed = pins_changed
        self._core_clock_changed = clock_changed
        self._ready = False
        self._blocks: dict[str, Block] = {}

        self.gcr = ClockTree(
            self._clock_changes, self._clock_changed, self._reset_blocks, request_reset,
            self._zero_memory,
        )  # fmt: skip
        low_power = LowPowerClocks(self._reset_blocks)
        self.power = CnnPower(cnn_power)
        self.watchdogs = (
            Watchdog(
                "WDT0", clock, lambda source: self._peripheral_period(),
                self._line(addresses.IRQ_WDT0), request_reset,
            ),
            Watchdog(
                "WDT1", clock, lambda source: low_power_periods()[source & 3],
                self._line(addresses.IRQ_WDT1), request_reset,
            ),
        )  # fmt: skip
        self._add(addresses.GCR, _BLOCK, self.gcr)
        self._add(addresses.LPGCR, _BLOCK, low_power)
        self._add(addresses.GCFR, _BLOCK, self.power)
        self._add(addresses.WDT0, _BLOCK, self.watchdogs[0], self.gcr.clock_gate(1, "WDT0"))
        self._add(addresses.WDT1, _BLOCK, self.watchdogs[1], low_power.clock_gate("WDT1"))
        trng = RandomGenerator(seed)
        self._add(addresses.TRNG, _PAGE, trng, self.gcr.clock_gate(1, "TRNG"))
        self.flash = FlashController(cpu, log, self._line(addresses.IRQ_FLC))
        self._add(addresses.FLC, _BLOCK, self.flash)
        self.uarts = self._make_uarts(log, low_power)
        self.timers = self._make_timers(low_power)
        self.camera_control = CameraControl()
        self.ports = self._make_ports(low_power)
        self.camera = Camera(clock, log, self._line(addresses.IRQ_PCIF))
        self.camera.size = lambda: self.camera_control.size
        self._add(addresses.PCIF, _PAGE, self.camera, self.gcr.clock_gate(1, "PCIF"))
        self._add_time_and_helpers()
        self._add_buses()
        self._add_dma()
        for base, size, name, always_set in STORAGE:
            self._add(base, size, Block(name, always_set=always_set))
        self._ready = True

    def reset(self) -> None:
        """What a system reset does."""
        self._reset_blocks(None)
        self._clock_changes()
        self.gcr.reset()
        self._clock_changed(self.gcr.core_period)

    def _add_time_and_helpers(self) -> None:
        rtc = RealTimeClock(self._clock, self._line(addresses.IRQ_RTC))
        self._add(addresses.RTC, _BLOCK, rtc)
        self._add(addresses.WUT, _BLOCK, WakeUpTimer(self._clock, self._line(addresses.IRQ_WUT)))
        semaphores = Semaphores(self._line(addresses.IRQ_SEMA))
        self._add(addresses.SEMA, _PAGE, semaphores, self.gcr.clock_gate(1, "SMPHR"))
        self._add(addresses.CRC, _PAGE, CrcUnit(), self.gcr.clock_gate(1, "CRC"))

    def _add_buses(self) -> None:
        """I2C0-2; the power management chip is on I2C1."""
        self.pmic = Pmic()
        for n, (base, irq, gate) in enumerate(_I2CS):
            devices: dict[int, I2cDevice] = {Pmic.ADDRESS: self.pmic} if n == 1 else {}
            name = f"I2C{n}"
            bus = I2c(name, self._clock, self._line(irq), self._peripheral_period, devices)
            self._add(base, _PAGE, bus, self.gcr.clock_gate(gate, name))

    def _add_dma(self) -> None:
        requests = {
            io.DMA_REQUEST_PCIF: Request(
                self.camera.wants_dma, addresses.PCIF + io.PCIF_FIFO_DATA.offset, True
            )
        }
        numbers = zip(_UARTS, io.DMA_REQUESTS_UART_RX, io.DMA_REQUESTS_UART_TX, strict=True)
        for uart, ((base, _, _), receive, transmit) in zip(self.uarts, numbers, strict=False):
            fifo = base + mcu.UART_FIFO.offset
            requests[receive] = Request(uart.wants_receive_dma, fifo, True)
            requests[transmit] = Request(uart.wants_transmit_dma, fifo, False)
        dma = Dma(
            self._cpu, self._clock, self._bus, requests,
            lambda channel, level: self._exceptions.set_level(addresses.IRQ_DMA0 + channel, level),
        )  # fmt: skip
        self._add(addresses.DMA, _PAGE, dma, self.gcr.clock_gate(0, "DMA"))
        self.camera.on_level = dma.wake
        for uart in self.uarts:
            uart.on_level = dma.wake

    def _make_uarts(self, log: FindingLog, low_power: LowPowerClocks) -> list[Uart]:
        uarts = []
        for n, (base, irq, gate) in enumerate(_UARTS):
            name = f"UART{n}"
            uart = Uart(name, self._clock, log, self._line(irq), self._peripheral_period)
            self._add(base, _PAGE, uart, self.gcr.clock_gate(gate, name))
            uarts.append(uart)
        line = self._line(addresses.IRQ_UART3)
        uart = Uart("UART3", self._clock, log, line, self._peripheral_period, LOW_POWER_SOURCES)
        self._add(addresses.UART3, _BLOCK, uart, low_power.clock_gate("UART3"))
        return [*uarts, uart]

    def _make_timers(self, low_power: LowPowerClocks) -> list[Timer]:
        timers = []
        for n, base in enumerate(_TIMERS):
            timer = Timer(
                f"TMR{n}", self._clock, self._line(addresses.IRQ_TMR0 + n),
                lambda: standard_periods(self._peripheral_period()),
            )  # fmt: skip
            self._add(base, _PAGE, timer, self.gcr.clock_gate(0, timer.name))
            timers.append(timer)
        for n, base in enumerate((addresses.TMR4, addresses.TMR5)):
            line = self._line(addresses.IRQ_TMR4 + n)
            timer = Timer(f"TMR{4 + n}", self._clock, line, low_power_periods)
            self._add(base, _BLOCK, timer, low_power.clock_gate(timer.name))
            timers.append(timer)
        return timers

    def _make_ports(self, low_power: LowPowerClocks) -> list[Gpio]:
        ports = []
        for n, (base, size) in enumerate(_PORTS):
            name = f"GPIO{n}"
            port = Gpio(name, self._line(addresses.IRQ_GPIO0 + n), self._notify_pins)
            gate = low_power.clock_gate(name) if n == 2 else self.gcr.clock_gate(0, name)
            self._add(base, size, port, gate)
            ports.append(port)
        return ports

    def _add(
        self, base: int, size: int, block: Block, clocked: Callable[[], bool] | None = None
    ) -> None:
        self._blocks[block.name] = block
        self._bus.attach(base, size, block, clocked)

    def _line(self, irq: int) -> Callable[[bool], None]:
        return lambda level: self._exceptions.set_level(irq, level)

    def _notify_pins(self) -> None:
        if self._ready:
            self.camera_control.look(self.ports[0])
            self._pins_changed()

    def _peripheral_period(self) -> int:
        return self.gcr.peripheral_period

    def _clock_changes(self) -> None:
        self._system.systick.clock_changes()
        for timer in self.timers:
            timer.clock_changes()

    def _clock_changed(self, period: int) -> None:
        self._clock.set_period(period)
        self._system.systick.clock_changed()
        for timer in self.timers:
            timer.clock_changed()
        self._cpu.end_slice()
        self._core_clock_changed()

    def _reset_blocks(self, names: list[str] | None) -> None:
        """Reset the named blocks, or all but the clocks."""
        for name, block in self._blocks.items():
            if block is not self.gcr and (names is None or name in names):
                block.reset()
        if names is not None and "CNN" in names:
            self.power.pulse_reset()

    def _zero_memory(self, mask: int) -> None:
        for bank, (offset, size) in enumerate(_RAM_BANKS):
            if mask >> bank & 1:
                self._cpu.write_memory(addresses.SRAM_BASE + offset, bytes(size))
        self._cpu.forget_code()
