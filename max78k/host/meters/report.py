"""Energy per phase of a benchmark, from a meter's recording and the board's own times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from max78k.errors import InputError
from max78k.host.meters import phases
from max78k.host.meters.meter import Instrument, Recording
from max78k.host.meters.phases import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PHASES = ("load", "inference", "unload", "post")
OTHER = "other"
FRAME = "frame"
ENOUGH_S = 10.0  # as long as MLPerf Tiny measures at least
_BATCHES = 10
_TOLERANCE = 0.05  # between a run by the marks and by the board's timer

BY_MARKS = "marks: the board's pins, recorded by the meter"
BY_TIMER = "the board's timer; the current is stated as constant"
BY_CLOCK = "the host's clock"


class FrameTimes(Protocol):
    """What the board's timer says of one inference; a row of a benchmark has it."""

    @property
    def load_us(self) -> float:
        """Input to the accelerator, in microseconds."""

    @property
    def inference_us(self) -> float:
        """The accelerator's run."""

    @property
    def unload_us(self) -> float:
        """Output from the accelerator."""

    @property
    def post_us(self) -> float:
        """What is done with the output."""


@dataclass(frozen=True)
class PhaseEnergy:
    """Energy of a phase in millijoules.

    Attributes:
        total: of all that the meter feeds.
        above_idle: less what an idle board takes in the same time; None if idle is not known.
        bounds_mj: of the mean, if it is an estimate.
        resolution_mj: what the meter's smallest step of current amounts to in this phase.
    """

    total: Statistics
    above_idle: Statistics | None
    bounds_mj: tuple[float, float] | None = None
    resolution_mj: float | None = None


