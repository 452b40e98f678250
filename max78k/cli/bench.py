"""``max78k bench``: stream inputs to boards, log latency per phase and energy, report, compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.option_groups import GroupedCommand, grouped
from max78k.cli.options import seed_option
from max78k.cli.rehearsal import NOTHING, plan_option
from max78k.cli.terminal import emit, json_option, progress, say
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.flows.bench import BoardRun, Share

_STEPS = 1000  # of the progress bar
_INPUTS, _RUN, _ENERGY, _RESULTS = "Inputs", "Measurement", "Energy", "Results"


class PortOption(click.Option):
    """A --port that may be given several times; a configuration file may name just one."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The ports as a tuple."""
        return super().type_cast_value(ctx, (value,) if isinstance(value, str) else value)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """One port, whatever spaces are in its name."""
        return self.resolve_envvar_value(ctx)


@click.command("bench", cls=GroupedCommand)
@click.option(
    "--port",
    cls=PortOption,
    multiple=True,
    envvar="MAX78K_PORT",
    default=("sim",),
    show_default=True,
    help="Serial device, pty, `auto`, `sim` (virtual board), "
    "socket:// or rfc2217:// address. Several: one --port each, all at once.",
)
@click.option(
    "--elf",
    type=click.Path(path_type=Path),
    help="--port sim boots this (else what was flashed, else the firmware of --model, or fer7); "
    "of another board it goes into a failure's bundle.",
)
@grouped(
    _INPUTS,
    "--data",
    default="faces",
    show_default=True,
    help="Data set (`faces`, fer2013.csv, .npz, folder of classes), folder of pictures, "
    "video, `webcam`, CSV of an ESP32, `esp32:PORT`, .npz of `inputs`, or `random`.",
)
@grouped(
    _INPUTS,
    "--model",
    help="What the board runs: shape of the inputs, CSI, class names; "
    "a failed self test then names layer and channel.",
)
@grouped(
    _INPUTS,
    "--count",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Different inputs.",
)
@grouped(
    _INPUTS,
    "--like",
    type=click.Path(path_type=Path),
    help="CSI: windows that say how to prepare; by default the model says it.",
)
@grouped(_INPUTS, "--raw", is_flag=True, help="CSI: send packets, the board makes the windows.")
@grouped(_INPUTS, "--esp32-baud", type=int, default=921_600, show_default=True)
@grouped(
    _RUN,
    "--repeats",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Times through the inputs.",
)
@grouped(
    _RUN,
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Measure for this time instead, again and again through the inputs.",
)
@grouped(
    _RUN,
    "--warmup",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Inferences ahead that do not count; the first of them is reported apart.",
)
@grouped(
    _RUN,
    "--pipeline/--one-by-one",
    default=True,
    show_default=True,
    help="Send the next input during each inference, where the firmware can. A few "
    "inferences one by one go ahead: they give the latency of one request.",
)
@grouped(_RUN, "--cold", is_flag=True, help="Restart the board first.")
@grouped(
    _RUN,
    "--self-test/--no-self-test",
    default=True,
    show_default=True,
    help="Known-answer test, after the first inference.",
)
@grouped(
    _RUN,
    "--max-baud",
    type=int,
    default=2_000_000,
    show_default=True,
    help="Climb to this rate as far as test patterns pass.",
)
@grouped(_ENERGY, "--current-ma", type=float, help="Supply current that you measured, in mA.")
@grouped(_ENERGY, "--voltage", "voltage_v", type=float, help="Supply voltage, in V.")
@grouped(
    _ENERGY,
    "--meter",
    metavar="KIND",
    help="Energy by phase from a meter, see docs/energy.md: sim, constant, ppk2, joulescope, "
    "ina219, ina226, pmon, csv.",
)
@grouped(
    _RESULTS,
    "--out",
    type=click.Path(path_type=Path),
    default=Path("bench"),
    show_default=True,
    help="Folder for bench.csv, bench.json and report.html.",
)
@grouped(
    _RESULTS,
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="RUN1 RUN2",
    help="Measure nothing: compare two such folders; a page goes to --out if given.",
)
@grouped(
    _RESULTS,
    "--replay",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Run a failed bench's failure.zip again, on the virtual board.",
)
@seed_option
@plan_option
@json_option
@click.pass_context
def command(context: click.Context, /, **choices: Any) -> None:
    """Stream inputs through boards; time every phase with the board's own timer.

    \b
    Examples:
      max78k bench --port sim --data faces --count 100
      max78k bench --port sim --data windows.npz              (of `csi prepare`)
      max78k bench --port sim --data random --seconds 10
      max78k bench --port /dev/ttyUSB0 --data fer2013.csv --current-ma 3.16 --voltage 5
      max78k bench --port /dev/ttyUSB0 --data pictures/ --model fer7
      max78k bench --port /dev/ttyUSB0 --data webcam --count 200
      max78k bench --port /dev/ttyUSB0 --data esp32:/dev/ttyUSB1 --raw --model csi4-model
      max78k bench --port /dev/ttyACM0 --port /dev/ttyACM1 --out both
      max78k bench --compare bench-before bench-after --out difference
      max78k bench --replay bench/failure.zip
      max78k bench --port sim --seconds 10 --meter sim:current.csv
      max78k bench --port auto --seconds 10 --meter ppk2,volts=3.3

    A run's folder holds every inference (bench.csv), the figures (bench.json) and one page that
    needs nothing else (report.html). A run that fails leaves failure.zip: inputs, bytes of the
    link, options and firmware.

    Energy is I*V*t of the current and voltage that you give; without them it is an estimate, and
    is called one. --meter measures it by phase; with `sim` it reads the virtual board's current
    model like an instrument, which is an estimate too.
    """
    given = context.get_parameter_source("out") is not click.core.ParameterSource.DEFAULT
    out, as_json = choices["out"], choices["as_json"]
    asked = [name for name in ("compare", "replay", "dry_run") if choices[name]]
    if len(asked) > 1:
        words = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise InputError("E-ARGS-BENCH", f"{words} are different things.", "one of them")
    if choices["compare"] is not None:
        _compare(choices["compare"], out if given else None, as_json)
    elif choices["replay"] is not None:
        _replay(choices["replay"], out if given else Path("bench-replay"), choices["elf"], as_json)
    else:
        _bench(choices, out, as_json)


