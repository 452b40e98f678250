"""What a benchmark amounts to: statistics by phase, energy, accuracy, the link; text and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from max78k.errors import Max78kError
from max78k.host.bench_rows import STATISTICS, Row, phase_statistics
from max78k.host.energy import ESTIMATE, estimate_energy
from max78k.host.link_report import LinkReport, Throughput
from max78k.host.replies import DeviceCounts, DeviceInfo, ticks_to_us

if TYPE_CHECKING:
    from max78k.host.meters.report import EnergyReport

SCHEMA = "max78k-bench"
SCHEMA_VERSION = 2


@dataclass
class BenchResult:
    """Rows and what they amount to.

    Attributes:
        planned: inferences that were to be measured; None for a run by time or to the input's end.
        rows: what was measured; the statistics are of these.
        before: the session's first inference, the warm-up, single inferences ahead of a pipeline.
        at_start: the board's counts before the session's first inference; None if it does not say.
        elapsed_s: from the start of the measurement to its last result.
        error: the reason why the run ended early, or None.
        energy: of a meter, or None.
    """

    info: DeviceInfo
    baud: int
    planned: int | None
    rows: list[Row] = field(default_factory=list)
    before: list[Row] = field(default_factory=list)
    at_start: DeviceCounts | None = None
    elapsed_s: float = 0.0
    retries: int = 0
    bad_chunks: int = 0
    pipelined: bool = False
    link: LinkReport | None = None
    throughput: Throughput | None = None
    error: BaseException | None = None
    energy: EnergyReport | None = None

    def take_energy(self, report: EnergyReport) -> None:
        """Replace the energies by those of a meter that recorded these rows."""
        self.energy = report
        for number, (inference_mj, frame_mj) in enumerate(report.frames_mj):
            self.rows[number] = replace(
                self.rows[number],
                inference_energy_mj=inference_mj,
                energy_mj=frame_mj,
                energy_kind=report.instrument.kind,
            )

    @property
    def interrupted(self) -> bool:
        """Whether rows are missing."""
        return self.error is not None

    @property
    def frames_per_s(self) -> float:
        """Inferences per second of wall time, link included."""
        return len(self.rows) / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def accuracy(self) -> float | None:
        """Share of labelled rows whose class is right; None without labels or classes."""
        judged = [row for row in self.rows if row.label is not None and row.predicted is not None]
        if not judged:
            return None
        return sum(row.label == row.predicted for row in judged) / len(judged)

    @property
    def singles(self) -> list[Row]:
        """Inferences one at a time, ahead of a pipelined measurement."""
        return [row for row in self.before if row.part == "single"]

    @property
    def weights_us(self) -> float | None:
        """Microseconds that loading the weights took at the board's start, if it says so."""
        if self.at_start is None or not self.at_start.weights_ticks:
            return None
        return ticks_to_us(self.at_start.weights_ticks, self.info.timer_hz)

    def energy_statistics(self) -> dict[str, Any] | None:
        """Mean energy per inference in mJ, its bounds, and its kind; None without rows."""
        if not self.rows:
            return None
        if self.energy is not None:
            return _metered(self.energy)
        kind = self.rows[0].energy_kind
        rows = len(self.rows)
        mean = {
            "frame_mj": sum(row.energy_mj for row in self.rows) / rows,
            "inference_mj": sum(row.inference_energy_mj for row in self.rows) / rows,
        }
        if kind == ESTIMATE:
            bounds = [estimate_energy(row.inference_us / 1e3, row.processor_us / 1e3)
                      for row in self.rows]  # fmt: skip
            mean["frame_low_mj"] = sum(bound.low_mj for bound in bounds) / rows
            mean["frame_high_mj"] = sum(bound.high_mj for bound in bounds) / rows
        return {"kind": kind, **mean}

    def raise_if_interrupted(self) -> None:
        """Raise the error that ended the run early; to be called when the files are written."""
        if self.error is not None:
            raise self.error

    def to_json(self) -> dict[str, Any]:
        """The summary as one object for ``json.dumps``; rows are in the CSV file.

        Keys: ``schema``, ``schema_version``; ``device`` (fields of DeviceInfo); ``baud``;
        ``complete``, ``interruption`` (null, or ``code`` and ``message``); ``frames``,
        ``frames_planned`` (null for a run by time); ``elapsed_s``, ``frames_per_s`` (wall time,
        link included); ``accuracy`` (null or 0-1); ``phases_us`` (phase -> min, p50, mean, p95,
        p99, max, std; ``board`` is the sum of the phases on the board, without ``link``);
        ``single_us`` (the same of the inferences one at a time ahead of a pipeline, else {});
        ``first`` (null, or ``runs_before``, the board's runs since its start, and the
        microseconds by phase of the session's first inference); ``weights_us`` (null or the time
        that loading the weights took at the board's start); ``energy`` (null,
        or ``kind``: "estimate", "from the given current" or that of the meter, ``frame_mj``,
        ``inference_mj`` (null where a meter saw only whole frames), for an estimate
        ``frame_low_mj``, ``frame_high_mj``, with a meter ``meter``: EnergyReport's fields);
        ``link`` (``retries``, ``bad_chunks``; ``pipelined``; ``faults`` (count
        by name); ``session``: null or all of LinkReport's counts; ``throughput``: null, or by the
        board's timer ``frames_per_s`` and the bounds ``line_per_s``, ``inference_per_s``).
        """
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "device": asdict(self.info),
            "baud": self.baud,
            "complete": not self.interrupted,
            "interruption": _interruption(self.error),
            "frames": len(self.rows),
            "frames_planned": self.planned,
            "elapsed_s": self.elapsed_s,
            "frames_per_s": self.frames_per_s,
            "accuracy": self.accuracy,
            "phases_us": phase_statistics(self.rows),
            "single_us": phase_statistics(self.singles),
            "first": self._first(),
            "weights_us": self.weights_us,
            "energy": self.energy_statistics(),
            "link": {
                "retries": self.retries,
                "bad_chunks": self.bad_chunks,
                "pipelined": self.pipelined,
                "faults": {} if self.link is None else self.link.faults,
                "session": None if self.link is None else self.link.to_json(),
                "throughput": None if self.throughput is None else asdict(self.throughput),
            },
        }

    def _first(self) -> dict[str, Any] | None:
        first = next((row for row in self.before if row.part == "first"), None)
        if first is None:
            return None
        runs = None if self.at_start is None else self.at_start.runs
        times = {phase: values["mean"] for phase, values in phase_statistics([first]).items()}
        return {"runs_before": runs, **times}

    def summary(self) -> str:
        """The summary as a table for people."""
        planned = "" if self.planned is None else f" of {self.planned}"
        how = "pipelined" if self.pipelined else "one by one"
        lines = [
            f"{self.info.network_name}: {len(self.rows)}{planned} inferences {how},"
            f" {self.frames_per_s:.1f} per second end to end at {self.baud} baud"
        ]
        if self.interrupted:
            reason = _interruption(self.error) or {}
            lines.append(f"INTERRUPTED, figures are of the rows before: {reason['message']}")
        lines.append("phase [us] " + "".join(f"{name:>10}" for name in STATISTICS))
        for phase, values in phase_statistics(self.rows).items():
            cells = "".join(f"{values[name]:>10.1f}" for name in STATISTICS)
            lines.append(f"{phase:<11}{cells}")
        lines += [*self._start_lines(), *self._energy_lines()]
        if self.accuracy is not None:
            lines.append(f"accuracy {100 * self.accuracy:.2f} %")
        return "\n".join([*lines, *self._link_lines()])

    def _start_lines(self) -> list[str]:
        lines = []
        first = self._first()
        if first is not None:
            runs = first["runs_before"]
            since = "" if runs is None else f" (after {runs} runs since the board's start)"
            lines.append(f"first inference {first['board']:.1f} us on the board{since}")
        if self.weights_us is not None:
            lines.append(f"weights loaded once, at the start, in {self.weights_us:.1f} us")
        singles = phase_statistics(self.singles)
        if singles:
            board, link = singles["board"]["p50"], singles["link"]["p50"]
            lines.append(f"one at a time: {board:.1f} us on the board, {link:.1f} us link (medians "
                         f"of {len(self.singles)})")  # fmt: skip
        return lines

    def _energy_lines(self) -> list[str]:
        if self.energy is not None:
            return self.energy.lines()
        energy = self.energy_statistics()
        if energy is None:
            return []
        bounds = ""
        if "frame_low_mj" in energy:
            bounds = f" ({energy['frame_low_mj']:.4f} to {energy['frame_high_mj']:.4f})"
        return [
            f"energy per inference {energy['frame_mj']:.4f} mJ{bounds}, of it accelerator"
            f" {energy['inference_mj']:.4f} mJ: {energy['kind']}"
        ]

    def _link_lines(self) -> list[str]:
        lines = []
        if self.throughput is not None:
            rates = self.throughput
            lines.append(
                f"by the board's timer {rates.frames_per_s:.1f} frames per second; the line carries"
                f" {rates.line_per_s:.1f}, the accelerator takes {rates.inference_per_s:.1f}"
            )
        if self.link is None:
            return [*lines, f"link: {self.retries} retries, {self.bad_chunks} damaged frames"]
        faults = [f"link: {name}: {number}" for name, number in self.link.faults.items()]
        return [*lines, *(faults or ["link: no faults"])]


def _metered(report: EnergyReport) -> dict[str, Any]:
    frame, run = report.phases["frame"], report.phases.get("inference")
    content: dict[str, Any] = {
        "kind": report.instrument.kind,
        "frame_mj": frame.total.mean,
        "inference_mj": None if run is None else run.total.mean,
    }
    if frame.bounds_mj is not None:
        content["frame_low_mj"], content["frame_high_mj"] = frame.bounds_mj
    return content | {"meter": report.to_json()}


def _interruption(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    if isinstance(error, Max78kError):
        return {"code": error.code, "message": error.message}
    return {"code": "E-BENCH-STOPPED", "message": "stopped by the user"}
