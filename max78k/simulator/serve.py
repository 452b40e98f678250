"""A virtual board in the time of the host: serial port, console text, debugger, an end.

With a serial port virtual time runs free while bytes are on the line or the accelerator runs, and
otherwise never faster than the host's clock: time-outs in the firmware then mean what they mean on
a real board. Without one it always runs free. It may run slower. Bytes that lie in the port are
handed to the board before time passes.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from max78k.errors import LinkError
from max78k.files import write_text
from max78k.simulator.board import VirtualBoard
from max78k.simulator.disturbances import Disturbances
from max78k.simulator.expect import End, Expectation
from max78k.simulator.findings import Finding, SimulatorError
from max78k.simulator.gdb import GdbServer
from max78k.simulator.pty import PseudoTerminal

_STDIN = 0
_WORK_SECONDS = 0.001  # host time between two looks at the outside while bytes are on the line
_SHOWN_SECONDS = 0.1  # the longest wait between two looks at the screen
_GRACE_SECONDS = 1.0  # after the time is over, for a step of the model that takes long
_WAITING_BYTES = 65536  # for the firmware; while there are so many, the rest stays in the port
_AHEAD_SECONDS = 0.002  # virtual time may be this much ahead before it waits


class SerialPort(Protocol):
    """The host's end of the console line."""

    path: str

    @property
    def descriptors(self) -> list[int]:
        """For ``select``."""

    def read(self) -> bytes:
        """What the host has sent."""

    def write(self, data: bytes) -> None:
        """Send to the host."""

    def close(self) -> None:
        """Close it."""


class Panel(Protocol):
    """What shows the board to a person, who may press keys."""

    @property
    def descriptors(self) -> list[int]:
        """For ``select``: readable when a key was pressed."""

    def serve(self) -> bool:
        """Take the keys; True ends the run."""

    def refresh(self) -> None:
        """Show the present state; called often."""


class _Pace:
    """Ties virtual time to the host's clock from a common moment on."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self.restart()

    def restart(self) -> None:
        """Count from now: what was gained or lost before is forgotten."""
        self._wall, self._virtual = time.monotonic(), self._board.now

    @property
    def allowed(self) -> float:
        """The virtual second that the host's clock allows at this moment."""
        return self._virtual + time.monotonic() - self._wall


class _Server:
    """Moves bytes and time until told to stop."""

    def __init__(
        self,
        board: VirtualBoard,
        *,
        port: SerialPort | None,
        gdb: GdbServer | None,
        panel: Panel | None,
        console: Callable[[bytes], None],
        watched: list[int],
        end: End,
        real_time: bool,
    ) -> None:
        self._board = board
        self._port = port
        self._gdb = gdb
        self._panel = panel
        self._console = console
        self._watched = watched
        self._end = end
        self._deadline = None if end.timeout is None else time.monotonic() + end.timeout
        self._free = port is None and not real_time
        self._real_time = real_time
        self._pace = _Pace(board)
        self._expectation = Expectation(end)
        self._stopped = False

    def run(self) -> None:
        """Run until a watched descriptor says stop, by a byte or standard input by its end."""
        while True:
            self._wait(0.0)
            self._exchange()
            if self._panel is not None:
                self._panel.refresh()
            if self._stopped:
                return
            if self._gdb is not None and self._gdb.halted:
                self._wait(self._limited(None))
                self._pace.restart()
            else:
                self._advance_for_debugger()

    def _advance_for_debugger(self) -> None:
        """Advance; a crash stops the board for a debugger that is there."""
        try:
            self._advance()
        except SimulatorError as error:
            if self._gdb is None or not self._board.debug.attached:
                raise
            self._gdb.crashed(error)
        if self._gdb is not None:
            self._gdb.after_step()

    def _advance(self) -> None:
        if self._free or (self._board.has_work and not self._real_time):
            self._work()
            self._pace.restart()
        elif self._board.asleep:
            self._idle()
        else:
            self._board.step()
            self._keep_pace()

    def _work(self) -> None:
        """Run for a while without a look at the outside, which costs as much as a few steps."""
        until = time.monotonic() + _WORK_SECONDS
        while time.monotonic() < until and (self._free or self._board.has_work):
            passed = self._board.step()
            if self._board.debug.stopped:
                return
            if not passed:
                self._nothing_more()
                return

    def _nothing_more(self) -> None:
        """The core sleeps for ever, unless the outside wakes it."""
        self._exchange()
        if self._gdb is not None or self._panel is not None:
            self._wait(self._limited(None))
        elif not self._stopped:
            self._give_up("the core sleeps and nothing will wake it")

    @property
    def _heard_port(self) -> SerialPort | None:
        """The port, unless the firmware has enough to receive."""
        return self._port if self._board.console.host_waiting < _WAITING_BYTES else None

    def _exchange(self) -> None:
        port = self._heard_port
        data = port.read() if port is not None else b""
        if data:
            self._board.console.host_write(data)
        sent = self._board.console.host_read()
        if self._port is not None:
            self._port.write(sent)
        if sent:
            self._console(sent)
            self._stopped |= self._expectation.met(sent)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._give_up(f"{self._end.timeout:g} s are over")

    def _give_up(self, why: str) -> None:
        if self._end.until and not self._stopped:
            raise LinkError(
                "E-BOARD-TIMEOUT", f"the firmware has not printed {self._end.until!r}: {why}"
            )
        self._stopped = True

    def _limited(self, seconds: float | None) -> float | None:
        """A wait no longer than to the deadline, and to the next look at the screen."""
        limits = [] if seconds is None else [seconds]
        if self._deadline is not None:
            limits.append(max(self._deadline - time.monotonic(), 0.0))
        if self._panel is not None:
            limits.append(_SHOWN_SECONDS)
        return min(limits, default=None)

    def _wait(self, seconds: float | None) -> None:
        """Wait for the outside or until the time is over."""
        heard = self._heard_port
        port = heard.descriptors if heard is not None else []
        gdb = self._gdb.descriptors if self._gdb is not None else []
        keys = self._panel.descriptors if self._panel is not None else []
        ready, _, _ = select.select([*port, *gdb, *keys, *self._watched], [], [], seconds)
        for descriptor in self._watched:
            if descriptor in ready:
                data = os.read(descriptor, 1024)
                self._stopped |= bool(data) != (descriptor == _STDIN)
        if self._gdb is not None and set(gdb) & set(ready):
            self._gdb.serve()
        if self._panel is not None and set(keys) & set(ready):
            self._stopped |= self._panel.serve()

    def _idle(self) -> None:
        """Let the core sleep on in step with the host's clock."""
        event = self._board.next_event
        delay = None if event is None else max(event - self._pace.allowed, 0.0)
        self._wait(self._limited(delay))
        self._board.pass_time(self._pace.allowed)

    def _keep_pace(self) -> None:
        ahead = self._board.now - self._pace.allowed
        if ahead > _AHEAD_SECONDS:
            self._wait(self._limited(ahead))
        elif ahead < 0:
            self._pace.restart()