def _bench(choices: dict[str, Any], out: Path, as_json: bool) -> None:
    from max78k.flows.bench import BenchOptions, bench_boards, bench_plans
    from max78k.flows.bench_inputs import Source
    from max78k.flows.bench_runs import PAGE_FILE
    from max78k.flows.firmware import booted

    source = Source(choices["data"], **_of(Source, choices))
    options = BenchOptions(source, **_of(BenchOptions, choices))
    with booted(choices["port"], choices["elf"], source.model, say) as elf:
        if choices["dry_run"]:
            plans = bench_plans(choices["port"], options, out, elf=elf)
            data = plans[0] if len(plans) == 1 else {"boards": plans}
            text = "\n\n".join(_plan_text(plan) for plan in plans)
            emit(f"{text}\npage: {out / PAGE_FILE}\n{NOTHING}", {**data, "dry_run": True}, as_json)
            return
        with _shared_progress("bench") as share:
            runs = bench_boards(choices["port"], options, out, elf=elf, share=share)
    _show(runs, out, as_json)


def _of(kind: type, choices: dict[str, Any]) -> dict[str, Any]:
    """The options that are fields of a dataclass, by their names."""
    return {item.name: choices[item.name] for item in fields(kind) if item.name in choices}


def _plan_text(plan: dict[str, Any]) -> str:
    count = "as they come" if plan["inputs"] is None else f"{plan['inputs']:,}"
    labels = "with labels" if plan["labels"] else "without labels"
    length = (f"{plan['seconds']:g} s" if plan["inferences"] is None
              else f"{plan['inferences']:,} inferences")  # fmt: skip
    how = "pipelined" if plan["pipelined"] else "one by one"
    return "\n".join([
        f"{plan['port']}: {plan['network']}, firmware {plan['firmware']}, {plan['baud']:,} baud",
        f"inputs: {count}, {plan['input_bytes']:,} bytes each, {labels}, from {plan['data']}",
        f"measurement: {plan['warmup']} to warm up, then {length}, {how}",
        f"energy: {plan['meter'] or 'by the given current, else an estimate'}",
        f"files: {', '.join(plan['files'])}",
    ])  # fmt: skip


def _show(runs: Sequence[BoardRun], out: Path, as_json: bool) -> None:
    """Page and summary of what was measured; raises the first board's error, if one failed."""
    from max78k.flows.bench_runs import PAGE_FILE, read_run, write_page

    several = len(runs) > 1
    ports = [run.port for run in runs]
    names = [port if ports.count(port) == 1 else f"{port} ({number})"
             for number, port in enumerate(ports, 1)]  # fmt: skip
    stored = [read_run(run.folder, name if several else None)
              for run, name in zip(runs, names, strict=True) if run.result is not None]  # fmt: skip
    if stored:
        write_page(out / PAGE_FILE, stored)
    texts = [f"{name}\n{run.result.summary()}" if several else run.result.summary()
             for run, name in zip(runs, names, strict=True) if run.result is not None]  # fmt: skip
    if texts:
        summaries = [one.summary for one in stored]
        data = {"boards": summaries} if several else summaries[0]
        emit("\n\n".join([*texts, f"files: {out}; page: {out / PAGE_FILE}"]), data, as_json)
    failed = [run for run in runs if run.error is not None]
    for run in failed:
        if run.bundle is not None:
            say(f"{run.port}: `max78k bench --replay {run.bundle}` repeats it on the virtual board")
    for run in failed[1:]:
        say(f"{run.port}: {run.error}")
    if failed and failed[0].error is not None:
        raise failed[0].error


def _compare(folders: tuple[Path, Path], out: Path | None, as_json: bool) -> None:
    from max78k.flows.bench_compare import compare
    from max78k.flows.bench_runs import PAGE_FILE, read_run, write_page

    alike = folders[0].name == folders[1].name
    runs = [read_run(folder, str(folder) if alike else None) for folder in folders]
    comparison = compare(runs[0], runs[1])
    text = comparison.text()
    if out is not None:
        write_page(out / PAGE_FILE, runs, comparison.table())
        text += f"\npage: {out / PAGE_FILE}"
    emit(text, comparison.to_json(), as_json)


def _replay(bundle: Path, out: Path, elf: Path | None, as_json: bool) -> None:
    from max78k.flows.bench_replay import replay

    with _shared_progress("replay") as share:
        result = replay(bundle, out, elf=elf, share=share)
    emit(f"{result.text()}\nfiles: {out}", result.to_json(), as_json)
    result.raise_for_difference()


@contextmanager
def _shared_progress(label: str) -> Iterator[Share]:
    """A bar for a share from 0 to 1; several threads may move it."""
    import threading

    lock, shown = threading.Lock(), 0
    with progress(label, _STEPS) as advance:

        def share(done: float) -> None:
            nonlocal shown
            with lock:
                steps = round(_STEPS * done) - shown
                if steps > 0:
                    shown += steps
                    advance(steps, "")

        yield share
