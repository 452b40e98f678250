"""The accelerator in its chip: bus time, clock, runs that take their time, interrupt, power."""

from __future__ import annotations

from collections.abc import Callable

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator import Accelerator
from max78k.simulator.clock import Clock, Event
from max78k.simulator.energy import CNN_STATES, StateTimes
from max78k.simulator.gcr import ClockTree
from max78k.simulator.power import Supply

# Cycles of a 32-bit access to the accelerator beyond the instruction itself: 280 ns for a write
# and 230 ns for a read at 100 MHz, the vendor's published estimates.
WRITE_CYCLES = 27
READ_CYCLES = 22

_FIFO_STATUS = addresses.CNN_FIFO + cr.FIFO_STAT.offset
_CTL_MASK, _CTL_ADDRESS = addresses.QUADRANT_STRIDE - 1, addresses.quadrant(0) & 0x3F_FFFF


class CnnPort:
    """What the core's bus sees of the accelerator.

    Args:
        stall: lets the present access take so many cycles more.
        set_irq: drives the interrupt line.
        report: called with a message and an address for what firmware should not do.
        supply: told of the power states.
        place: gives the program counter.

    Attributes:
        clocks: tells whether the CNN's clock runs, and its period.
        begun_at: program counter that began the run whose result is being computed, else None.
        times: seconds in each of the CNN's power states.
        on_run: called with (layer, cycles) of all layers when a run starts, None when it ends.
    """

    def __init__(
        self,
        clock: Clock,
        stall: Callable[[int], None],
        set_irq: Callable[[bool], None],
        report: Callable[[str, int], None],
        supply: Supply,
        place: Callable[[], int],
    ) -> None:
        self.accelerator = Accelerator(report)
        self.accelerator.on_start = self.started
        self.accelerator.runs.on_hold = self._held
        self.accelerator.runs.now = self._cycle
        self.clocks: ClockTree | None = None
        self.times = StateTimes(
            CNN_STATES, lambda: clock.now,
            lambda state: supply.enter("cnn", state, load=self.accelerator.load),
        )  # fmt: skip
        self.on_run: Callable[[list[tuple[int, int]] | None], None] = lambda layers: None
        self.begun_at: int | None = None
        self._place, self._last_start = place, 0
        self._clock = clock
        self._stall = stall
        self._set_irq = set_irq
        self._report = report
        self._end: Event | None = None
        self._room: Event | None = None
        self._powered = False
        self._cycles, self._counted_to = 0, 0  # of the CNN clock, and the time they reach to

    def read(self, address: int, size: int) -> int:
        """Read 1, 2 or 4 bytes; anything but aligned words is reported."""
        self._stall(READ_CYCLES)
        if not self._clocked(address):
            return 0
        value = self.accelerator.read(address, size)
        if address == _FIFO_STATUS and value:
            self._expect_room()
        return value

    def write(self, address: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 bytes."""
        self._stall(WRITE_CYCLES)
        if self._clocked(address):
            self.accelerator.write(address, value, size)
            if address & _CTL_MASK == _CTL_ADDRESS:
                self._update()

    def set_power(self, powered: int, ram: int, isolated: int, reset: int) -> None:
        """The four masks of GCFR."""
        self.accelerator.set_power(powered, ram, isolated, reset)
        self._powered = bool(powered)
        self._update()

    def started(self, cycles: int) -> None:
        """A run of ``cycles`` of the CNN clock has begun."""
        assert self.clocks is not None
        self._last_start = self._place()
        self._clock.cancel(self._end)
        self._end = self._clock.schedule(cycles * self.clocks.cnn_period, self._ended, work=True)
        self.on_run(self.accelerator.layer_cycles)
        self._update()

    def _cycle(self) -> int:
        """Cycles of the CNN clock so far; the clock may change its rate."""
        assert self.clocks is not None
        period = self.clocks.cnn_period
        passed = (self._clock.now - self._counted_to) // period
        self._cycles += passed
        self._counted_to += passed * period
        return self._cycles

    def _expect_room(self) -> None:
        """Have an event where FIFOs get room, so that time is not moved past it while polling."""
        assert self.clocks is not None
        cycles = self.accelerator.runs.cycles_to_room
        if cycles:
            self._clock.cancel(self._room)
            self._room = self._clock.schedule(cycles * self.clocks.cnn_period, lambda: None)

    def _held(self) -> None:
        """The run under way has been stopped; it may go on later."""
        self._clock.cancel(self._end)
        self.on_run(None)

    def _ended(self) -> None:
        self.begun_at = self._last_start
        try:
            self.accelerator.complete()
        finally:
            self.begun_at = None
        self.on_run(None)
        self._update()

    def _clocked(self, address: int) -> bool:
        if self.clocks is not None and self.clocks.cnn_clock_on:
            return True
        self._report("the CNN is used while its clock is off: silicon hangs here", address)
        return False

    def _update(self) -> None:
        self._set_irq(self.accelerator.interrupt)
        busy = self.accelerator.busy
        self.times.enter("cnn_active" if busy else "cnn_idle" if self._powered else "cnn_off")