@dataclass(frozen=True)
class EnergyReport:
    """What was measured, with what and how well.

    Attributes:
        sync: how the phases were found in the recording.
        sync_s: uncertainty of their place in seconds.
        frames: inferences that the figures are of.
        measured_s: from the first of them to the last.
        idle_mw: power of the idle board in milliwatts; None if it was not seen.
        phases: by name: load, inference, unload, post where they could be told apart; with BY_MARKS
            also other, what the board does after them before it waits or loads again: answers,
            takes bytes in; and frame (all of these, or with BY_CLOCK all from one answer to the
            next, transfer included).
        frames_mj: of each inference, in order: the accelerator's run, the whole frame; empty with
            BY_CLOCK.
        remarks: what limits these figures.
    """

    instrument: Instrument
    sync: str
    sync_s: float
    frames: int
    measured_s: float
    idle_mw: float | None
    phases: dict[str, PhaseEnergy]
    frames_mj: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it for ``json.dumps``, without ``frames_mj``, which are in the rows."""
        content = asdict(self)
        del content["frames_mj"]
        return content

    def lines(self) -> list[str]:
        """For people: what it was measured with, a table, remarks."""
        kind, name = self.instrument.kind, self.instrument.name
        lines = [f"energy {kind}: {name}, {self.frames} inferences in {self.measured_s:.3g} s"]
        lines.append(f"phases by {self.sync} (within {1e6 * self.sync_s:.3g} us)")
        if self.idle_mw is not None:
            lines.append(f"idle board {self.idle_mw:.4g} mW")
        lines.append(f"{'energy [mJ]':<12}{'mean':>10}{'std':>10}{'+- 95 %':>10}{'above idle':>12}")
        for phase, energy in self.phases.items():
            total = energy.total
            above = None if energy.above_idle is None else energy.above_idle.mean
            cells = [_cell(total.mean, 10), _cell(total.std, 10), _cell(total.interval, 10)]
            bounds = energy.bounds_mj
            span = f"  ({bounds[0]:.4g} to {bounds[1]:.4g})" if bounds else ""
            lines.append(f"{phase:<12}{''.join(cells)}{_cell(above, 12)}{span}")
        if self.instrument.resolution_ma is not None:
            lines.append(f"the meter's resolution is {self.instrument.resolution_ma:g} mA")
        return lines + [f"note: {remark}" for remark in self.remarks]


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>{width}}"


def report_by_marks(
    instrument: Instrument,
    recording: Recording,
    times: Sequence[FrameTimes],
    idle: tuple[float, float] | None,
) -> EnergyReport:
    """Energies of the last ``len(times)`` frames of the recording.

    ``idle``: seconds between which the board idled; None: found in the recording. Raises InputError
    ``E-METER-MARKS`` if the recording has fewer frames.
    """
    assert recording.marks is not None
    found = phases.frames_from_marks(recording.edges_s, recording.marks)
    count = len(times)
    if len(found.run) < count or not count:
        raise InputError(
            "E-METER-MARKS",
            f"the meter saw {len(found.run)} runs of the accelerator for {count} inferences.",
            "connect the meter's D0 to P2.6, D1 to P2.7 and the grounds; the network runs once per"
            " inference, and firmware built by an older max78k does not drive these pins",
        )
    load, run, unload, done = (
        moments[-count:] for moments in (found.load, found.run, found.unload, found.done)
    )
    post = np.minimum(unload + _seconds(times, "unload_us"), done)
    other = np.minimum(post + _seconds(times, "post_us"), done)
    if idle is None:
        window = phases.waiting_window(recording.edges_s, recording.marks, float(load[0]))
        idle = None if window is None else (float(window[0]), float(window[1]))
    windows = {
        "load": (load, run), "inference": (run, unload), "unload": (unload, post),
        "post": (post, other), OTHER: (other, done), FRAME: (load, done),
    }  # fmt: skip
    idle_mw = _idle(recording, idle)
    result = {
        name: _phase(instrument, recording, begin, end, idle_mw)
        for name, (begin, end) in windows.items()
    }
    edges, power = recording.edges_s, recording.power_mw
    each = (phases.energy_mj(edges, power, run, unload), phases.energy_mj(edges, power, load, done))
    return EnergyReport(
        instrument, BY_MARKS, instrument.sample_s or 0.0, count, float(done[-1] - load[0]), idle_mw,
        result, tuple((float(one), float(all_)) for one, all_ in zip(*each, strict=True)),
        (*_run_remarks(instrument, times, unload - run, done - unload),
         *_remarks(instrument, recording, float(done[-1] - load[0]))),
    )  # fmt: skip


def report_by_timer(
    instrument: Instrument, recording: Recording, times: Sequence[FrameTimes], measured_s: float
) -> EnergyReport:
    """Energies at a constant power: it does not matter when a phase was, only how long."""
    power = float(recording.power_mw[0])
    seconds = {name: _seconds(times, f"{name}_us") for name in PHASES}
    seconds[FRAME] = np.sum(list(seconds.values()), axis=0)
    result = {
        name: PhaseEnergy(phases.statistics(power * duration), None)
        for name, duration in seconds.items()
    }
    each = zip(power * seconds["inference"], power * seconds[FRAME], strict=True)
    return EnergyReport(
        instrument, BY_TIMER, 0.0, len(times), measured_s, None, result,
        tuple((float(one), float(all_)) for one, all_ in each),
        (instrument.remark,),
    )  # fmt: skip


def report_by_clock(
    instrument: Instrument,
    recording: Recording,
    ends_s: Sequence[float],
    idle: tuple[float, float] | None,
) -> EnergyReport:
    """Energy per inference between the first answer and the last, transfer included.

    ``ends_s``: when the host had each answer, on the recording's clock. The phases are not told
    apart: they are shorter than the two clocks are apart. Statistics are of up to ten batches.
    Raises InputError ``E-METER-SHORT``.
    """
    edges, power = recording.edges_s, recording.power_mw
    if len(ends_s) < 2 or not edges[0] <= ends_s[0] < ends_s[-1] <= edges[-1]:
        raise InputError(
            "E-METER-SHORT",
            f"the meter's recording of {edges[-1] - edges[0]:.3g} s does not span"
            f" {len(ends_s)} inferences.",
            f"measure at least two inferences, better {ENOUGH_S:g} s",
        )
    moments, frames = phases.batch_edges(ends_s, _BATCHES)
    idle_mw = _idle(recording, idle)
    energy = phases.energy_mj(edges, power, moments[:-1], moments[1:]) / frames
    above = None
    if idle_mw is not None:
        above = phases.statistics(energy - idle_mw * np.diff(moments) / frames)
    measured_s = float(moments[-1] - moments[0])
    resolution = _resolution(instrument, recording, measured_s / (len(ends_s) - 1))
    frame = PhaseEnergy(phases.statistics(energy), above, None, resolution)
    remarks = [
        "without marks the figures are per inference as a whole, transfer included; the unsure"
        f" ends of the window are {200 * recording.clock_s / measured_s:.2g} % of it"
    ]
    return EnergyReport(
        instrument, BY_CLOCK, recording.clock_s, len(ends_s) - 1, measured_s, idle_mw,
        {FRAME: frame}, (), (*remarks, *_remarks(instrument, recording, measured_s)),
    )  # fmt: skip


def _seconds(times: Sequence[FrameTimes], name: str) -> Floats:
    return np.array([getattr(time, name) for time in times], dtype=np.float64) / 1e6


def _idle(recording: Recording, window: tuple[float, float] | None) -> float | None:
    if window is None:
        return None
    return phases.mean_power_mw(recording.edges_s, recording.power_mw, *window)


def _phase(
    instrument: Instrument, recording: Recording, begin: Floats, end: Floats, idle_mw: float | None
) -> PhaseEnergy:
    energy = phases.energy_mj(recording.edges_s, recording.power_mw, begin, end)
    above = None if idle_mw is None else phases.statistics(energy - idle_mw * (end - begin))
    bounds = None
    if recording.bounds_mw is not None:
        low, high = (
            float(phases.energy_mj(recording.edges_s, bound, begin, end).mean())
            for bound in recording.bounds_mw
        )
        bounds = low, high
    resolution = _resolution(instrument, recording, float((end - begin).mean()))
    return PhaseEnergy(phases.statistics(energy), above, bounds, resolution)


def _resolution(instrument: Instrument, recording: Recording, seconds: float) -> float | None:
    """1 mA * 1 V * 1 s = 1 mJ."""
    if instrument.resolution_ma is None:
        return None
    return instrument.resolution_ma * recording.voltage_v * seconds


def _run_remarks(
    instrument: Instrument, times: Sequence[FrameTimes], runs_s: Floats, after_s: Floats
) -> list[str]:
    """What the marks and the board's timer do not agree on."""
    remarks = []
    timer, marked = float(_seconds(times, "inference_us").mean()), float(runs_s.mean())
    sample = instrument.sample_s or 0.0
    if abs(marked - timer) > max(_TOLERANCE * timer, 2 * sample):
        remarks.append(
            f"a run lasts {1e6 * marked:.4g} us by the marks, {1e6 * timer:.4g} us by the board's"
            " timer: check the wires of D0 and D1"
        )
    if 10 * sample > timer:
        remarks.append(
            f"a run of {1e6 * timer:.4g} us has {timer / sample:.1f} samples only: trust the mean"
            " of many runs, not one of them"
        )
    if float(after_s.mean()) < 0.5 * float((_seconds(times, "unload_us")
                                            + _seconds(times, "post_us")).mean()):  # fmt: skip
        remarks.append("post-processing was done during the next run, and counts as part of it")
    return remarks


def _remarks(instrument: Instrument, recording: Recording, measured_s: float) -> list[str]:
    remarks = [instrument.remark] if instrument.remark else []
    if recording.lost_s > 0:
        remarks.append(f"{1e3 * recording.lost_s:.3g} ms of samples were lost on the way")
    if measured_s < ENOUGH_S:
        remarks.append(f"{measured_s:.2g} s were measured; {ENOUGH_S:g} s make a better figure")
    return remarks
