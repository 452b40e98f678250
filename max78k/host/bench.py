"""Benchmark: stream inputs through a board, one row per inference.

Nothing that was measured is lost: rows go out as they come, and a run that ends early (the board
restarts, the link fails, Ctrl-C) returns its rows with the reason, marked as interrupted.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from max78k.errors import InputError, LinkError
from max78k.host.bench_result import BenchResult
from max78k.host.bench_rows import Part, Row
from max78k.host.energy import Energy, energy_from_current, estimate_energy
from max78k.host.input_bytes import int8_bytes
from max78k.host.link import Device
from max78k.host.link_report import LinkReport, throughput
from max78k.host.replies import Inference

if TYPE_CHECKING:
    from max78k.host.meters.run import EnergyRun

Infer = Callable[[Any], Inference]


def run_bench(
    device: Device,
    inputs: Iterable[Any],
    *,
    labels: Sequence[int] | None = None,
    repeats: int = 1,
    seconds: float | None = None,
    most: int | None = None,
    warmup: int = 1,
    singles: int = 0,
    infer: Infer | None = None,
    check: Callable[[], None] | None = None,
    current_ma: float | None = None,
    voltage_v: float | None = None,
    energy: EnergyRun | None = None,
    pipelined: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> BenchResult:
    """Run every input ``repeats`` times, after ``warmup`` inferences that are not counted.

    Args:
        inputs: int8 arrays or bytes of the network's input size; an (n, ...) int8 array will do.
            An iterator gives inputs as they come, each of them once: a camera.
        labels: class index of each input; not with an iterator.
        seconds: go on, again and again through the inputs, for this time instead of ``repeats``.
        most: of an iterator's inputs, measure so many; None goes on to its end.
        warmup: the first of these is the session's first inference, kept as such.
        singles: inferences one at a time ahead of a pipelined measurement.
        infer: asked in place of ``device.infer``, for inputs that do not go over the link as they
            are; not pipelined.
        check: called once, after the session's first inference.
        current_ma, voltage_v: supply during the run, as measured by the user; both or neither.
        energy: a meter's run: begun ahead of the measurement, told each inference that counts.
        pipelined: let the next input travel while the accelerator works, where the firmware can:
            the highest rate, but interrupts of the line in the load, and ``link`` is no latency.
        progress: called with (inferences done, inferences planned or None).
        on_row: called with each row as it is measured, those before the measurement too.

    A failing link or Ctrl-C during the measurement is returned in ``BenchResult.error``; the
    caller writes its files and then calls :meth:`BenchResult.raise_if_interrupted`. Before the
    measurement they are raised, as is InputError ``E-BENCH-INPUT``, ``E-BENCH-LABELS``,
    ``E-BENCH-SUPPLY``, ``E-LINK-INPUT``.
    """
    meter = _meter(current_ma, voltage_v)
    if isinstance(inputs, Iterator):
        planned = most
        ahead = items = _as_they_come(inputs)
    else:
        contents = _checked(inputs, labels, repeats, warmup)
        if infer is None:
            contents = [int8_bytes(data, device.info) for data in contents]
        planned = repeats * len(contents) if seconds is None else None
        ahead, items = (_again_and_again(contents, labels) for _ in range(2))
    pipelined = pipelined and infer is None and device.info.stream_window > 0
    result = BenchResult(device.info, device.baud, planned, pipelined=pipelined)
    run = _Run(device, result, meter, infer or device.infer, on_row, energy)
    run.ahead(ahead, warmup, singles if pipelined else 0, check)
    run.measure(items, seconds, progress)
    return result


@dataclass(frozen=True)
class _Item:
    """An input on its way."""

    number: int
    index: int
    round: int
    content: Any
    label: int | None


def _as_they_come(inputs: Iterator[Any]) -> Iterator[_Item]:
    for number, content in enumerate(inputs):
        yield _Item(number, number, 0, content, None)


def _again_and_again(contents: Sequence[Any], labels: Sequence[int] | None) -> Iterator[_Item]:
    for number in count():
        repetition, index = divmod(number, len(contents))
        label = None if labels is None else int(labels[index])
        yield _Item(number, index, repetition, contents[index], label)


class _Run:
    """The session: what is ahead of the measurement, and the measurement."""

    def __init__(
        self,
        device: Device,
        result: BenchResult,
        meter: Callable[[float, float], Energy],
        infer: Infer,
        on_row: Callable[[Row], None] | None,
        energy: EnergyRun | None,
    ) -> None:
        self._device, self._result, self._energy = device, result, energy
        self._meter, self._infer, self._on_row = meter, infer, on_row
        self._start = device.clock()

    def ahead(
        self, items: Iterator[_Item], warmup: int, singles: int, check: Callable[[], None] | None
    ) -> None:
        """First inference, check, warm-up, and inferences one at a time."""
        self._result.at_start = self._device.link_report().board
        names = ["first"] * (warmup > 0) + ["warm-up"] * (warmup - 1) + ["single"] * singles
        parts = cast("list[Part]", names)
        if check is not None and not parts:
            check()
        for number, (part, item) in enumerate(zip(parts, items, strict=False)):
            self._result.before.append(self._row(part, item, self._infer(item.content)))
            if check is not None and not number:
                check()

    def measure(
        self,
        items: Iterator[_Item],
        seconds: float | None,
        progress: Callable[[int, int | None], None] | None,
    ) -> None:
        """All inferences that count; fills the result also where it ends early."""
        device, result = self._device, self._result
        retries, bad = device.retries, device.statistics.bad_chunks
        measured: list[Inference] = []
        if self._energy is not None:
            self._energy.begin()
        start = device.clock()
        due = self._due(items, None if seconds is None else start + seconds)
        try:
            for item, inference in self._answers(due):
                measured.append(inference)
                result.elapsed_s = device.clock() - start
                result.rows.append(self._row("measured", item, inference))
                if self._energy is not None:
                    self._energy.frame(result.rows[-1])
                if progress is not None:
                    progress(len(result.rows), result.planned)
        except (LinkError, KeyboardInterrupt) as error:
            result.error = error
        result.retries = device.retries - retries
        result.bad_chunks = device.statistics.bad_chunks - bad
        result.throughput = throughput(measured, device.info, device.baud)
        result.link = _link_report(device)

    def _due(self, items: Iterator[_Item], end: float | None) -> Iterator[_Item]:
        """Those that are to be measured: as many as planned, or until the time is over."""
        for done, item in enumerate(items, 1):
            yield item
            if done == self._result.planned or (end is not None and self._device.clock() >= end):
                return

    def _answers(self, items: Iterator[_Item]) -> Iterator[tuple[_Item, Inference]]:
        if not self._result.pipelined:
            yield from ((item, self._infer(item.content)) for item in items)
            return
        under_way: deque[_Item] = deque()

        def contents() -> Iterator[Any]:
            for item in items:
                under_way.append(item)
                yield item.content

        for inference in self._device.stream(contents()):
            yield under_way.popleft(), inference

    def _row(self, part: Part, item: _Item, inference: Inference) -> Row:
        at_s = self._device.clock() - self._start
        row = _row(part, item, inference, at_s, self._meter)
        if self._on_row is not None:
            self._on_row(row)
        return row


def _link_report(device: Device) -> LinkReport:
    """With the board's own counts, if it still answers."""
    try:
        return device.link_report()
    except LinkError:
        return device.link_report(ask_board=False)


