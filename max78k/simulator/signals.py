"""What happens on the board, for tools that follow it: waveforms, traces, the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from max78k.simulator.clock import Clock
from max78k.simulator.cnn_port import CnnPort
from max78k.simulator.exceptions import Exceptions
from max78k.simulator.gpio import Gpio
from max78k.simulator.power import Supply
from max78k.simulator.uart import Uart


@dataclass(frozen=True)
class Run:
    """A run of the accelerator: (number, cycles) of its layers, and femtoseconds per cycle."""

    layers: tuple[tuple[int, int], ...]
    period: int

    @property
    def cycles(self) -> int:
        """Of all layers."""
        return sum(cycles for _, cycles in self.layers)


@dataclass
class Signals:
    """Lists of functions that are called when something happens; a tool adds its own to them.

    Attributes:
        clock: virtual time.
        resets: called after the chip has been reset.
        pins: called with all ports when a level has changed.
        lines: called with the number and level of an interrupt line.
        exceptions: called with an exception's number and True at its entry, False at its return.
        states: called with a part of the chip and the state that it draws current in from now on.
        runs: called with the accelerator's run when it starts, None when it ends.
        frames: called with a UART, a byte and whether the chip sends it, when it begins.
    """

    clock: Clock
    resets: list[Callable[[], None]] = field(default_factory=list)
    pins: list[Callable[[Sequence[Gpio]], None]] = field(default_factory=list)
    lines: list[Callable[[int, bool], None]] = field(default_factory=list)
    exceptions: list[Callable[[int, bool], None]] = field(default_factory=list)
    states: list[Callable[[str, str], None]] = field(default_factory=list)
    runs: list[Callable[[Run | None], None]] = field(default_factory=list)
    frames: list[Callable[[Uart, int, bool], None]] = field(default_factory=list)

    def wire(
        self, exceptions: Exceptions, supply: Supply, cnn: CnnPort, uarts: Iterable[Uart]
    ) -> None:
        """Have the parts of the chip tell what happens in them."""
        exceptions.on_change = tell(self.exceptions)
        exceptions.on_line = tell(self.lines)
        supply.on_state = tell(self.states)
        cnn.on_run = lambda layers: self._run(cnn, layers)
        for uart in uarts:
            uart.listeners = self.frames

    def _run(self, cnn: CnnPort, layers: list[tuple[int, int]] | None) -> None:
        assert cnn.clocks is not None
        run = None if layers is None else Run(tuple(layers), cnn.clocks.cnn_period)
        tell(self.runs)(run)


def tell(listeners: list[Callable[..., None]]) -> Callable[..., None]:
    """A function that calls all of a list, as it is at the time, with its arguments."""

    def call(*arguments: Any) -> None:
        for listener in listeners:
            listener(*arguments)

    return call
