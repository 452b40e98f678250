"""Clocks, resets and power switches: GCR, LPGCR and GCFR."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import addresses
from max78k.chip import mcu_registers as mcu
from max78k.chip.registers import Register
from max78k.simulator.clock import SECOND
from max78k.simulator.findings import FindingLog
from max78k.simulator.peripherals import Block, by_offset

_SEL = mcu.GCR_CLKCTRL.field("SYSCLK_SEL")
_DIV = mcu.GCR_CLKCTRL.field("SYSCLK_DIV")
_SYSCLK_RDY = mcu.GCR_CLKCTRL.field("SYSCLK_RDY").mask
_INRO_RDY = mcu.GCR_CLKCTRL.field("INRO_RDY").mask
_READY_MASK = sum(
    mcu.GCR_CLKCTRL.field(f"{name}_RDY").mask for name in ("ERTCO", "ISO", "IPO", "IBRO", "INRO")
)
_ENABLE_TO_READY = 8  # ready bit n + 8 follows enable bit n: 17 -> 25 ... 20 -> 28
_ENABLES = sum(mcu.GCR_CLKCTRL.field(f"{name}_EN").mask for name in ("ERTCO", "ISO", "IPO", "IBRO"))
_ENABLE_OF = {
    mcu.CLOCK_SOURCE_ISO: mcu.GCR_CLKCTRL.field("ISO_EN").mask,
    mcu.CLOCK_SOURCE_IPO: mcu.GCR_CLKCTRL.field("IPO_EN").mask,
    mcu.CLOCK_SOURCE_IBRO: mcu.GCR_CLKCTRL.field("IBRO_EN").mask,
}
_STARTED = mcu.GCR_SYSCTRL.field("ICC0_FLUSH").mask | mcu.GCR_SYSCTRL.field("CCHK").mask
_CPU1_OFF = mcu.GCR_PCLKDIS1.field("CPU1").mask
_PM_MODE = mcu.GCR_PM.field("MODE")
_BACKUP, _POWER_DOWN = 4, 10
_CNN_CLOCK_OFF = mcu.GCR_PCLKDIS0.field("CNN").mask
_SYSTEM_RESETS = mcu.GCR_RST0.field("SYS").mask
_PERIPHERAL_RESETS = mcu.GCR_RST0.field("PERIPH").mask | mcu.GCR_RST0.field("SOFT").mask


def _gate(block: Block, register: Register, name: str) -> Callable[[], bool]:
    offset, mask = register.offset, register.field(name).mask
    return lambda: not block.words[offset] & mask


class ClockTree(Block):
    """GCR. Frequencies are derived from its registers; nominal oscillator frequencies are exact.

    Args:
        before_change, after_change: called around a change of the core clock.
        reset_blocks: called with the names of blocks to reset, None for all peripherals.
        request_reset: called for a system reset.
        zero_memory: called with the mask of MEMZ.
        leave_power: called with True when the chip is to be switched off, False for backup mode.
        log: told of a clock that does not run.
    """

    def __init__(
        self,
        before_change: Callable[[], None],
        after_change: Callable[[int], None],
        reset_blocks: Callable[[list[str] | None], None],
        request_reset: Callable[[], None],
        zero_memory: Callable[[int], None],
        leave_power: Callable[[bool], None],
        log: FindingLog,
    ) -> None:
        super().__init__("GCR", by_offset(mcu.GCR_REGISTERS, mcu.GCR_RESET_VALUES))
        self._before_change = before_change
        self._after_change = after_change
        self._reset_blocks = reset_blocks
        self._request_reset = request_reset
        self._zero_memory = zero_memory
        self._leave_power = leave_power
        self._log = log
        self.readers[mcu.GCR_CLKCTRL.offset] = self._read_clkctrl
        self.writers[mcu.GCR_CLKCTRL.offset] = self._write_clkctrl
        self.writers[mcu.GCR_SYSCTRL.offset] = self._write_sysctrl
        self.writers[mcu.GCR_PCLKDIS1.offset] = self._write_pclkdis1
        self.writers[mcu.GCR_PM.offset] = self._write_pm
        self.writers[mcu.GCR_RST0.offset] = self._write_rst0
        self.writers[mcu.GCR_RST1.offset] = self._write_rst1
        self.writers[mcu.GCR_MEMZ.offset] = self._zero_memory

    @property
    def core_period(self) -> int:
        """Femtoseconds of one core cycle."""
        word = self.words[mcu.GCR_CLKCTRL.offset]
        frequency = mcu.CLOCK_SOURCE_HZ.get(_SEL.get(word), mcu.ISO_HZ)
        return (SECOND << _DIV.get(word)) // frequency

    @property
    def peripheral_period(self) -> int:
        """Femtoseconds of one cycle of PCLK."""
        return self.core_period * mcu.PCLK_DIVISOR

    @property
    def cnn_period(self) -> int:
        """Femtoseconds of one cycle of the CNN clock."""
        fields = mcu.GCR_PCLKDIV.unpack(self.words[mcu.GCR_PCLKDIV.offset])
        source = SECOND // mcu.ISO_HZ if fields["CNNCLKSEL"] else self.peripheral_period
        return source * mcu.CNN_CLOCK_DIVISOR.get(fields["CNNCLKDIV"], 1)

    @property
    def cnn_clock_on(self) -> bool:
        """The clock gate of the CNN is open."""
        return not self.words[mcu.GCR_PCLKDIS0.offset] & _CNN_CLOCK_OFF

    def clock_gate(self, register: int, name: str) -> Callable[[], bool]:
        """A function that tells whether a block's clock is on; ``register`` is 0 or 1."""
        table = (mcu.GCR_PCLKDIS0, mcu.GCR_PCLKDIS1)[register]
        return _gate(self, table, name)

    def _read_clkctrl(self) -> int:
        word = self.words[mcu.GCR_CLKCTRL.offset] & ~_READY_MASK
        return word | (word & _ENABLES) << _ENABLE_TO_READY | _INRO_RDY | _SYSCLK_RDY

    @property
    def fast_oscillators(self) -> int:
        """How many of ISO, IPO and IBRO run."""
        word = self.words[mcu.GCR_CLKCTRL.offset]
        return sum(bool(word & mask) for mask in _ENABLE_OF.values())

    @property
    def power_mode(self) -> int:
        """GCR.PM."""
        return self.words.get(mcu.GCR_PM.offset, 0)

    def _write_sysctrl(self, value: int) -> None:
        """Flushing the cache and checking the ROM are over at once."""
        self.words[mcu.GCR_SYSCTRL.offset] = value & ~_STARTED

    def _write_pclkdis1(self, value: int) -> None:
        self.words[mcu.GCR_PCLKDIS1.offset] = value
        if not value & _CPU1_OFF:
            self._log.add("N-BOARD-RISCV", "the RISC-V core is started, which is not modelled")

    def _write_pm(self, value: int) -> None:
        """Sleep modes wait for WFI; backup and power-down begin at once."""
        self.words[mcu.GCR_PM.offset] = value
        mode = _PM_MODE.get(value)
        if mode in (_BACKUP, _POWER_DOWN):
            self._leave_power(mode == _POWER_DOWN)

    def _write_clkctrl(self, value: int) -> None:
        source, enable = _SEL.get(value), _ENABLE_OF.get(_SEL.get(value), 0)
        if enable & ~value:
            self._log.add(
                "E-BOARD-OSC",
                f"the system clock is taken from source {source}, whose oscillator is not enabled: "
                "silicon stops here",
                addresses.GCR + mcu.GCR_CLKCTRL.offset,
            )
        self._before_change()
        self.words[mcu.GCR_CLKCTRL.offset] = value
        self._after_change(self.core_period)

    def _write_rst0(self, value: int) -> None:
        if value & _SYSTEM_RESETS:
            self._request_reset()
        elif value & _PERIPHERAL_RESETS:
            self._reset_blocks(None)
        else:
            names = mcu.GCR_RST0.unpack(value)
            self._reset_blocks([name for name, bit in names.items() if bit])

    def _write_rst1(self, value: int) -> None:
        names = mcu.GCR_RST1.unpack(value)
        self._reset_blocks([name for name, bit in names.items() if bit])