def serve(
    board: VirtualBoard,
    *,
    port: SerialPort | None,
    gdb: GdbServer | None = None,
    panel: Panel | None = None,
    console: Callable[[bytes], None] = lambda data: None,
    end: End = End(),  # noqa: B008 frozen
    real_time: bool = False,
    stop_with_stdin: bool = False,
) -> None:
    """Run a board until SIGTERM or SIGINT, or until ``end`` says so.

    Args:
        board: at power-on; its console is connected to ``port``.
        port: the host's end of the line; None lets virtual time run free.
        gdb: a debugger's port; the board stands until a debugger lets it go.
        panel: shows the board to a person.
        console: called with what the firmware sends on its console.
        end: when to stop.
        real_time: never run faster than the host's clock.
        stop_with_stdin: end when standard input is closed, as when the parent process dies.

    Raises:
        SimulatorError: the firmware has crashed; see :class:`VirtualBoard`.
        MismatchError, LinkError: see :class:`End`.
    """
    with _stop_signal() as stop, _alarm(end):
        watched = [stop, _STDIN] if stop_with_stdin else [stop]
        _Server(
            board, port=port, gdb=gdb, panel=panel, console=console, watched=watched, end=end,
            real_time=real_time,
        ).run()  # fmt: skip


def serve_terminal(
    elf: Path,
    *,
    ready: Callable[[str], None],
    link: Path | None = None,
    strict: bool = False,
    seed: int | None = None,
    disturbances: Disturbances = Disturbances(),  # noqa: B008 frozen
    stop_with_stdin: bool = False,
    power: Path | None = None,
) -> None:
    """Boot a program with its console on a new pseudo-terminal.

    ``ready`` is called with its path once it can be opened; ``link`` is a symbolic link to make to
    it. Findings go to standard error; ``power`` gets the estimated supply current at the end, and
    is written at once, so that a path that cannot be used is known before the run.

    Raises:
        SimulatorError: the firmware has crashed; see :class:`VirtualBoard`.
        InputError, ToolError: the file or a tool cannot be used.
        OSError: ``power`` cannot be written.
    """
    board = VirtualBoard(
        elf, strict=strict, seed=seed, disturbances=disturbances, report=print_finding
    )
    if power is not None:
        write_text(power, board.supply.table())
    port = PseudoTerminal(link)
    try:
        ready(port.path)
        serve(board, port=port, stop_with_stdin=stop_with_stdin)
    finally:
        port.close()
        for line in board.faults.report():
            print(line, file=sys.stderr, flush=True)
        if power is not None:
            write_text(power, board.supply.table())


def print_finding(finding: Finding) -> None:
    """A line on standard error."""
    print(finding, file=sys.stderr, flush=True)


@contextmanager
def _stop_signal() -> Iterator[int]:
    """A descriptor that becomes readable when SIGTERM or SIGINT asks to stop."""
    read_end, write_end = os.pipe()
    numbers = (signal.SIGTERM, signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()  # signals reach it alone
    old = [signal.signal(n, lambda *_: os.write(write_end, b"x")) for n in numbers if in_main]
    try:
        yield read_end
    finally:
        for number, handler in zip(numbers, old, strict=False):
            signal.signal(number, handler)
        os.close(read_end)
        os.close(write_end)


@contextmanager
def _alarm(end: End) -> Iterator[None]:
    """End the run even where a single step of the model takes longer than the time that is left.

    Works in the main thread of a Unix system, which signals reach alone.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if end.timeout is None or not in_main or not hasattr(signal, "setitimer"):
        yield
        return
    old = signal.signal(signal.SIGALRM, _raise_alarm)
    signal.setitimer(signal.ITIMER_REAL, end.timeout + _GRACE_SECONDS, _GRACE_SECONDS)
    try:
        yield
    except _TimeIsOver:
        if end.until:
            raise LinkError(
                "E-BOARD-TIMEOUT",
                f"the firmware has not printed {end.until!r}: {end.timeout:g} s are over",
            ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)


class _TimeIsOver(Exception):
    """The alarm rang in the middle of a step."""


def _raise_alarm(_number: int, _frame: object) -> None:
    raise _TimeIsOver
