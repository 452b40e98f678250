"""A bench on one board or on several at once: connect, send, write the run's folder."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from max78k import __version__
from max78k.errors import InputError, LinkError, Max78kError, MismatchError, ToolError
from max78k.flows.bench_bundle import Bundle, write_bundle
from max78k.flows.bench_inputs import Feed, Source, kept, open_feed
from max78k.flows.bench_runs import (
    ROWS_FILE,
    SUMMARY_FILE,
    Circumstances,
    write_run,
)
from max78k.flows.models import load_model
from max78k.flows.self_test import first_difference
from max78k.host.bench import run_bench
from max78k.host.bench_result import BenchResult
from max78k.host.bench_rows import Row, csv_log, write_csv
from max78k.host.link import Device
from max78k.host.messages import BAUD_RATES
from max78k.host.meters.run import EnergyRun, measuring, require_meter
from max78k.host.port_log import PortLog
from max78k.host.ports import Port
from max78k.host.session import SIM, connect
from max78k.host.state import virtual_flash

SINGLES = 10  # inferences one at a time ahead of a pipeline: their latency is one request's
BUNDLE_FILE = "failure.zip"
_METERS_FOR_ALL = ("sim", "constant")  # those that are not one instrument in one supply
_KEPT_INPUTS = 1 << 16  # of a camera, for a failure's bundle

# Called with the share of the run that is done, 0 ... 1, as it grows.
Share = Callable[[float], None]


@dataclass(frozen=True)
class BenchOptions:
    """What is measured, and how.

    Attributes:
        source: the inputs.
        seconds: measure for this time, again and again through the inputs; None: ``repeats``.
        repeats: times that every input is run.
        warmup: inferences that are not counted; the first of them is shown apart.
        pipeline: let the next input travel during an inference, where firmware and inputs allow.
        self_test: run the known-answer test, after the first inference.
        cold: restart the board first.
        max_baud: climb to this rate as far as test patterns pass.
        current_ma, voltage_v: the supply, as measured by the user.
        meter: takes the energies, see :mod:`max78k.host.meters.choose`; None: they are estimated,
            or from ``current_ma``.
    """

    source: Source = field(default_factory=Source)
    seconds: float | None = None
    repeats: int = 1
    warmup: int = 1
    pipeline: bool = True
    self_test: bool = True
    cold: bool = False
    max_baud: int = BAUD_RATES[-1]
    current_ma: float | None = None
    voltage_v: float | None = None
    meter: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = asdict(self)
        plain["source"]["like"] = None if self.source.like is None else str(self.source.like)
        return plain


@dataclass
class BoardRun:
    """What one board gave; ``error`` is why it ended early, or None."""

    port: str
    folder: Path
    result: BenchResult | None = None
    error: Max78kError | KeyboardInterrupt | None = None
    bundle: Path | None = None


def bench_boards(
    ports: Sequence[str],
    options: BenchOptions,
    folder: Path,
    *,
    elf: Path | None = None,
    share: Share = lambda done: None,
) -> list[BoardRun]:
    """Bench all boards at the same time; each has a folder of its own where there are several.

    The folder of a run holds ``bench.csv``, ``bench.json`` and, after a failure, ``failure.zip``.
    Ctrl-C ends all runs with what they have.
    """
    _check_meter(options, len(ports))
    if len(ports) == 1:
        return [bench_board(ports[0], options, folder, elf=elf, share=share)]
    stop, places = threading.Event(), _places(folder, len(ports))
    shares = [0.0] * len(ports)

    def run(number: int) -> BoardRun:
        def note(done: float) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            shares[number] = done
            share(sum(shares) / len(shares))

        return bench_board(ports[number], options, places[number], elf=elf, share=note)

    with ThreadPoolExecutor(len(ports)) as pool:
        runs = [pool.submit(run, number) for number in range(len(ports))]
        try:
            return [one.result() for one in runs]
        except KeyboardInterrupt:
            stop.set()
            return [one.result() for one in runs]
        except BaseException:
            stop.set()  # what is refused is refused for all; nobody waits for the others
            raise


def bench_board(
    port: str,
    options: BenchOptions,
    folder: Path,
    *,
    elf: Path | None = None,
    share: Share = lambda done: None,
    feed: Callable[[Device], Feed] | None = None,
) -> BoardRun:
    """Bench one board and write its files; a board that fails is told in ``BoardRun.error``.

    ``feed`` gives the inputs in place of ``options.source``. Raises InputError for inputs and
    options that make no bench, and DeviceNotFoundError.
    """
    run = BoardRun(port, folder)
    session = _Session(run, options, elf, share)
    if feed is not None:
        session.open_feed = feed
    try:
        session.run()
    except (LinkError, ToolError, MismatchError) as error:
        run.error = error
        run.bundle = folder / BUNDLE_FILE
        write_bundle(run.bundle, session.bundle(error))
    except (Max78kError, KeyboardInterrupt) as error:
        if run.result is None:
            raise
        run.error = error
    return run


def bench_plans(
    ports: Sequence[str], options: BenchOptions, folder: Path, *, elf: Path | None = None
) -> list[dict[str, Any]]:
    """What :func:`bench_boards` would do, as plain data; boards are asked who they are, no more.

    Raises what it raises before the first inference.
    """
    _check_meter(options, len(ports))
    places = _places(folder, len(ports))
    return [_plan(port, options, place, elf) for port, place in zip(ports, places, strict=True)]


def _places(folder: Path, boards: int) -> list[Path]:
    """The folder of each board's run."""
    return [folder / f"board-{n + 1}" for n in range(boards)] if boards > 1 else [folder]


