"""``max78k board``: the virtual MAX78000FTHR."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from max78k.errors import InputError, Max78kError
from max78k.files import write_text

if TYPE_CHECKING:
    from max78k.simulator.board import VirtualBoard
    from max78k.simulator.expect import End
    from max78k.simulator.screen import Screen
    from max78k.simulator.serve import SerialPort

TRACES = ("bus", "irq", "layers")


@click.group("board")
def command() -> None:
    """The virtual MAX78000FTHR: boots a program exactly as built for silicon."""


@command.command("run")
@click.argument("program", type=click.Path(path_type=Path))
@click.option("--port", help="Serial port of the console: `pty` or `tcp:PORT`.")
@click.option("--link", type=click.Path(path_type=Path), help="Also make this link to the pty.")
@click.option("--console", is_flag=True, help="What the firmware prints goes to stdout.")
@click.option("--screen", is_flag=True,
              help="LEDs, buttons, console, layers, time, current on the terminal.")  # fmt: skip
@click.option("--until", default="", metavar="RE", help="End well when this is printed.")
@click.option("--fail-on", default="", metavar="RE", help="End with status 5 when it is printed.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds of the host to run at most.")
@click.option("--real-time", is_flag=True, help="Never faster than the host's clock.")
@click.option("--fault", default="", metavar="LIST", help="Faults on demand, see docs/board.md.")
@click.option("--camera", metavar="SOURCE",
              help="What the camera sees: an image, folder, video, or `webcam:N`.")  # fmt: skip
@click.option("--camera-size", metavar="WxH", help="Instead of what the firmware asks the sensor.")
@click.option("--trace", multiple=True, type=click.Choice(TRACES), help="Events, to stderr.")
@click.option("--vcd", type=click.Path(path_type=Path), help="Waveforms, for GTKWave.")
@click.option("--power", type=click.Path(path_type=Path), help="Estimated supply current, as CSV.")
@click.option("--report", type=click.Path(path_type=Path), help="How the run went, as JSON.")
@click.option("--gdb", type=click.IntRange(0, 65535), metavar="PORT", help="Wait for a debugger.")
@click.option("--strict", is_flag=True, help="Stop at the first doubtful access.")
@click.option("--seed", type=int, help="Of the random numbers and faults.")
def run(program: Path, **choices: Any) -> None:
    """Boot PROGRAM (ELF, HEX or BIN), until Ctrl-C or what --until, --fail-on, --timeout say.

    \b
    Examples:
      max78k board run fer7-firmware/build/firmware.elf --screen --real-time
      max78k board run app.elf --link /tmp/fthr
      max78k bench --port /tmp/fthr --data faces     (in another terminal)
      max78k board run app.elf --until PASS --fail-on "FAIL|ERROR" --timeout 60
      max78k board run app.elf --console --gdb 3333
      max78k board run app.hex --port tcp:4000 --trace irq --vcd run.vcd
      max78k board run app.elf --camera faces/ --console
      max78k board run app.elf --fault brownout@120ms,uart-flip=1e-4,flash-fail=page7 --seed 1

    Without --console, --until or --fail-on the console is a new pseudo-terminal, and the first
    line on stdout is `pty PATH`: the port for bench, or for any serial program. With --port
    tcp:PORT it is `tcp socket://127.0.0.1:PORT`. With them and without --port virtual time runs
    free. RE is a regular expression of Python, ^ and $ are ends of lines. Exit status: 0 when
    --until was printed, or the time was over and it was not asked for; 5 when --fail-on was
    printed; 4 when the time was over first; 2 when the firmware crashed.
    """
    from max78k.simulator.expect import End

    if choices["camera_size"] is not None and choices["camera"] is None:
        raise InputError("E-BOARD-CAMERA", "--camera-size is without --camera", "--camera SOURCE")
    end = End(choices["until"], choices["fail_on"], choices["timeout"])
    view: list[Screen] = []

    def tell(line: object) -> None:
        if view:
            view[0].note(line)
        else:
            click.echo(line, err=True)

    with ExitStack() as stack:
        board = _booted(program, choices, tell)
        stack.callback(_tell_faults, board)
        if choices["report"] is not None:
            stack.enter_context(_reported(choices["report"], board))
        if choices["camera"] is not None:
            _show_pictures(board, choices["camera"], choices["camera_size"])
        if choices["power"] is not None:
            _write_power(board, choices["power"])  # a path that cannot be used is known at once
            stack.callback(_write_power, board, choices["power"])
        _serve(stack, board, program.name, choices, end, view)


def _booted(program: Path, choices: dict[str, Any], tell: Callable[[object], None]) -> VirtualBoard:
    from max78k.simulator.board import VirtualBoard
    from max78k.simulator.disturbances import parse

    return VirtualBoard(
        program, strict=choices["strict"], seed=choices["seed"], report=tell,
        trace=frozenset(choices["trace"]), write_trace=tell, disturbances=parse(choices["fault"]),
    )  # fmt: skip


def _write_power(board: VirtualBoard, path: Path) -> None:
    write_text(path, board.supply.table())


def _serve(
    stack: ExitStack,
    board: VirtualBoard,
    name: str,
    choices: dict[str, Any],
    end: End,
    view: list[Screen],
) -> None:
    """Run it with all that looks on: serial port, debugger, waveforms, screen."""
    from max78k.simulator.gdb import GdbServer
    from max78k.simulator.screen import Screen
    from max78k.simulator.serve import serve
    from max78k.simulator.vcd import waveforms

    shows = choices["console"] or bool(choices["until"]) or bool(choices["fail_on"])
    serial = _serial_port(choices["port"] or (None if shows else "pty"), choices["link"])
    if serial is not None:
        stack.callback(serial.close)
        click.echo(f"{'tcp' if '://' in serial.path else 'pty'} {serial.path}")
    debugger = None if choices["gdb"] is None else GdbServer(board, choices["gdb"])
    if debugger is not None:
        stack.callback(debugger.close)
        click.echo(f"gdb: target remote localhost:{debugger.port}", err=True)
    if choices["vcd"] is not None:
        stack.enter_context(waveforms(choices["vcd"], board))
    sys.stdout.flush()
    output = _print if shows else _drop
    if choices["screen"]:
        view.append(Screen(board, name, serial.path if serial else ""))
        stack.enter_context(view[0])
        output = view[0].console
    serve(
        board, port=serial, gdb=debugger, panel=view[0] if view else None, console=output,
        end=end, real_time=choices["real_time"],
    )  # fmt: skip


def _serial_port(name: str | None, link: Path | None) -> SerialPort | None:
    from max78k.simulator.pty import PseudoTerminal
    from max78k.simulator.tcp import TcpPort

    if name is None and link is None:
        return None
    if name in (None, "pty"):
        return PseudoTerminal(link)
    kind, _, number = str(name).partition(":")
    if kind != "tcp" or not number.isdecimal() or link is not None:
        raise InputError(
            "E-BOARD-PORT", f"{name!r} is not a serial port of the virtual board",
            "--port pty or --port tcp:4000; --link goes with pty alone",
        )  # fmt: skip
    return TcpPort(int(number))


def _show_pictures(board: VirtualBoard, source: str, size: str | None) -> None:
    from max78k.cli.board_camera import parse_size, pictures

    fixed = None if size is None else parse_size(size)
    board.camera.show(pictures(source, lambda: fixed or board.camera.size()))


def _tell_faults(board: VirtualBoard) -> None:
    for line in board.faults.report():
        click.echo(line, err=True)


@contextmanager
def _reported(path: Path, board: VirtualBoard) -> Iterator[None]:
    """Write how a run went when it has ended, whatever ended it."""
    began, ended = time.monotonic(), "well"
    try:
        yield
    except Max78kError as error:
        ended = error.code
        raise
    finally:
        low, high = board.supply.energy
        content = {
            "ended": ended,
            "virtual_seconds": board.now,
            "host_seconds": time.monotonic() - began,
            "core_cycles": board.signals.clock.cycles,
            "findings": [str(finding) for finding in board.findings],
            "faults": board.faults.report(),
            "leds": board.leds,
            "state_seconds": board.energy,
            "energy_estimate_mj": {"low": low, "high": high},
        }
        write_text(path, json.dumps(content, indent=1) + "\n")


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _drop(_data: bytes) -> None:
    """The console has a port of its own."""