def _meter(current_ma: float | None, voltage_v: float | None) -> Callable[[float, float], Energy]:
    """A function of (inference ms, processor ms): the estimate, or I * V * t."""
    if current_ma is None and voltage_v is None:
        return estimate_energy
    if current_ma is None or voltage_v is None:
        raise InputError(
            "E-BENCH-SUPPLY",
            "energy from a current needs both the current and the voltage.",
            "give --current-ma and --voltage, or neither for an estimate",
        )
    current, voltage = current_ma, voltage_v
    energy_from_current(current, voltage, 0.0)  # refuses impossible values before the run
    return lambda inference_ms, processor_ms: energy_from_current(
        current, voltage, inference_ms + processor_ms
    )


def _checked(
    given: Iterable[Any], labels: Sequence[int] | None, repeats: int, warmup: int
) -> list[Any]:
    """The inputs; what makes no benchmark is refused before anything is sent."""
    inputs = list(given)
    if not inputs or repeats < 1 or warmup < 0:
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
    return inputs


def _row(
    part: Part,
    item: _Item,
    inference: Inference,
    at_s: float,
    meter: Callable[[float, float], Energy],
) -> Row:
    processor_us = inference.window_us + inference.load_us + inference.unload_us + inference.post_us
    energy = meter(inference.inference_us / 1e3, processor_us / 1e3)
    return Row(
        part=part,
        index=item.index,
        round=item.round,
        at_s=at_s,
        label=item.label,
        predicted=inference.class_index,
        window_us=inference.window_us,
        load_us=inference.load_us,
        inference_us=inference.inference_us,
        unload_us=inference.unload_us,
        post_us=inference.post_us,
        link_us=inference.link_s * 1e6,
        inference_energy_mj=meter(inference.inference_us / 1e3, 0.0).mj,
        energy_mj=energy.mj,
        energy_kind=energy.kind,
        boot_id=inference.boot_id,
        input_crc=zlib.crc32(memoryview(item.content)),
        scores=tuple(inference.scores.tolist()),
    )