def _plan(port: str, options: BenchOptions, folder: Path, elf: Path | None) -> dict[str, Any]:
    if options.meter is not None:
        require_meter(options.meter, port)
    with connect(port, elf=elf, highest_baud=options.max_baud) as device:
        feed, info = open_feed(options.source, device), device.info
        inputs = None if isinstance(feed.inputs, Iterator) else len(feed.inputs)
        at_hand = inputs is not None and feed.infer is None
        return {
            "port": port,
            "network": f"{info.network_name} ({info.network_id:08x})",
            "firmware": info.firmware,
            "baud": device.baud,
            "data": options.source.spec,
            "inputs": inputs,
            "input_bytes": info.input_bytes,
            "labels": feed.labels is not None,
            "seconds": options.seconds,
            "inferences": _planned(options, inputs),
            "warmup": options.warmup,
            "pipelined": options.pipeline and at_hand and info.stream_window > 0,
            "meter": options.meter,
            "files": [str(folder / name) for name in (ROWS_FILE, SUMMARY_FILE)],
        }


def _planned(options: BenchOptions, inputs: int | None) -> int | None:
    """Inferences that count; None where the time ends them."""
    if options.seconds is not None:
        return None
    return options.repeats * (options.source.count if inputs is None else inputs)


def _check_meter(options: BenchOptions, boards: int) -> None:
    if options.meter is None:
        return
    if options.current_ma is not None or options.voltage_v is not None:
        raise InputError(
            "E-BENCH-METER", "--meter and --current-ma both say what the current is.",
            "one of them",
        )  # fmt: skip
    if boards > 1 and options.meter.split(",")[0] not in _METERS_FOR_ALL:
        raise InputError(
            "E-BENCH-METER", f"--meter {options.meter} is one meter, for {boards} boards.",
            "bench the boards one after the other, then --compare",
        )  # fmt: skip


