"""``max78k bench``: stream inputs to a board, log latency per phase and energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.cli.options import data_option, port_option, seed_option
from max78k.cli.terminal import emit, json_option, progress
from max78k.errors import InputError

if TYPE_CHECKING:
    from max78k.host.bench import BenchResult, Row
    from max78k.host.link import Device
    from max78k.host.meters.run import EnergyRun

_PICTURE = (1, 48, 48)  # what data sets hold that do not say it themselves


@click.command("bench")
@port_option
@click.option("--elf", type=click.Path(path_type=Path), help="With --port sim: boot this instead.")
@data_option
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="Inputs.")
@click.option("--repeats", type=click.IntRange(1), default=1, show_default=True)
@click.option("--warmup", type=click.IntRange(0), default=1, show_default=True)
@click.option("--current-ma", type=float, help="Supply current that you measured, in mA.")
@click.option("--voltage", "voltage_v", type=float, help="Supply voltage, in V.")
@click.option("--meter", metavar="KIND", help="Energy per phase from a meter, see docs/energy.md: "
              "sim, constant, ppk2, joulescope, ina219, ina226, pmon, csv.")  # fmt: skip
@click.option("--max-baud", type=int, default=2_000_000, show_default=True,
              help="Climb to this rate as far as test patterns pass.")  # fmt: skip
@click.option("--pipeline", is_flag=True, help="Send the next input during each inference.")
@click.option("--self-test/--no-self-test", default=True, help="Known-answer test first.")
@click.option("--model", help="What the board runs: a failed test then names layer and channel.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("bench"), show_default=True,
              help="Folder for bench.csv, bench.json and latency.png.")  # fmt: skip
@seed_option
@json_option
def command(
    port: str,
    elf: Path | None,
    data: str,
    count: int,
    repeats: int,
    warmup: int,
    current_ma: float | None,
    voltage_v: float | None,
    meter: str | None,
    max_baud: int,
    pipeline: bool,
    self_test: bool,
    model: str | None,
    out: Path,
    seed: int,
    as_json: bool,
) -> None:
    """Stream inputs through a board; time every phase with the board's own timer.

    \b
    Examples:
      max78k bench --port sim --data faces --count 100
      max78k bench --port sim --data windows.npz        (of `csi prepare`)
      max78k bench --port /dev/ttyUSB0 --data fer2013.csv --current-ma 3.16 --voltage 5
      max78k bench --port /tmp/fthr --json
      max78k bench --port sim --meter sim:current.csv
      max78k bench --port auto --meter ppk2:auto,volts=3.3

    Energy is I*V*t of the current and voltage that you give; without them it is an estimate, and
    is called one. --meter measures it by phase; with `sim` it reads the virtual board's current
    model like an instrument, which is an estimate too.
    """
    from max78k.host.bench import csv_log, run_bench
    from max78k.host.meters.run import measuring
    from max78k.host.session import connect

    if meter is not None and (current_ma is not None or voltage_v is not None):
        raise InputError(
            "E-BENCH-METER", "--meter and --current-ma both say what the current is.",
            "one of them",
        )  # fmt: skip
    with measuring(meter, port) as energy:
        with connect(port, elf=elf, highest_baud=max_baud, power=energy.board_trace) as device:
            inputs, labels = _inputs(device, data, count, seed)
            if self_test:
                _self_test(device, model)
            energy.begin()
            planned = repeats * len(inputs)
            with csv_log(out / "bench.csv") as log, progress("bench", planned) as advance:

                def keep(row: Row) -> None:
                    energy.frame(row)
                    log(row)

                result = run_bench(
                    device,
                    inputs,
                    labels=labels,
                    repeats=repeats,
                    warmup=warmup,
                    current_ma=current_ma,
                    voltage_v=voltage_v,
                    pipelined=pipeline,
                    progress=lambda done, total: advance(1, ""),
                    on_row=keep,
                )
            if meter is None or result.interrupted:
                _show(result, out, as_json)
            result.raise_if_interrupted()  # inside: a virtual board that died explains itself
        if meter is not None:
            _take_energy(result, energy, out, as_json)


def _take_energy(result: BenchResult, energy: EnergyRun, out: Path, as_json: bool) -> None:
    """Add what the meter says; a meter that fails costs no measured time."""
    from max78k.host.bench import write_csv

    try:
        report = energy.finish()
        assert report is not None
        result.take_energy(report)
        write_csv(out / "bench.csv", result.rows)
    finally:
        _show(result, out, as_json)


def _show(result: BenchResult, out: Path, as_json: bool) -> None:
    _write(result, out)
    emit(f"{result.summary()}\nfiles: {out}", result.to_json(), as_json)


def _inputs(device: Device, spec: str, count: int, seed: int) -> tuple[Any, list[int]]:
    """``count`` inputs of the test part, as the board's network takes them, and their labels."""
    import math

    import numpy as np

    from max78k.datasets.arrays import sample_shape
    from max78k.datasets.load import load

    shape = (sample_shape(Path(spec)) if spec.endswith(".npz") else None) or _PICTURE
    if device.info.input_bytes != math.prod(shape):
        raise InputError(
            "E-BENCH-SIZE",
            f"network {device.info.network_name} takes {device.info.input_bytes} bytes, samples of "
            f"{spec} have {math.prod(shape)} ({'x'.join(map(str, shape))}).",
            "flash a network for these data, or give data of its shape.",
        )
    split = load(spec, input_shape=shape, seed=seed).test.sample(count, seed)
    pixels = split.inputs.astype(np.int16) - 128
    return pixels.astype(np.int8), split.labels.tolist()


def _self_test(device: Device, model: str | None) -> None:
    from max78k.errors import MismatchError

    result = device.self_test()
    if result.passed:
        return
    where = f"address 0x{result.address:08x}"
    if model is not None:
        from max78k.flows.models import load_model
        from max78k.flows.self_test import first_difference

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


def _write(result: BenchResult, out: Path) -> None:
    import json

    from max78k.files import write_text
    from max78k.report.latency import draw_latency

    write_text(out / "bench.json", json.dumps(result.to_json(), indent=2) + "\n")
    phases = {
        "input load": [row.load_us / 1e6 for row in result.rows],
        "inference": [row.inference_us / 1e6 for row in result.rows],
        "unload": [row.unload_us / 1e6 for row in result.rows],
        "post-processing": [row.post_us / 1e6 for row in result.rows],
        "link": [row.link_us / 1e6 for row in result.rows],
    }
    draw_latency(out / "latency.png", phases, f"{result.info.network_name}: latency by phase")