class LowPowerClocks(Block):
    """LPGCR: clocks and resets of GPIO2, TMR4, TMR5, UART3."""

    def __init__(self, reset_blocks: Callable[[list[str] | None], None]) -> None:
        disabled = mcu.LPGCR_PCLKDIS
        super().__init__("LPGCR", {disabled.offset: sum(f.mask for f in disabled.fields)})
        self._reset_blocks = reset_blocks
        self.writers[mcu.LPGCR_RST.offset] = self._write_rst

    def clock_gate(self, name: str) -> Callable[[], bool]:
        """A function that tells whether a block's clock is on."""
        return _gate(self, mcu.LPGCR_PCLKDIS, name)

    def _write_rst(self, value: int) -> None:
        names = mcu.LPGCR_RST.unpack(value)
        self._reset_blocks([name for name, bit in names.items() if bit])


class CnnPower(Block):
    """GCFR: power, memory power, isolation and reset of the CNN quadrants.

    ``changed`` is called with the four masks after every write and reset.
    """

    def __init__(self, changed: Callable[[int, int, int, int], None]) -> None:
        super().__init__("GCFR", {register.offset: 0 for register in mcu.GCFR_REGISTERS})
        self._changed = changed

    @property
    def powered(self) -> int:
        """Mask of the quadrants that have power."""
        return self.words[mcu.GCFR_REG0.offset]

    def reset(self) -> None:
        """All quadrants off."""
        super().reset()
        self._notify()

    def write(self, offset: int, value: int) -> None:
        """Keep the mask and tell the accelerator."""
        super().write(offset, value & 0xF)
        self._notify()

    def pulse_reset(self) -> None:
        """Reset all quadrants for a moment, as GCR.RST0 does."""
        power, ram, isolation, _ = (self.words[r.offset] for r in mcu.GCFR_REGISTERS)
        self._changed(power, ram, isolation, 0xF)
        self._notify()

    def _notify(self) -> None:
        power, ram, isolation, reset = (self.words[r.offset] for r in mcu.GCFR_REGISTERS)
        self._changed(power, ram, isolation, reset)
