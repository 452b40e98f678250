"""Supply current: an estimate from the states of core, accelerator and LEDs, never a measurement.

Each part in each state draws a current between two bounds. The bounds say how little is known: the
truth for a given chip, network and temperature is expected between their sums, and nothing has
been measured for this table. The board's own parts (power chip, debug probe, sensors) are left out.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from max78k.simulator.clock import SECOND

VOLTAGE = 3.0  # of the supply that the table's currents are for
_BIN = SECOND // 1000
_ROWS = 100_000


@dataclass(frozen=True)
class Draw:
    """What one part draws in one state, in milliamperes, and where the bounds come from.

    ``per_mhz``: the bounds are for each MHz of the core clock.
    """

    low: float
    high: float
    source: str
    per_mhz: bool = False


_LOOP = "vendor's product page: 22.2 uA/MHz at 3.0 V for a loop from cache"
_INFERENCE = (
    "whole chip 36 mW (arXiv 2306.00001) to 64 mW (Giordano et al.) in inference, less the core"
)
DRAWS: dict[str, Draw] = {
    "core_active": Draw(0.0222, 0.045, f"{_LOOP}; twice that for code that waits for flash", True),
    "core_sleep": Draw(0.004, 0.0222, f"no figure found: at most that of the loop ({_LOOP})", True),
    "core_deep_sleep": Draw(0.002, 0.5, "no figure found: micro- to parts of a milliampere"),
    "cnn_off": Draw(0.0, 0.0, "switched off"),
    "cnn_idle": Draw(0.1, 2.0, "no figure found: clock of the powered quadrants"),
    "cnn_memory": Draw(0.0, 2.0, "no figure found: leakage of the memories of all four quadrants"),
    "cnn_active": Draw(9.0, 20.0, _INFERENCE),
    "oscillator": Draw(0.02, 0.4, "no figure found: each fast oscillator that runs"),
    "uart": Draw(0.0, 0.2, "no figure found: bit clock and receiver of each UART that is enabled"),
    "led": Draw(1.0, 5.0, "usual for a small LED behind a resistor; not measured"),
}
# The published inferences had nearly all processors at work. How much of the current goes with
# their number is not known: between all of it and half of it.
_SHARE_OF_PROCESSORS = (1.0, 0.5)
_COUNTED = ("led", "uart", "cnn_memory")  # ``load`` is how many, or what share


@functools.lru_cache(maxsize=256)
def _bounds(state: str, mhz: float, load: float) -> tuple[float, float]:
    draw = DRAWS[state]
    low = high = mhz if draw.per_mhz else 1.0
    if state == "cnn_active":
        low, high = (1 - share + share * load for share in _SHARE_OF_PROCESSORS)
    elif state in _COUNTED:
        low = high = load
    running = load if draw.per_mhz else 0.0
    oscillator = DRAWS["oscillator"]
    return draw.low * low + oscillator.low * running, draw.high * high + oscillator.high * running


@dataclass(frozen=True)
class Row:
    """Mean current over ``milliseconds`` from ``start`` (milliseconds since power-on), in mA."""

    start: int
    milliseconds: int
    low: float
    high: float


@dataclass(frozen=True)
class Run:
    """Mean current of the chip during one run of the accelerator, in mA; times in milliseconds."""

    start: float
    milliseconds: float
    low: float
    high: float


@dataclass(frozen=True)
class Marked:
    """Mean current in mA while the marking pins stood at ``marks``; times in milliseconds."""

    start: float
    milliseconds: float
    low: float
    high: float
    marks: int


class Supply:
    """Integrates the estimated current over virtual time, in steps of a millisecond.

    The accelerator's runs are marked, as the digital input of a power analyser would do it, and so
    are the times between two changes of the board's marking pins.

    Args:
        now: gives virtual time in femtoseconds.

    Attributes:
        on_state: called with a part and its state, after the current has changed.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.on_state: Callable[[str, str], None] = lambda part, state: None
        self._now = now
        self._since = now()
        self._parts: dict[str, tuple[float, float]] = {}
        self._low = self._high = 0.0
        self._charge = [0.0, 0.0]  # milliampere seconds, both bounds
        self._open = [0.0, 0.0]  # of the millisecond that has begun
        self._rows: deque[Row] = deque(maxlen=_ROWS)
        self._runs: deque[Run] = deque(maxlen=_ROWS)
        self._run: tuple[int, float, float] | None = None  # start, charge at the start
        self._marked: deque[Marked] = deque(maxlen=_ROWS)
        self._pins = 0
        self._pins_since = (self._since, 0.0, 0.0)  # start, charge at the start

    def enter(self, part: str, state: str, *, mhz: float = 1.0, load: float = 1.0) -> None:
        """A part is in ``state`` from now on.

        ``load`` is the share of the accelerator's processors at work or of its memories powered,
        the number of LEDs or UARTs, and for the core that of the fast oscillators.
        """
        if part == "cnn":
            self._run_changes(state == "cnn_active")
        current = _bounds(state, mhz, load)
        if self._parts.get(part) != current:
            self._settle()
            self._parts[part] = current
            self._low = self._high = 0.0
            for low, high in self._parts.values():
                self._low += low
                self._high += high
        self.on_state(part, state)

    @property
    def current(self) -> tuple[float, float]:
        """Milliamperes at this moment: both bounds of the estimate."""
        return self._low, self._high

    @property
    def charge(self) -> tuple[float, float]:
        """Milliampere seconds since power-on: both bounds of the estimate."""
        self._settle()
        return self._charge[0], self._charge[1]

    @property
    def energy(self) -> tuple[float, float]:
        """Millijoules since power-on at VOLTAGE: both bounds of the estimate."""
        low, high = self.charge
        return low * VOLTAGE, high * VOLTAGE

    def rows(self) -> Iterator[Row]:
        """The trace up to the last whole millisecond; the oldest rows of a long run are lost."""
        self._settle()
        yield from self._rows

    def runs(self) -> Iterator[Run]:
        """The accelerator's runs that have ended."""
        yield from self._runs

    def marked(self) -> Iterator[Marked]:
        """From one change of the marking pins to the next, without gaps, up to now."""
        self._end_mark()
        yield from self._marked

    def table(self) -> str:
        """The trace as comma-separated values; the heading says what it is.

        ``mean`` rows are the trace, ``run`` rows the means over the accelerator's runs, ``pins``
        rows those between changes of the marking pins, whose state is in the last column.
        """
        lines = [f"# estimate at {VOLTAGE:g} V, bounds; not a measurement"]
        lines.append("kind,start_ms,duration_ms,low_ma,high_ma,marks")
        rows: list[tuple[str, Row | Run]] = [("mean", row) for row in self.rows()]
        rows += [("run", run) for run in self.runs()]
        lines += [
            f"{kind},{row.start:.9g},{row.milliseconds:.9g},{row.low:.4f},{row.high:.4f},"
            for kind, row in rows
        ]
        lines += [
            f"pins,{row.start:.12g},{row.milliseconds:.9g},{row.low:.6f},{row.high:.6f},{row.marks}"
            for row in self.marked()
        ]
        return "\n".join(lines) + "\n"

    def mark(self, pins: int) -> None:
        """The marking pins stand at ``pins`` from now on."""
        if pins != self._pins:
            self._end_mark()
            self._pins = pins

    def _end_mark(self) -> None:
        low, high = self.charge
        start, low_before, high_before = self._pins_since
        self._pins_since = self._since, low, high
        seconds = (self._since - start) / SECOND
        if seconds > 0:
            means = (low - low_before) / seconds, (high - high_before) / seconds
            span = 1e3 * start / SECOND, 1e3 * seconds
            self._marked.append(Marked(*span, *means, self._pins))

    def _run_changes(self, running: bool) -> None:
        if running == (self._run is not None):
            return
        low, high = self.charge
        now = self._since
        if self._run is None:
            self._run = now, low, high
            return
        start, low_before, high_before = self._run
        self._run = None
        seconds = (now - start) / SECOND
        if seconds > 0:
            means = (low - low_before) / seconds, (high - high_before) / seconds
            self._runs.append(Run(1e3 * start / SECOND, 1e3 * seconds, *means))

    def _settle(self) -> None:
        since, self._since = self._since, self._now()
        first, last = since // _BIN, self._since // _BIN
        if first == last:
            self._add(self._since - since)
            return
        self._add((first + 1) * _BIN - since)
        per_bin = SECOND / _BIN
        self._rows.append(Row(first, 1, self._open[0] * per_bin, self._open[1] * per_bin))
        self._open = [0.0, 0.0]
        if last > first + 1:
            self._rows.append(Row(first + 1, last - first - 1, self._low, self._high))
            self._add((last - first - 1) * _BIN)
            self._open = [0.0, 0.0]
        self._add(self._since - last * _BIN)

    def _add(self, time: int) -> None:
        seconds = time / SECOND
        low, high = self._low * seconds, self._high * seconds
        self._charge[0] += low
        self._charge[1] += high
        self._open[0] += low
        self._open[1] += high


class ChipDraws:
    """Tells a supply what the parts of the chip do."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply
        self._mhz, self._oscillators = 0.0, 0

    def core(self, state: str) -> None:
        """The core is in one of its states."""
        self._supply.enter("core", state, mhz=self._mhz, load=self._oscillators)

    def clock(self, period: int, oscillators: int) -> None:
        """The core runs with this period (femtoseconds), beside so many fast oscillators."""
        self._mhz, self._oscillators = SECOND / period / 1e6, oscillators
        self.core("core_active")

    def uarts(self, enabled: int) -> None:
        """So many UARTs are enabled."""
        self._supply.enter("uarts", "uart", load=enabled)

    def cnn_memory(self, powered: int, quadrants: int) -> None:
        """The memories of the quadrants in the mask have power."""
        load = bin(powered).count("1") / quadrants
        self._supply.enter("cnn memory", "cnn_memory", load=load)
