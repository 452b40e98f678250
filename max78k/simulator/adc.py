"""ADC: 10-bit conversions of voltages that the user of the board sets."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import signal_registers as regs
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block

_CTRL, _INTR = regs.ADC_CTRL, regs.ADC_INTR
_START = _CTRL.field("START").mask
_POWERED = _CTRL.field("PWR").mask | _CTRL.field("REFBUF_PWR").mask
_FLAG = {field.name[:-3]: field.mask for field in _INTR.fields if field.name.endswith("_IF")}
_FLAGS = sum(_FLAG.values())
_ENABLE_TO_FLAG = 16
_TOP = (1 << 10) - 1
_CONVERSION_TIME = 1024 * SECOND // 6_000_000  # the vendor's driver: 5847 conversions at 6 MHz


class Adc(Block):
    """The converter.

    Attributes:
        volts: at the channels, by number; others are at 0 V.
    """

    def __init__(self, clock: Clock, set_irq: Callable[[bool], None]) -> None:
        super().__init__("ADC")
        self.volts: dict[int, float] = {}
        self._clock = clock
        self._set_irq = set_irq
        self._event: Event | None = None
        self.readers[regs.ADC_STATUS.offset] = lambda: int(self._event is not None)
        self.writers |= {_CTRL.offset: self._write_ctrl, _INTR.offset: self._write_intr}

    def reset(self) -> None:
        """Idle and without power."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._set_irq(False)

    def _write_ctrl(self, value: int) -> None:
        before = self.words.get(_CTRL.offset, 0)
        self.words[_CTRL.offset] = value & ~_START
        if value & _POWERED == _POWERED and before & _POWERED != _POWERED:
            self._raise(_FLAG["REF_READY"])
        if value & _START and self._event is None:
            self.words[_CTRL.offset] |= _START
            self._event = self._clock.schedule(_CONVERSION_TIME, self._converted, work=True)

    def _write_intr(self, value: int) -> None:
        flags = self.words.get(_INTR.offset, 0) & _FLAGS & ~value
        self.words[_INTR.offset] = value & ~_FLAGS | flags
        self._update_irq()

    def _raise(self, flags: int) -> None:
        self.words[_INTR.offset] = self.words.get(_INTR.offset, 0) | flags
        self._update_irq()

    def _update_irq(self) -> None:
        word = self.words.get(_INTR.offset, 0)
        self._set_irq(bool(word >> _ENABLE_TO_FLAG & word & 0x1F))

    def _converted(self) -> None:
        self._event = None
        self.words[_CTRL.offset] &= ~_START
        fields = _CTRL.unpack(self.words[_CTRL.offset])
        volts = self.volts.get(fields["CH_SEL"], 0.0) / (fields["ADC_DIVSEL"] + 1)
        volts = volts / 2 if fields["SCALE"] else volts
        reference = regs.ADC_REFERENCE_VOLTS / (2 if fields["REF_SCALE"] else 1)
        code = max(round(volts / reference * _TOP), 0)
        flags = _FLAG["DONE"] | (_FLAG["OVERFLOW"] if code > _TOP else 0)
        code = min(code, _TOP)
        self.words[regs.ADC_DATA.offset] = code << 6 if fields["DATA_ALIGN"] else code
        self._raise(flags | self._limit_flags(fields["CH_SEL"], code))

    def _limit_flags(self, channel: int, code: int) -> int:
        flags = 0
        for register in regs.ADC_LIMITS:
            limit = register.unpack(self.words.get(register.offset, 0))
            if limit["CH_SEL"] != channel:
                continue
            flags |= _FLAG["HI_LIMIT"] if limit["HI_LIMIT_EN"] and code > limit["HI_LIMIT"] else 0
            flags |= _FLAG["LO_LIMIT"] if limit["LO_LIMIT_EN"] and code < limit["LO_LIMIT"] else 0
        return flags
