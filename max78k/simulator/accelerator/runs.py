"""Runs of the machine: what starts, holds, continues and ends them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from threadpoolctl import ThreadpoolController

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator.checks import check_run
from max78k.simulator.accelerator.cycles import STARTUP, layer_cycles
from max78k.simulator.accelerator.fifo import Fifos, Intake
from max78k.simulator.accelerator.layer import Layer, LayerRegisters, decode
from max78k.simulator.accelerator.machine import Machine, Modes
from max78k.simulator.accelerator.output import Report

_EN, _CLK_EN, _IRQ = (cr.CTL.field(name).mask for name in ("EN", "CLK_EN", "IRQ"))
_FRESH = cr.CTL.field("EXT_SYNC").mask  # set in the first round of writes of every start
_MASTER = cr.CTL.field("MASTER")
# Modes of the machine, which all quadrants of a run have to share.
_COMMON = sum(
    cr.CTL.field(name).mask
    for name in ("ONESHOT", "AVG_ROUND", "STREAM", "FIFO_EN", "FIFO_STREAM", "SIMPLE1B")
)

_EXISTING = sum(field.mask for field in cr.CTL.fields)


@dataclass
class Run:
    """A run between the master's EN and its end.

    ``intake`` brings its input where FIFOs do, until the input is complete; ``frame`` is that
    input. ``end`` is the cycle of the end, None while words are missing or the run is held;
    ``left`` the cycles that remain of a run that is held.
    """

    master: int
    started: tuple[int, ...]
    layers: list[Layer]
    modes: Modes
    intake: Intake | None = None
    frame: dict[int, list[int]] | None = None
    end: int | None = None
    left: int = 0
    held: bool = False


class Runs:
    """The control registers' view of the machine.

    Args:
        control: the CTL word of every quadrant, which the end of a run changes.
        counts: LCNT_MAX of every quadrant.
        report: takes a message and a bus address.

    Attributes:
        on_start: called with the cycles to the end when a run begins or goes on; a run that FIFOs
            feed begins in this sense when its last word has arrived.
        on_hold: called when a run is held or given up.
        now: the present cycle of the CNN clock; None if there is no clock.
    """

    def __init__(
        self,
        machine: Machine,
        registers: LayerRegisters,
        control: list[int],
        counts: list[int],
        fifos: Fifos,
        report: Report,
    ) -> None:
        self.on_start: Callable[[int], None] | None = None
        self.on_hold: Callable[[], None] | None = None
        self.now: Callable[[], int] | None = None
        self._machine = machine
        self._registers = registers
        self._control = control
        self._counts = counts
        self._fifos = fifos
        self._report = report
        self._blas = ThreadpoolController()
        self._run: Run | None = None
        self._next_layer = 0  # of a run layer by layer
        self._decoded: tuple[object, list[Layer], list[tuple[str, int]]] = (None, [], [])

    # What software does

    def write_control(self, quadrant: int, value: int) -> None:
        """Write to CTL: IRQ can only be cleared; EN of the master starts, holds and continues."""
        old = self._control[quadrant]
        value &= ~(_IRQ & ~old)
        self._control[quadrant] = value
        if value & _FRESH and quadrant not in (_MASTER.get(value), _MASTER.get(old)):
            return  # follows its master
        run = self._run if self._run is not None and self._run.master == quadrant else None
        if run and (old ^ value) & ~(_EN | _IRQ) and (run.held or not value & _EN):
            self._give_up()
        if value & _FRESH and not value & _EN:
            self._next_layer = 0
        if value & _EN and not old & _EN:
            self._start(quadrant)
        elif old & _EN and not value & _EN:
            self._hold(quadrant)
        elif value & old & _EN and not old & _IRQ and self._run is None:
            text = f"EN of quadrant {quadrant} was never cleared, so that nothing starts"
            self._report(text, addresses.quadrant(quadrant))

    def arrive(self) -> None:
        """A word has come into a FIFO."""
        run = self._run
        if run is None or run.intake is None or run.held:
            return
        run.intake.arrive(self._time)
        self._feed(run)

    def advance(self) -> None:
        """Let the machine take what it could take from the FIFOs until now."""
        run = self._run
        if run is not None and run.intake is not None and not run.held:
            run.intake.advance(self._time)

    def drop(self, quadrant: int) -> None:
        """A quadrant is reset or loses its power, which ends a run that it is part of."""
        if self._run is not None and quadrant in self._run.started:
            self._give_up()
            self._fifos.clear()

    def complete(self) -> None:
        """End the run: compute its result and raise the interrupt of the quadrants in it."""
        run = self._run
        if run is None or run.end is None:
            return
        self._run = None
        # The matrix products of a layer are small: BLAS threads would wait for each other.
        with self._blas.limit(limits=1, user_api="blas"):
            self._machine.run(run.layers, run.frame, run.modes)
        for quadrant in run.started:
            self._control[quadrant] |= _IRQ
        if self._layer_by_layer(run.master):
            self._control[run.master] &= ~_EN

    # What can be seen

    @property
    def busy(self) -> bool:
        """Whether a run has been started and is not complete; it may wait for the FIFOs."""
        return self._run is not None

    @property
    def layers(self) -> list[Layer]:
        """Layers of the present run, none while it waits for its input."""
        run = self._run
        return run.layers if run is not None and run.end is not None else []

    @property
    def cycles_left(self) -> int:
        """Cycles to the end of the present run, 0 if there is none or words are missing."""
        run = self._run
        return run.end - self._time if run is not None and run.end is not None else 0

    @property
    def cycles_to_room(self) -> int:
        """Cycles until the machine takes the next words from full FIFOs, 0 if it may never."""
        run = self._run
        if run is None or run.intake is None or run.held:
            return 0
        return max(run.intake.due - self._time, 0)

    @property
    def _time(self) -> int:
        return self.now() if self.now is not None else 0

    # From start to end

    def _start(self, master: int) -> None:
        run = self._run
        if run is not None and run.master == master:
            self._go_on(run)
            return
        if run is not None:
            self._report(
                f"quadrant {master} is started while quadrant {run.master} leads a run: "
                "independent runs are not modelled",
                addresses.quadrant(master),
            )
            self._give_up()
        word = cr.CTL.unpack(self._control[master])
        started = tuple(q for q, other in enumerate(self._control) if other & _EN)
        self._check_start(master, started, word)
        layers = self._layers(master, started, bool(word["FIFO_EN"]))
        modes = Modes(bool(word["STREAM"]), bool(word["AVG_ROUND"]), bool(word["SIMPLE1B"]))
        run = self._run = Run(master, started, layers, modes)
        first = self._next_layer
        if word["ONESHOT"]:
            run.layers = layers[first : first + 1]
            self._next_layer = first + 1 if first + 1 < len(layers) else 0
        if word["FIFO_EN"] and run.layers and not first:
            run.intake = self._intake(run)
            self._go_on(run)
        else:
            self._begin(run, (0 if first else STARTUP) + _cycles(run.layers))

    def _check_start(self, master: int, started: tuple[int, ...], word: dict[str, int]) -> None:
        for quadrant in started:
            place = addresses.quadrant(quadrant)
            if not self._control[quadrant] & _CLK_EN:
                self._report(f"quadrant {quadrant} is started without its clock", place)
            if self._control[quadrant] & _IRQ and not word["ONESHOT"]:
                text = f"quadrant {quadrant} is started with its last interrupt not acknowledged"
                self._report(text, place)
            if self._control[quadrant] & ~_EXISTING:
                self._report(f"CTL of quadrant {quadrant} has bits that do not exist", place)
            different = (self._control[quadrant] ^ self._control[master]) & _COMMON
            if different or self._counts[quadrant] != self._counts[master]:
                text = f"CTL or LCNT_MAX of quadrant {quadrant} contradicts the master's"
                self._report(text, place)
            if quadrant != master and _MASTER.get(self._control[quadrant]) != master:
                text = f"quadrant {quadrant} follows another master than quadrant {master}"
                self._report(text, place)
        if word["QUPAC"]:
            text = "fan-out of the fast FIFO to four quadrants is not modelled"
            self._report(text, addresses.quadrant(master))

    def _go_on(self, run: Run) -> None:
        """Let a run proceed that has just been started, or was held."""
        run.held = False
        if run.intake is None:
            self._begin(run, run.left)
            return
        run.intake.arrive(self._time)
        self._feed(run)

    def _layer_by_layer(self, master: int) -> bool:
        return bool(cr.CTL.field("ONESHOT").get(self._control[master]))

    def _intake(self, run: Run) -> Intake:
        numbers = tuple(
            sorted({p // limits.PROCESSORS_PER_QUADRANT for p in run.layers[0].processors})
        )
        words = self._registers.frame_words(run.master)
        streams = _streams(run)
        start = run.layers[0].stream_start if streams else words
        pace = max(1, -(-_cycles(streams) // max(words, 1)))
        return Intake(self._fifos, numbers, words, start, pace if self.now is not None else 0)

    def _feed(self, run: Run) -> None:
        """Begin a run once all its input is in or on its way in.

        Streaming layers work while their input arrives; the others begin after it.
        """
        assert run.intake is not None
        last = run.intake.finish(self._time)
        if last is None:
            return
        began, run.frame, run.intake = run.intake.began, run.intake.frame, None
        whole = STARTUP + _cycles(run.layers)
        after = whole - _cycles(_streams(run))
        end = max((last if began is None else began) + whole, last + after)
        self._begin(run, end - self._time)

    def _begin(self, run: Run, cycles: int) -> None:
        run.end = self._time + cycles
        if self.on_start is not None:
            self.on_start(cycles)

    def _hold(self, master: int) -> None:
        run = self._run
        if run is None or run.held or run.master != master:
            return
        self.advance()
        run.held = True
        if run.end is not None:
            run.left, run.end = max(run.end - self._time, 0), None
        self._stopped()

    def _give_up(self) -> None:
        self._run = None
        self._next_layer = 0
        self._stopped()

    def _stopped(self) -> None:
        if self.on_hold is not None:
            self.on_hold()

    # What the registers say

    def _layers(self, master: int, started: tuple[int, ...], fed: bool) -> list[Layer]:
        """The layers to run, checked; decoded anew only when registers have changed."""
        key = (self._registers.version, self._counts[master], master, started, fed)
        if self._decoded[0] != key:
            findings: list[tuple[str, int]] = []
            layers = self._decode(
                master, started, fed, lambda text, address: findings.append((text, address))
            )
            self._decoded = key, layers, findings
        _, layers, findings = self._decoded
        for text, address in findings:
            self._report(text, address)
        return list(layers)

    def _decode(
        self, master: int, started: tuple[int, ...], fed: bool, report: Report
    ) -> list[Layer]:
        counts = cr.LCNT_MAX.unpack(self._counts[master])
        last = min(counts["LAST"], limits.LAYERS - 1)
        place = addresses.quadrant(master)
        if counts["LAST"] != last or self._counts[master] >> 16:
            text = f"LCNT_MAX is 0x{self._counts[master]:X}, there are {limits.LAYERS} layers"
            report(text, place + cr.LCNT_MAX.offset)
        layers = [
            decode(self._registers, started, master, number)
            for number in range(counts["FIRST"], last + 1)
        ]
        for layer in [layer for layer in layers if not layer.bounded]:
            text = f"layer {layer.number} asks for more values or products than the model computes"
            report(text, place)
            layers = []
        check_run(self._registers, started, layers, fed, report)
        return layers


def _cycles(layers: Sequence[Layer]) -> int:
    return sum(layer_cycles(layer) for layer in layers)


def _streams(run: Run) -> list[Layer]:
    """Layers that work while the input arrives."""
    return [layer for layer in run.layers if run.modes.streaming and layer.rollover]
