"""OWM: a 1-Wire master on a line that nothing is connected to."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import signal_registers as regs
from max78k.simulator.clock import SECOND, Clock, Event
from max78k.simulator.peripherals import Block

_FLAG = {field.name: field.mask for field in regs.OWM_INTFL.fields}
_RESET = regs.OWM_CTRL_STAT.field("START_OW_RESET").mask
_LINE_HIGH = regs.OWM_CTRL_STAT.field("OW_INPUT").mask
_SINGLE_BIT = regs.OWM_CFG.field("SINGLE_BIT_MODE").mask
_RESET_TIME, _BIT_TIME = SECOND * 960 // 1_000_000, SECOND * 70 // 1_000_000  # 1-Wire standard


class OneWire(Block):
    """Resets find nobody, and all bits are read as they are sent."""

    def __init__(self, clock: Clock, set_irq: Callable[[bool], None]) -> None:
        super().__init__("OWM", always_set={regs.OWM_CTRL_STAT.offset: _LINE_HIGH})
        self._clock = clock
        self._set_irq = set_irq
        self._event: Event | None = None
        self.writers |= {
            regs.OWM_CTRL_STAT.offset: self._write_control,
            regs.OWM_DATA.offset: self._write_data,
            regs.OWM_INTFL.offset: self._clear_flags,
            regs.OWM_INTEN.offset: self._write_enables,
        }

    def reset(self) -> None:
        """Idle."""
        super().reset()
        self._clock.cancel(self._event)
        self._event = None
        self._set_irq(False)

    def _write_control(self, value: int) -> None:
        self.words[regs.OWM_CTRL_STAT.offset] = value & ~_RESET
        if value & _RESET:
            self._begin(_RESET_TIME, _FLAG["OW_RESET_DONE"])

    def _write_data(self, value: int) -> None:
        bits = 1 if self.words.get(regs.OWM_CFG.offset, 0) & _SINGLE_BIT else 8
        self.words[regs.OWM_DATA.offset] = value & ((1 << bits) - 1)
        self._begin(bits * _BIT_TIME, _FLAG["TX_DATA_EMPTY"] | _FLAG["RX_DATA_READY"])

    def _begin(self, time: int, flags: int) -> None:
        self._clock.cancel(self._event)
        self._event = self._clock.schedule(time, lambda: self._end(flags), work=True)

    def _end(self, flags: int) -> None:
        self._event = None
        self.words[regs.OWM_INTFL.offset] = self.words.get(regs.OWM_INTFL.offset, 0) | flags
        self._update_irq()

    def _clear_flags(self, value: int) -> None:
        flags = self.words.get(regs.OWM_INTFL.offset, 0) & ~value
        self.words[regs.OWM_INTFL.offset] = flags
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[regs.OWM_INTEN.offset] = value
        self._update_irq()

    def _update_irq(self) -> None:
        words = self.words
        enables = words.get(regs.OWM_INTEN.offset, 0)
        self._set_irq(bool(words.get(regs.OWM_INTFL.offset, 0) & enables))
