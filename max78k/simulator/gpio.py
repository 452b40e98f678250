"""GPIO ports, and what the MAX78000FTHR board connects to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from max78k.chip import mcu_registers as mcu
from max78k.simulator.peripherals import Block

_OFFSET = {register.name: register.offset for register in mcu.GPIO_REGISTERS}
_FUNCTION_REGISTER = "EN0"  # all pins are plain GPIO after a reset
_LED_EVENTS = 1000
_TRIGGERS = ("INTMODE", "INTPOL", "DUALEDGE")
_WITH_SET_AND_CLEAR = ("EN0", "EN1", "EN2", "OUTEN", "OUT", "INTEN", "WKEN")

# (port, pin): lit or pressed when low.
LEDS = {"red": (2, 0), "green": (2, 1), "blue": (2, 2)}
BUTTONS = {"SW1": (0, 2), "SW2": (1, 7)}
# Free pins of a header, on which our firmware tells a current meter what it does: bits 0 and 1.
MARKS = (2, 6)


class Gpio(Block):
    """One port of 32 pins; pins that nothing drives read 1, as with a pull-up.

    A level interrupt comes with polarity 0 from a high pin and with 1 from a low one, as the
    vendor's driver has it; its flag comes back as long as the level stays.

    Args:
        set_irq: drives the port's interrupt line.
        changed: called after the output registers change.

    Attributes:
        on_drive: called with a pin and its new level when it is driven from outside.
    """

    def __init__(
        self, name: str, set_irq: Callable[[bool], None], changed: Callable[[], None]
    ) -> None:
        super().__init__(name, {_OFFSET[_FUNCTION_REGISTER]: 0xFFFF_FFFF})
        self._set_irq = set_irq
        self._changed = changed
        self._pins = 0xFFFF_FFFF
        self.on_drive: Callable[[int, bool], None] = lambda pin, level: None
        self.readers[_OFFSET["IN"]] = lambda: self.levels
        self.writers[_OFFSET["IN"]] = lambda value: None
        self.writers[_OFFSET["INTFL"]] = lambda value: None
        self.writers[_OFFSET["INTFL_CLR"]] = self._clear_flags
        for trigger in _TRIGGERS:
            self.writers[_OFFSET[trigger]] = partial(self._store, _OFFSET[trigger])
        for base in _WITH_SET_AND_CLEAR:
            self.writers[_OFFSET[base]] = partial(self._store, _OFFSET[base])
            self.writers[_OFFSET[f"{base}_SET"]] = partial(self._set, _OFFSET[base])
            self.writers[_OFFSET[f"{base}_CLR"]] = partial(self._clear, _OFFSET[base])

    def reset(self) -> None:
        """All pins inputs."""
        super().reset()
        self._set_irq(False)
        self._changed()

    @property
    def flags(self) -> int:
        """Mask of the pins whose enabled interrupt is requested."""
        return self._word(_OFFSET["INTFL"]) & self._word(_OFFSET["INTEN"])

    @property
    def plain(self) -> int:
        """Mask of the pins that are GPIO, not those of a peripheral."""
        return self._word(_OFFSET[_FUNCTION_REGISTER])

    @property
    def outputs(self) -> int:
        """Mask of the pins that are driven."""
        return self._word(_OFFSET["OUTEN"])

    @property
    def levels(self) -> int:
        """Level of every pin: driven by the chip, or from outside."""
        return (self._word(_OFFSET["OUT"]) & self.outputs) | (self._pins & ~self.outputs)

    def drive(self, pin: int, level: bool) -> None:
        """Set an input from outside; edges may raise the port's interrupt."""
        before = self.levels
        self._pins = self._pins | 1 << pin if level else self._pins & ~(1 << pin)
        changed = before ^ self.levels
        polarity, rising = self._word(_OFFSET["INTPOL"]), self.levels
        wanted = self._word(_OFFSET["DUALEDGE"]) | ~(polarity ^ rising)
        edges = changed & wanted & self._word(_OFFSET["INTMODE"])
        self.words[_OFFSET["INTFL"]] = self._word(_OFFSET["INTFL"]) | edges
        self._update_irq()
        if changed:
            self.on_drive(pin, level)

    def _word(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def _store(self, offset: int, value: int) -> None:
        self.words[offset] = value & 0xFFFF_FFFF
        self._update_irq()
        self._changed()

    def _set(self, offset: int, value: int) -> None:
        self._store(offset, self._word(offset) | value)

    def _clear(self, offset: int, value: int) -> None:
        self._store(offset, self._word(offset) & ~value)

    def _clear_flags(self, value: int) -> None:
        self.words[_OFFSET["INTFL"]] = self._word(_OFFSET["INTFL"]) & ~value
        self._update_irq()

    def _update_irq(self) -> None:
        by_level = self._word(_OFFSET["INTEN"]) & ~self._word(_OFFSET["INTMODE"])
        if by_level:
            active = (self.levels ^ self._word(_OFFSET["INTPOL"])) & by_level
            self.words[_OFFSET["INTFL"]] = self._word(_OFFSET["INTFL"]) | active
        self._set_irq(bool(self.flags))


def marks(ports: Sequence[Gpio]) -> int:
    """Levels of the two MARKS pins; 0 while they are not driven."""
    port, pin = MARKS
    return (ports[port].outputs & ports[port].levels) >> pin & 3


class Leds:
    """The board's LEDs; ``changed`` is called with the number that are lit.

    Attributes:
        lit: by colour.
        events: (seconds, colour, lit), the last thousand.
    """

    def __init__(self, seconds: Callable[[], float], changed: Callable[[int], None]) -> None:
        self._changed = changed
        self.lit = dict.fromkeys(LEDS, False)
        self.events: deque[tuple[float, str, bool]] = deque(maxlen=_LED_EVENTS)
        self._seconds = seconds

    def look(self, ports: Sequence[Gpio]) -> None:
        """Call when pins have changed."""
        for name, (port, pin) in LEDS.items():
            lit = bool(ports[port].outputs & ~ports[port].levels & 1 << pin)
            if lit != self.lit[name]:
                self.lit[name] = lit
                self.events.append((self._seconds(), name, lit))
                self._changed(sum(self.lit.values()))
