"""Benchmark: stream inputs through a board, one row per inference, statistics per phase.

Nothing that was measured is lost: rows go out as they come, and a run that ends early (the board
restarts, the link fails, Ctrl-C) returns its rows with the reason, marked as interrupted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from max78k.errors import InputError, LinkError, Max78kError
from max78k.host.energy import ESTIMATE, Energy, energy_from_current, estimate_energy
from max78k.host.input_bytes import int8_bytes
from max78k.host.link import Device
from max78k.host.link_report import LinkReport, Throughput, throughput
from max78k.host.replies import DeviceInfo, Inference

if TYPE_CHECKING:
    from max78k.host.meters.report import EnergyReport

SCHEMA = "max78k-bench"
SCHEMA_VERSION = 1
PHASES = ("load", "inference", "unload", "post", "link")
STATISTICS = ("min", "median", "mean", "p95", "p99", "max", "std")


@dataclass(frozen=True)
class Row:
    """One inference. Times in microseconds, energy in millijoules.

    ``energy_mj`` covers the board's four phases, ``inference_energy_mj`` the accelerator's run.
    ``index`` is the input's number, ``round`` the repetition, from 0.
    """

    index: int
    round: int
    label: int | None
    predicted: int | None
    load_us: float
    inference_us: float
    unload_us: float
    post_us: float
    link_us: float
    inference_energy_mj: float
    energy_mj: float
    energy_kind: str
    boot_id: int
    scores: tuple[int, ...]


@dataclass
class BenchResult:
    """Rows and what they amount to; ``error`` is the reason why the run ended early, or None."""

    info: DeviceInfo
    baud: int
    planned: int
    rows: list[Row] = field(default_factory=list)
    elapsed_s: float = 0.0
    retries: int = 0
    bad_chunks: int = 0
    pipelined: bool = False
    link: LinkReport | None = None
    throughput: Throughput | None = None
    error: BaseException | None = None
    energy: EnergyReport | None = None  # of a meter

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

    def phase_statistics(self) -> dict[str, dict[str, float]]:
        """Per phase, and for ``board`` (the sum of the board's phases): STATISTICS in us."""
        times = {phase: [float(getattr(row, f"{phase}_us")) for row in self.rows]
                 for phase in PHASES}  # fmt: skip
        times["board"] = [row.load_us + row.inference_us + row.unload_us + row.post_us
                          for row in self.rows]  # fmt: skip
        return {phase: summarize(values) for phase, values in times.items() if values}

    def energy_statistics(self) -> dict[str, Any] | None:
        """Mean energy per inference in mJ, its bounds, and its kind; None without rows."""
        if not self.rows:
            return None
        if self.energy is not None:
            return _metered(self.energy)
        kind = self.rows[0].energy_kind
        count = len(self.rows)
        mean = {
            "frame_mj": sum(row.energy_mj for row in self.rows) / count,
            "inference_mj": sum(row.inference_energy_mj for row in self.rows) / count,
        }
        if kind == ESTIMATE:
            bounds = [estimate_energy(row.inference_us / 1e3, _processor_ms(row))
                      for row in self.rows]  # fmt: skip
            mean["frame_low_mj"] = sum(bound.low_mj for bound in bounds) / count
            mean["frame_high_mj"] = sum(bound.high_mj for bound in bounds) / count
        return {"kind": kind, **mean}

    def raise_if_interrupted(self) -> None:
        """Raise the error that ended the run early; to be called when the files are written."""
        if self.error is not None:
            raise self.error

    def to_json(self) -> dict[str, Any]:
        """The summary as one object for ``json.dumps``; rows are in the CSV file.

        Keys: ``schema``, ``schema_version``; ``device`` (fields of DeviceInfo); ``baud``;
        ``complete``, ``interruption`` (null, or ``code`` and ``message``); ``frames``,
        ``frames_planned``; ``elapsed_s``, ``frames_per_s`` (wall time, link included);
        ``accuracy`` (null or 0-1); ``phases_us`` (phase -> min, median, mean, p95, p99, max, std;
        ``board`` is the sum of the four phases on the board, without ``link``); ``energy`` (null,
        or ``kind``: "estimate", "from the given current" or that of the meter, ``frame_mj``,
        ``inference_mj`` (null where a meter saw only whole frames), for an estimate
        ``frame_low_mj``, ``frame_high_mj``, with a meter ``meter``: EnergyReport's fields);
        ``link`` (``retries``, ``bad_chunks``; ``pipelined``; ``session``: null or all of
        LinkReport's counts; ``throughput``: null, or by the board's timer ``frames_per_s`` and the
        bounds ``line_per_s``, ``inference_per_s``).
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
            "phases_us": self.phase_statistics(),
            "energy": self.energy_statistics(),
            "link": {
                "retries": self.retries,
                "bad_chunks": self.bad_chunks,
                "pipelined": self.pipelined,
                "session": None if self.link is None else self.link.to_json(),
                "throughput": None if self.throughput is None else asdict(self.throughput),
            },
        }

    def summary(self) -> str:
        """The summary as a table for people."""
        lines = [
            f"{self.info.network_name}: {len(self.rows)} of {self.planned} inferences,"
            f" {self.frames_per_s:.1f} per second end to end at {self.baud} baud"
        ]
        if self.interrupted:
            reason = _interruption(self.error) or {}
            lines.append(f"INTERRUPTED, figures are of the rows before: {reason['message']}")
        lines.append("phase [us] " + "".join(f"{name:>10}" for name in STATISTICS))
        for phase, values in self.phase_statistics().items():
            cells = "".join(f"{values[name]:>10.1f}" for name in STATISTICS)
            lines.append(f"{phase:<11}{cells}")
        lines += self._energy_lines()
        if self.accuracy is not None:
            lines.append(f"accuracy {100 * self.accuracy:.2f} %")
        if self.link is None and (self.retries or self.bad_chunks):
            lines.append(f"link: {self.retries} retries, {self.bad_chunks} damaged frames")
        if self.throughput is not None:
            rates = self.throughput
            lines.append(
                f"by the board's timer {rates.frames_per_s:.1f} frames per second; the line carries"
                f" {rates.line_per_s:.1f}, the accelerator takes {rates.inference_per_s:.1f}"
            )
        if self.link is not None:
            lines += [f"link: {name}: {count}" for name, count in self.link.faults.items()]
        return "\n".join(lines)

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


def run_bench(
    device: Device,
    inputs: Sequence[Any],
    *,
    labels: Sequence[int] | None = None,
    repeats: int = 1,
    warmup: int = 1,
    current_ma: float | None = None,
    voltage_v: float | None = None,
    pipelined: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> BenchResult:
    """Run every input ``repeats`` times, after ``warmup`` inferences that are not counted.

    Args:
        inputs: int8 arrays or bytes of the network's input size; an (n, ...) int8 array will do.
        labels: class index of each input.
        current_ma, voltage_v: supply during the run, as measured by the user; both or neither.
        pipelined: let the next input travel while the accelerator works. That gives the highest
            rate; the load then is a little longer, for the line's interrupts fall into it.
        progress: called with (inferences done, inferences planned).
        on_row: called with each row as it is measured.

    A failing link or Ctrl-C during the measurement is returned in ``BenchResult.error``; the
    caller writes its files and then calls :meth:`BenchResult.raise_if_interrupted`. Before the
    measurement they are raised, as is InputError ``E-BENCH-INPUT``, ``E-BENCH-LABELS``,
    ``E-BENCH-SUPPLY``, ``E-LINK-INPUT``.
    """
    meter = _meter(current_ma, voltage_v)
    frames = _checked_inputs(device, inputs, labels, repeats, warmup)
    for _ in range(warmup):
        device.infer(frames[0])
    result = BenchResult(device.info, device.baud, planned=repeats * len(frames))
    retries, bad = device.retries, device.statistics.bad_chunks
    result.pipelined = pipelined and device.info.stream_window > 0
    contents = (frames[number % len(frames)] for number in range(result.planned))
    inferences = device.stream(contents) if pipelined else map(device.infer, contents)
    measured: list[Inference] = []
    start = device.clock()
    try:
        for number, inference in enumerate(inferences):
            repetition, index = divmod(number, len(frames))
            measured.append(inference)
            result.elapsed_s = device.clock() - start
            label = None if labels is None else int(labels[index])
            row = _row(index, repetition, label, inference, meter)
            result.rows.append(row)
            if on_row is not None:
                on_row(row)
            if progress is not None:
                progress(number + 1, result.planned)
    except (LinkError, KeyboardInterrupt) as error:
        result.error = error
    result.retries = device.retries - retries
    result.bad_chunks = device.statistics.bad_chunks - bad
    result.throughput = throughput(measured, device.info, device.baud)
    if result.error is None:
        result.link = device.link_report()
    return result


def summarize(values: Sequence[float]) -> dict[str, float]:
    """STATISTICS of at least one value; percentiles interpolate, ``std`` is of the population."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    median, p95, p99 = np.percentile(array, (50, 95, 99))
    figures = (array.min(), median, array.mean(), p95, p99, array.max(), array.std())
    return {name: float(figure) for name, figure in zip(STATISTICS, figures, strict=True)}


CSV_COLUMNS = tuple(Row.__dataclass_fields__)


@contextmanager
def csv_log(path: Path) -> Iterator[Callable[[Row], None]]:
    """A function for ``on_row`` that writes rows to ``path`` as they come.

    Rows go, flushed one by one, to ``path`` with ``.part`` added, which takes its final name when
    the block ends, also by an error or Ctrl-C: even a killed process leaves its rows. A block that
    fails before the first row leaves ``path`` as it was. ``scores`` are joined by semicolons.
    """
    part = path.with_name(path.name + ".part")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = part.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "E-BENCH-FILE", f"{part}: {error.strerror}.", "name a file that can be written"
        ) from error
    with stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)

        def write(row: Row) -> None:
            nonlocal written
            _write_row(writer, row)
            stream.flush()
            written += 1

        try:
            yield write
        except BaseException:
            stream.close()
            _finish(part, path, keep=written > 0)
            raise
    _finish(part, path, keep=True)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all ``rows`` at once, in the format of :func:`csv_log`."""
    with csv_log(path) as write:
        for row in rows:
            write(row)


def _write_row(writer: Any, row: Row) -> None:
    """One line; a value that is not there is an empty cell, numbers keep all their digits."""
    cells = [getattr(row, name) for name in CSV_COLUMNS]
    cells[CSV_COLUMNS.index("scores")] = ";".join(map(str, row.scores))
    writer.writerow(["" if cell is None else cell for cell in cells])


def _finish(part: Path, path: Path, *, keep: bool) -> None:
    if keep:
        part.replace(path)
    else:
        part.unlink()


def _meter(current_ma: float | None, voltage_v: float | None) -> Callable[[float, float], Energy]:
    """A function of (inference ms, processor ms): the estimate, or I * V * t."""
    if current_ma is None and voltage_v is None:
        return estimate_energy
    if current_ma is None or voltage_v is None:
        raise InputError(
            "E-BENCH-SUPPLY",
            "energy from a current needs both the current and the voltage.",
            "give --current-ma and --voltage-v, or neither for an estimate",
        )
    current, voltage = current_ma, voltage_v
    energy_from_current(current, voltage, 0.0)  # refuses impossible values before the run
    return lambda inference_ms, processor_ms: energy_from_current(
        current, voltage, inference_ms + processor_ms
    )


def _checked_inputs(
    device: Device, inputs: Sequence[Any], labels: Sequence[int] | None, repeats: int, warmup: int
) -> list[bytes]:
    """The inputs as bytes; every one is checked before the first is sent."""
    if not len(inputs) or repeats < 1 or warmup < 0:
        raise InputError(
            "E-BENCH-INPUT",
            f"{len(inputs)} inputs, {repeats} repeats and {warmup} warm-up runs make no benchmark.",
            "at least one input and one repeat",
        )
    if labels is not None and len(labels) != len(inputs):
        raise InputError(
            "E-BENCH-LABELS",
            f"{len(labels)} labels for {len(inputs)} inputs.",
            "one label for each input, or none at all",
        )
    return [int8_bytes(data, device.info) for data in inputs]


def _row(
    index: int,
    repetition: int,
    label: int | None,
    inference: Inference,
    meter: Callable[[float, float], Energy],
) -> Row:
    processor_us = inference.load_us + inference.unload_us + inference.post_us
    energy = meter(inference.inference_us / 1e3, processor_us / 1e3)
    return Row(
        index=index,
        round=repetition,
        label=label,
        predicted=inference.class_index,
        load_us=inference.load_us,
        inference_us=inference.inference_us,
        unload_us=inference.unload_us,
        post_us=inference.post_us,
        link_us=inference.link_s * 1e6,
        inference_energy_mj=meter(inference.inference_us / 1e3, 0.0).mj,
        energy_mj=energy.mj,
        energy_kind=energy.kind,
        boot_id=inference.boot_id,
        scores=tuple(inference.scores.tolist()),
    )


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


def _processor_ms(row: Row) -> float:
    return (row.load_us + row.unload_us + row.post_us) / 1e3


def _interruption(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    if isinstance(error, Max78kError):
        return {"code": error.code, "message": error.message}
    return {"code": "E-BENCH-STOPPED", "message": "stopped by the user"}
