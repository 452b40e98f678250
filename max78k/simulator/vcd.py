"""A run as waveforms: a value change dump (IEEE 1364) of pins, lines, interrupts and states.

Serial lines are drawn bit by bit, from the moment at which a byte begins; the layers of the
accelerator follow each other at the cycles of the cycle model.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from max78k.chip import addresses
from max78k.errors import InputError, ToolError
from max78k.files import atomic_write
from max78k.simulator.board import VirtualBoard
from max78k.simulator.gpio import BUTTONS, LEDS, Gpio
from max78k.simulator.signals import Run
from max78k.simulator.uart import Uart

if TYPE_CHECKING:
    from vcd.writer import Variable

_NANOSECOND = 10**6  # femtoseconds
_PINS = (32, 10, 8)  # of the ports
_UARTS = 4
_CORE_STATES = ("core_sleep", "core_deep_sleep")
_SINGLE_LINES = {
    number: name.removeprefix("IRQ_")
    for name, number in vars(addresses).items()
    if name.startswith("IRQ_") and name != "IRQ_COUNT"
}
_ROWS = {"TMR0": 4, "TMR4": 2, "GPIO0": 3, "DMA0": 4}  # lines whose first one has a name


def _line_names() -> dict[int, str]:
    """Names of the interrupt lines by their numbers."""
    names = dict(_SINGLE_LINES)
    for number, name in _SINGLE_LINES.items():
        for n in range(1, _ROWS.get(name, 1)):
            names[number + n] = f"{name[:-1]}{int(name[-1]) + n}"
    return names


@contextmanager
def waveforms(path: Path, board: VirtualBoard) -> Iterator[None]:
    """Write what happens on a board at power-on to ``path``, whole when the block has ended.

    The file is kept when the block raises an error of the firmware.

    Raises:
        InputError: E-BOARD-VCD; the file cannot be written.
        ToolError: E-BOARD-VCD; the package pyvcd is not installed.
    """
    try:
        import vcd.writer  # noqa: F401
    except ImportError as error:
        raise ToolError(
            "E-BOARD-VCD", "waveforms need the package pyvcd", "pip install 'max78k[board]'"
        ) from error
    failure: Exception | None = None
    try:
        with atomic_write(path, "w") as stream:
            dump = Waveforms(cast("IO[str]", stream), board)
            try:
                yield
            except Exception as error:
                failure = error  # what led to it is what the waveforms are looked at for
            dump.close()
    except OSError as error:
        raise InputError("E-BOARD-VCD", f"{path}: {error.strerror}", "another --vcd") from error
    if failure is not None:
        raise failure


class Waveforms:
    """Follows the signals of a board and writes their changes in order of time."""

    def __init__(self, stream: IO[str], board: VirtualBoard) -> None:
        from vcd.writer import VCDWriter

        self._board = board
        self._writer = VCDWriter(
            stream, timescale="1 ns", comment="the supply current is an estimate"
        )
        self._time = 0
        self._sequence = 0
        self._coming: list[tuple[int, int, Variable[Any], Any]] = []
        self._active = [0]
        self._declare()
        signals = board.signals
        signals.resets.append(self._reset)
        signals.pins.append(self._pins)
        signals.lines.append(self._line)
        signals.exceptions.append(self._exception)
        signals.states.append(self._state)
        signals.runs.append(self._run)
        signals.frames.append(self._frame)
        self._current()

    def close(self) -> None:
        """Write what is left, up to the present moment."""
        self._advance()
        self._writer.close(self._time)

    # -- variables

    def _declare(self) -> None:
        self._leds = {name: self._wire("board", f"led_{name}", 0) for name in LEDS}
        self._buttons = {name: self._wire("board", name.lower(), 0) for name in BUTTONS}
        self._ports = [
            [self._wire("gpio", f"P{port}_{pin}", 1) for pin in range(pins)]
            for port, pins in enumerate(_PINS)
        ]
        self._levels = [0xFFFF_FFFF] * len(_PINS)
        self._serial = {
            (f"UART{n}", sent): (
                self._wire(f"uart{n}", "tx" if sent else "rx", 1),
                self._number(f"uart{n}", "tx_byte" if sent else "rx_byte", 8),
            )
            for n in range(_UARTS)
            for sent in (True, False)
        }
        names = _line_names()
        self._lines = {n: self._wire("irq", names[n], 0) for n in sorted(names)}
        self._sleep = {state: self._wire("cpu", state[5:], 0) for state in _CORE_STATES}
        self._awake = self._wire("cpu", "active", 1)
        self._handler = self._number("cpu", "exception", 8, 0)
        self._powered = self._wire("cnn", "powered", 0)
        self._running = self._wire("cnn", "running", 0)
        self._layer = self._number("cnn", "layer", 8)
        self._supply = [
            self._writer.register_var("supply_estimate", name, "real", init=0.0)
            for name in ("low_mA", "high_mA")
        ]

    def _wire(self, scope: str, name: str, level: int) -> Variable[Any]:
        return self._writer.register_var(scope, name, "wire", 1, init=level)

    def _number(self, scope: str, name: str, bits: int, value: int | str = "x") -> Variable[Any]:
        return self._writer.register_var(scope, name, "reg", bits, init=value)

    # -- changes

    def _advance(self) -> int:
        """Write what was due by now; events may be told a few cycles late, never early."""
        now = self._board.signals.clock.now // _NANOSECOND
        while self._coming and self._coming[0][0] <= now:
            time, _, variable, value = heapq.heappop(self._coming)
            self._write(time, variable, value)
        self._time = max(self._time, now)
        return self._time

    def _write(self, time: int, variable: Variable[Any], value: Any) -> None:
        self._time = max(self._time, time)
        self._writer.change(variable, self._time, value)

    def _now(self, variable: Variable[Any], value: Any) -> None:
        self._write(self._advance(), variable, value)

    def _later(self, time: int, variable: Variable[Any], value: Any) -> None:
        self._sequence += 1
        heapq.heappush(self._coming, (time // _NANOSECOND, self._sequence, variable, value))

    # -- what the board tells

    def _reset(self) -> None:
        self._advance()
        self._coming.clear()
        for line in self._lines.values():
            self._now(line, 0)
        for wire, _ in self._serial.values():
            self._now(wire, 1)
        self._active = [0]
        self._now(self._handler, 0)
        self._now(self._running, 0)
        self._now(self._layer, "x")

    def _pins(self, ports: Sequence[Gpio]) -> None:
        for number, (port, wires) in enumerate(zip(ports, self._ports, strict=True)):
            levels = port.levels
            changed, self._levels[number] = levels ^ self._levels[number], levels
            for pin, wire in enumerate(wires) if changed else ():
                if changed >> pin & 1:
                    self._now(wire, levels >> pin & 1)
        for name, lit in self._board.leds.items():
            self._now(self._leds[name], int(lit))
        for name, (number, pin) in BUTTONS.items():
            self._now(self._buttons[name], ~self._levels[number] >> pin & 1)

    def _line(self, irq: int, level: bool) -> None:
        if irq in self._lines:
            self._now(self._lines[irq], int(level))

    def _exception(self, number: int, entered: bool) -> None:
        if entered:
            self._active.append(number)
        elif len(self._active) > 1:
            self._active.pop()
        self._now(self._handler, self._active[-1])

    def _state(self, part: str, state: str) -> None:
        if part == "core":
            self._now(self._awake, int(state == "core_active"))
            for name, wire in self._sleep.items():
                self._now(wire, int(state == name))
        elif part == "cnn":
            self._now(self._powered, int(state != "cnn_off"))
        self._current()

    def _current(self) -> None:
        for variable, value in zip(self._supply, self._board.supply.current, strict=True):
            self._now(variable, value)

    def _run(self, run: Run | None) -> None:
        self._now(self._running, int(run is not None))
        if run is None:
            self._now(self._layer, "x")
            return
        time = self._board.signals.clock.now
        for number, cycles in run.layers:
            self._later(time, self._layer, number)
            time += cycles * run.period

    def _frame(self, uart: Uart, byte: int, sent: bool) -> None:
        wire, value = self._serial[uart.name, sent]
        self._now(value, byte)
        frame, time = uart.frame(byte), self._board.signals.clock.now
        for level in frame.levels:
            self._later(time, wire, level)
            time += frame.bit_time
