"""The chip's peripherals, at their addresses, with their clocks and interrupt lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from max78k.chip import addresses
from max78k.chip import io_registers as io
from max78k.chip import mcu_registers as mcu
from max78k.chip import signal_registers as signals
from max78k.simulator.adc import Adc
from max78k.simulator.aes import AesKeys, AesUnit
from max78k.simulator.camera import Camera
from max78k.simulator.clock import Clock
from max78k.simulator.cpu import Cpu
from max78k.simulator.crc import CrcUnit
from max78k.simulator.dma import ByteStream, Dma, Request
from max78k.simulator.exceptions import Exceptions
from max78k.simulator.findings import FindingLog
from max78k.simulator.flash import FlashController
from max78k.simulator.gcr import ClockTree, CnnPower, LowPowerClocks
from max78k.simulator.gpio import Gpio
from max78k.simulator.i2c import I2c, I2cDevice, Pmic
from max78k.simulator.i2s import I2s
from max78k.simulator.onewire import OneWire
from max78k.simulator.peripherals import STORAGE, Block, PeripheralBus
from max78k.simulator.power_sequencer import PowerSequencer
from max78k.simulator.rtc import RealTimeClock, WakeUpTimer
from max78k.simulator.sccb import ADDRESS as CAMERA_ADDRESS
from max78k.simulator.sccb import CameraControl
from max78k.simulator.semaphores import Semaphores
from max78k.simulator.spi import Spi
from max78k.simulator.system_control import SystemControl
from max78k.simulator.timers import Timer, low_power_periods, standard_periods
from max78k.simulator.trng import RandomGenerator
from max78k.simulator.uart import LOW_POWER_SOURCES, Uart
from max78k.simulator.watchdog import Watchdog

_BLOCK = 0x400
_PAGE = 0x1000
RAM_PATTERN = bytes.fromhex("a5c35a3c")  # what RAM holds at power-on; real content is random
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
_SPIS = (
    (addresses.SPI0, addresses.IRQ_SPI0, 1),
    (addresses.SPI1, addresses.IRQ_SPI1, 0),
)
_TIMERS = (addresses.TMR0, addresses.TMR1, addresses.TMR2, addresses.TMR3)
# Port and mask of the pins that belong to UART0-3.
_UART_PINS = ((0, 0x3), (0, 0x3000), (1, 0x3), (2, 0xC0))
# (port, pin) that is a timer's input where its function is switched from GPIO to the timer.
_TIMER_PINS = {(0, 2): 0, (0, 14): 1, (0, 26): 2, (1, 6): 3, (2, 4): 4, (2, 5): 5}
_PORTS = ((addresses.GPIO0, _PAGE), (addresses.GPIO1, _PAGE), (addresses.GPIO2, 0x200))


class Peripherals:
    """All blocks but the accelerator.

    Args:
        request_reset: called for a system reset.
        cnn_power: called with the four masks of GCFR.
        pins_changed: called when an output pin changes.
        clock_changed: called when the core clock has changed.
        leave_power: called with True when the chip is to be switched off, False for backup mode.
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
        leave_power: Callable[[bool], None],
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
            self._zero_memory, leave_power, log,
        )  # fmt: skip
        low_power = LowPowerClocks(self._reset_blocks)
        self._add_clocks_and_power(low_power, log, cnn_power)
        self._add_watchdogs(low_power, request_reset)
        trng = RandomGenerator(seed, self._line(addresses.IRQ_TRNG))
        self._add(addresses.TRNG, _PAGE, trng, self.gcr.clock_gate(1, "TRNG"))
        self.flash = FlashController(cpu, clock, log, self._line(addresses.IRQ_FLC))
        self._add(addresses.FLC, _BLOCK, self.flash)
        self.uarts = self._make_uarts(log, low_power)
        self.timers = self._make_timers(low_power)
        self.ports = self._make_ports(low_power)
        self._add_camera(log)
        self._add_time_and_helpers()
        self._add_buses()
        self._add_signals()
        self._add_dma()
        for base, size, name, always_set in STORAGE:
            self._add(base, size, Block(name, always_set=always_set))
        self._ready = True

    def reset(self, *, power_on: bool) -> None:
        """What a system reset does; clock and wake-up status go on unless the power was off."""
        self._reset_blocks(None)
        if power_on:
            for block in self._always_on:
                block.reset()
        self._clock_changes()
        self.gcr.reset()
        self._clock_changed(self.gcr.core_period)

    def _add_clocks_and_power(
        self,
        low_power: LowPowerClocks,
        log: FindingLog,
        cnn_power: Callable[[int, int, int, int], None],
    ) -> None:
        self.sequencer = PowerSequencer(
            log,
            lambda level: self._exceptions.set_level(addresses.IRQ_GPIO_WAKE, level),
            lambda: self.gcr.power_mode,
        )
        self.power = CnnPower(cnn_power)
        self._add(addresses.GCR, _BLOCK, self.gcr)
        self._add(addresses.LPGCR, _BLOCK, low_power)
        self._add(addresses.GCFR, _BLOCK, self.power)
        self._add(addresses.PWRSEQ, _BLOCK, self.sequencer)

    def _add_watchdogs(self, low_power: LowPowerClocks, request_reset: Callable[[], None]) -> None:
        self.watchdogs = (
            Watchdog(
                "WDT0", self._clock, lambda source: self._peripheral_period(),
                self._line(addresses.IRQ_WDT0), request_reset,
            ),
            Watchdog(
                "WDT1", self._clock, lambda source: low_power_periods()[source & 3],
                self._line(addresses.IRQ_WDT1), request_reset,
            ),
        )  # fmt: skip
        self._add(addresses.WDT0, _BLOCK, self.watchdogs[0], self.gcr.clock_gate(1, "WDT0"))
        self._add(addresses.WDT1, _BLOCK, self.watchdogs[1], low_power.clock_gate("WDT1"))

    def _add_camera(self, log: FindingLog) -> None:
        """The parallel interface; the camera's own registers are on I2C2."""
        self.camera_control = CameraControl()
        self.camera = Camera(self._clock, log, self._line(addresses.IRQ_PCIF))
        self.camera.size = lambda: self.camera_control.size
        self._add(addresses.PCIF, _PAGE, self.camera, self.gcr.clock_gate(1, "PCIF"))

    def _add_time_and_helpers(self) -> None:
        rtc = RealTimeClock(self._clock, self._line(addresses.IRQ_RTC))
        self._always_on = (self.sequencer, rtc)
        self._add(addresses.RTC, _BLOCK, rtc)
        self._add(addresses.WUT, _BLOCK, WakeUpTimer(self._clock, self._line(addresses.IRQ_WUT)))
        semaphores = Semaphores(self._line(addresses.IRQ_SEMA))
        self._add(addresses.SEMA, _PAGE, semaphores, self.gcr.clock_gate(1, "SMPHR"))
        self._crc = CrcUnit()
        self._add(addresses.CRC, _PAGE, self._crc, self.gcr.clock_gate(1, "CRC"))

    def _add_buses(self) -> None:
        """I2C0-2; the power management chip is on I2C1, the camera on the pins of I2C2."""
        devices: tuple[dict[int, I2cDevice], ...] = (
            {}, {Pmic.ADDRESS: Pmic()}, {CAMERA_ADDRESS: self.camera_control},
        )  # fmt: skip
        for n, (base, irq, gate) in enumerate(_I2CS):
            name = f"I2C{n}"
            bus = I2c(name, self._clock, self._line(irq), self._peripheral_period, devices[n])
            self._add(base, _PAGE, bus, self.gcr.clock_gate(gate, name))

    def _add_signals(self) -> None:
        """SPI0-1, ADC, I2S, 1-Wire, AES."""
        clock, gate = self._clock, self.gcr.clock_gate
        self.spis = []
        for n, (base, irq, register) in enumerate(_SPIS):
            spi = Spi(f"SPI{n}", clock, self._line(irq), self._peripheral_period)
            self._add(base, _BLOCK, spi, gate(register, spi.name))
            self.spis.append(spi)
        self.adc = Adc(clock, self._line(addresses.IRQ_ADC))
        self._add(addresses.ADC, _PAGE, self.adc, gate(0, "ADC"))
        self.i2s = I2s(clock, self._line(addresses.IRQ_I2S))
        self._add(addresses.I2S, _PAGE, self.i2s, gate(1, "I2S"))
        one_wire = OneWire(clock, self._line(addresses.IRQ_OWM))
        self._add(addresses.OWM, _PAGE, one_wire, gate(1, "OWM"))
        keys = AesKeys()
        self._aes = AesUnit(keys, self._line(addresses.IRQ_AES))
        self._add(addresses.AES, _BLOCK, self._aes, gate(1, "AES"))
        self._add(addresses.AES_KEYS, _BLOCK, keys, gate(1, "AES"))

    def _dma_requests(self) -> dict[int, Request]:
        """The request lines of all blocks but the UARTs, by number."""
        i2s, aes = self.i2s, self._aes
        i2s_fifo = addresses.I2S + signals.I2S_FIFO.offset
        aes_fifo = addresses.AES + signals.AES_FIFO.offset
        pcif_fifo = addresses.PCIF + io.PCIF_FIFO_DATA.offset
        crc_data = addresses.CRC + io.CRC_DATAIN.offset
        requests = {
            io.DMA_REQUEST_PCIF: Request(self.camera.wants_dma, pcif_fifo, True),
            signals.DMA_REQUEST_I2S_RX: Request(i2s.wants_receive_dma, i2s_fifo, True),
            signals.DMA_REQUEST_I2S_TX: Request(i2s.wants_transmit_dma, i2s_fifo, False),
            signals.DMA_REQUEST_AES_RX: Request(aes.wants_receive_dma, aes_fifo, True),
            signals.DMA_REQUEST_AES_TX: Request(aes.wants_transmit_dma, aes_fifo, False),
            signals.DMA_REQUEST_CRC_TX: Request(self._crc.wants_dma, crc_data, False),
        }
        numbers = zip(signals.DMA_REQUESTS_SPI_RX, signals.DMA_REQUESTS_SPI_TX, strict=True)
        for spi, (base, _, _), (receive, transmit) in zip(self.spis, _SPIS, numbers, strict=True):
            requests[receive] = Request(spi.wants_receive_dma, base, True)
            requests[transmit] = Request(spi.wants_transmit_dma, base, False)
        return requests

    def _add_dma(self) -> None:
        requests = self._dma_requests()
        numbers = (io.DMA_REQUESTS_UART_RX, io.DMA_REQUESTS_UART_TX)
        streams = list(zip(self.uarts, *numbers, strict=False))  # UART3 comes last, it has none
        for (uart, receive, transmit), (base, _, _) in zip(streams, _UARTS, strict=True):
            fifo = base + mcu.UART_FIFO.offset
            requests[receive] = Request(uart.wants_receive_dma, fifo, True)
            requests[transmit] = Request(uart.wants_transmit_dma, fifo, False)
        dma = Dma(
            self._cpu, self._clock, self._bus, requests,
            lambda channel, level: self._exceptions.set_level(addresses.IRQ_DMA0 + channel, level),
        )  # fmt: skip
        self._add(addresses.DMA, _PAGE, dma, self.gcr.clock_gate(0, "DMA"))
        for uart, receive, transmit in streams:
            uart.receive_stream = ByteStream(dma, receive, reads=True)
            uart.transmit_stream = ByteStream(dma, transmit, reads=False)
        dma.before_read, dma.before_change = self._look_at_lines, self._end_runs
        self.camera.on_level = self.i2s.on_level = self._aes.on_level = dma.wake
        for uart in self.uarts:
            uart.on_level = dma.wake
        for spi in self.spis:
            spi.on_level = dma.wake

    def _look_at_lines(self) -> None:
        for uart in self.uarts:
            uart.look()

    def _end_runs(self) -> None:
        for uart in self.uarts:
            uart.end_runs()

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
        uarts.append(uart)
        for uart, (port, mask) in zip(uarts, _UART_PINS, strict=True):
            uart.connected = partial(self._switched, port, mask)
        return uarts

    def _switched(self, port: int, mask: int) -> bool:
        """Some of the pins belong to a peripheral."""
        return bool(mask & ~self.ports[port].plain)

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
            port = Gpio(name, partial(self._set_pin_line, n), self._notify_pins)
            port.on_drive = partial(self._pin_driven, n)
            gate = low_power.clock_gate(name) if n == 2 else self.gcr.clock_gate(0, name)
            self._add(base, size, port, gate)
            ports.append(port)
        return ports

    def _add(
        self, base: int, size: int, block: Block, clocked: Callable[[], bool] = lambda: True
    ) -> None:
        self._blocks[block.name] = block
        self._bus.attach(base, size, block, clocked)

    def _line(self, irq: int) -> Callable[[bool], None]:
        def drive(level: bool) -> None:
            if level and self.sequencer.in_deep_sleep:
                self.sequencer.line_rises(irq)
            self._exceptions.set_level(irq, level)

        return drive

    def _set_pin_line(self, port: int, level: bool) -> None:
        if level:
            self.sequencer.pins_rise(port, self.ports[port].flags)
        self._exceptions.set_level(addresses.IRQ_GPIO0 + port, level)

    def _pin_driven(self, port: int, pin: int, level: bool) -> None:
        timer = _TIMER_PINS.get((port, pin))
        if timer is not None and not self.ports[port].plain >> pin & 1:
            self.timers[timer].move_pin(level)

    def _notify_pins(self) -> None:
        if self._ready:
            self.camera_control.look(self.ports[0])
            self._pins_changed()

    def _peripheral_period(self) -> int:
        return self.gcr.peripheral_period

    def _clock_changes(self) -> None:
        self._end_runs()
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
            chosen = block not in self._always_on if names is None else name in names
            if chosen and block is not self.gcr:
                block.reset()
        if names is not None and "CNN" in names:
            self.power.pulse_reset()

    def forget_memory(self, retained: int) -> None:
        """The RAM banks that are not in the mask ``retained`` lose their content."""
        for bank, (offset, size) in enumerate(_RAM_BANKS):
            if not retained >> bank & 1:
                content = RAM_PATTERN * (size // len(RAM_PATTERN))
                self._cpu.write_memory(addresses.SRAM_BASE + offset, content)
        self._cpu.forget_code()

    def _zero_memory(self, mask: int) -> None:
        for bank, (offset, size) in enumerate(_RAM_BANKS):
            if mask >> bank & 1:
                self._cpu.write_memory(addresses.SRAM_BASE + offset, bytes(size))
        self._cpu.forget_code()