class _Session:
    """One board's run, with what a bundle needs if it fails."""

    def __init__(
        self, run: BoardRun, options: BenchOptions, elf: Path | None, share: Share
    ) -> None:
        self._run, self._options, self._elf, self._share = run, options, elf, share
        self._sent: deque[Any] = deque(maxlen=_KEPT_INPUTS)
        self._feed: Feed | None = None
        self._log: PortLog | None = None
        self._device: Device | None = None
        self._rows: list[Row] = []
        self._started = datetime.now(timezone.utc)
        self.open_feed: Callable[[Device], Feed] = lambda device: open_feed(options.source, device)

    def run(self) -> None:
        """Measure and write; raises what ends the run early, its files written."""
        options, run = self._options, self._run
        with measuring(options.meter, run.port) as energy:
            with connect(
                run.port, elf=self._elf, highest_baud=options.max_baud,
                power=energy.board_trace, tap=self._tap,
            ) as device:  # fmt: skip
                self._device = device
                if options.cold:
                    device.reset()
                    device.negotiate_baud(options.max_baud)
                self._feed = feed = kept(self.open_feed(device), self._sent)
                result = self._measure(device, feed, energy)
                self._write(result, feed)  # before energies: a meter that fails costs no rows
                result.raise_if_interrupted()  # inside: a board that died explains itself
            report = energy.finish()
        if report is not None:
            result.take_energy(report)
            write_csv(run.folder / ROWS_FILE, [*result.before, *result.rows])
            self._write(result, feed)

    def bundle(self, error: Max78kError) -> Bundle:
        """Everything that explains the failure and repeats it."""
        known = self._run.port == SIM or self._elf is not None
        firmware = self._elf or virtual_flash()
        result, feed, device = self._run.result, self._feed, self._device
        about = {
            "port": self._run.port,
            "started": self._started.isoformat(timespec="seconds"),
            "max78k": __version__,
            "error": {"code": error.code, "message": error.message},
            "options": self._options.to_json(),
            "pipelined": bool(result and result.pipelined),
            "device": None if device is None else asdict(device.info),
            "link_bytes_left_out": 0 if self._log is None else self._log.dropped,
        }
        return Bundle(
            about,
            list(self._sent),
            None if feed is None else feed.labels,
            tuple(self._rows),
            () if self._log is None else tuple(self._log.lines()),
            firmware.read_bytes() if known and firmware.is_file() else None,
        )

    def _tap(self, port: Port) -> Port:
        self._log = PortLog(port)
        return self._log

    def _measure(self, device: Device, feed: Feed, energy: EnergyRun) -> BenchResult:
        options = self._options
        begun = device.clock()

        def progress(done: int, planned: int | None) -> None:
            if options.seconds is not None:
                self._share(min(1.0, (device.clock() - begun) / options.seconds))
            elif planned:
                self._share(done / planned)

        with csv_log(self._run.folder / ROWS_FILE) as log:

            def on_row(row: Row) -> None:
                self._rows.append(row)
                log(row)

            timed = options.seconds is not None
            self._run.result = run_bench(
                device,
                feed.inputs,
                labels=feed.labels,
                repeats=options.repeats,
                seconds=options.seconds,
                most=None if timed else options.source.count * options.repeats,
                warmup=options.warmup,
                singles=min(SINGLES, options.source.count),
                infer=feed.infer,
                check=(lambda: self_test(device, options.source.model))
                if options.self_test
                else None,
                current_ma=options.current_ma,
                voltage_v=options.voltage_v,
                energy=energy,
                pipelined=options.pipeline and not feed.live,
                progress=progress,
                on_row=on_row,
            )
        return self._run.result

    def _write(self, result: BenchResult, feed: Feed) -> None:
        options = self._options
        about = Circumstances(
            self._run.port, options.source.spec, feed.class_names, options.to_json(), self._started
        )
        write_run(self._run.folder, result, about)


def self_test(device: Device, model: str | None) -> None:
    """Run the board's known-answer test; raises MismatchError ``E-KAT-BOARD`` if it fails."""
    result = device.self_test()
    if result.passed:
        return
    where = f"address 0x{result.address:08x}"
    if model is not None:
        wrong = result.expected ^ result.read
        place = first_difference(load_model(model), device.info.network_id, result.address, wrong)
        where = f"{where} ({place})"
    raise MismatchError(
        "E-KAT-BOARD",
        f"the board's known-answer test fails in {result.mismatches} of {result.words} words; "
        f"{where}: expected 0x{result.expected:08x}, read 0x{result.read:08x}.",
        "flash again; check the supply; `--model MODEL` names layer and channel; "
        "`--no-self-test` measures all the same.",
    )
