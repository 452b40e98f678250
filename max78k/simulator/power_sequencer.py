"""PWRSEQ: which event may wake the chip from deep sleep, and which has.

In deep sleep an event wakes the core only where its source is enabled: pins, RTC and wake-up timer
in GCR.PM, peripherals in LPPWEN. What silicon does with an event that is not enabled is to sleep
on; the model wakes, so that the firmware goes on, and tells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from max78k.chip import addresses
from max78k.chip import mcu_registers as mcu
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block

_OFFSET = {register.name: register.offset for register in mcu.PWRSEQ_REGISTERS}
_PORT_STATUS = tuple(_OFFSET[f"LPWKST{n}"] for n in range(4))
_PORT_ENABLE = tuple(_OFFSET[f"LPWKEN{n}"] for n in range(4))
_STATUS, _ENABLE = _OFFSET["LPPWST"], _OFFSET["LPPWEN"]
_RETENTION = mcu.PWRSEQ_LPCN.field("RAMRET")
_PIN_WAKE = mcu.GCR_PM.field("GPIO_WE").mask
# Interrupts whose enable lies in GCR.PM, and those whose enable is a bit of LPPWEN.
_BY_POWER_MODE = {
    addresses.IRQ_RTC: mcu.GCR_PM.field("RTC_WE").mask,
    addresses.IRQ_WUT: mcu.GCR_PM.field("WUT_WE").mask,
}
_BY_PERIPHERAL = {
    addresses.IRQ_WDT0: 8,
    addresses.IRQ_WDT1: 9,
    **{addresses.IRQ_TMR0 + n: 11 + n for n in range(6)},
    addresses.IRQ_UART0: 17,
    addresses.IRQ_UART1: 18,
    addresses.IRQ_UART2: 19,
    addresses.IRQ_UART3: 20,
    addresses.IRQ_I2C0: 21,
    addresses.IRQ_I2C1: 22,
    addresses.IRQ_I2C2: 23,
    addresses.IRQ_I2S: 24,
    addresses.IRQ_SPI0: 25,
}


class PowerSequencer(Block):
    """Status bits are cleared by writing 1, and kept over resets.

    Args:
        set_irq: drives the line of the wake-up by pins.
        power_mode: gives GCR.PM.

    Attributes:
        in_deep_sleep: the core is in a mode that needs an enabled source to be left.
        on_wake: called when an enabled source wakes the chip from it.
    """

    def __init__(
        self, log: FindingLog, set_irq: Callable[[bool], None], power_mode: Callable[[], int]
    ) -> None:
        super().__init__("PWRSEQ")
        self._log = log
        self._set_irq = set_irq
        self._power_mode = power_mode
        self.in_deep_sleep = False
        self.on_wake: Callable[[], None] = lambda: None
        for offset in (*_PORT_STATUS, _STATUS):
            self.writers[offset] = partial(self._clear, offset)

    @property
    def retained(self) -> int:
        """Mask of the RAM banks that keep their content in backup mode."""
        return _RETENTION.get(self.words.get(mcu.PWRSEQ_LPCN.offset, 0))

    def pins_rise(self, port: int, flags: int) -> None:
        """Interrupt flags of a port's pins have been raised."""
        if not self.in_deep_sleep:
            return
        woken = flags & self.words.get(_PORT_ENABLE[port], 0)
        if woken and self._power_mode() & _PIN_WAKE:
            self._note(_PORT_STATUS[port], woken)
            self._set_irq(True)
        else:
            self._tell(f"a pin of port {port}")

    def line_rises(self, irq: int) -> None:
        """The interrupt line of a peripheral has become high."""
        if not self.in_deep_sleep:
            return
        by_mode, bit = _BY_POWER_MODE.get(irq), _BY_PERIPHERAL.get(irq)
        if by_mode is not None and self._power_mode() & by_mode:
            self.on_wake()
        elif bit is not None and self.words.get(_ENABLE, 0) >> bit & 1:
            self._note(_STATUS, 1 << bit)
        elif by_mode is not None or bit is not None:
            self._tell(f"interrupt {irq}")

    def _note(self, offset: int, bits: int) -> None:
        self.words[offset] = self.words.get(offset, 0) | bits
        self.on_wake()

    def _tell(self, source: str) -> None:
        self._log.add(
            "E-BOARD-WAKE",
            f"{source} comes in deep sleep, which is not enabled to wake the chip: silicon "
            "sleeps on",
        )

    def _clear(self, offset: int, value: int) -> None:
        self.words[offset] = self.words.get(offset, 0) & ~value
        if not any(self.words.get(status, 0) for status in _PORT_STATUS):
            self._set_irq(False)
