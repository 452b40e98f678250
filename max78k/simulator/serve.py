"""A virtual board behind a pseudo-terminal, for host programs that expect a serial port.

Virtual time runs free while bytes are on the line or the accelerator runs, and otherwise never
faster than the host's clock: time-outs in the firmware then mean what they mean on a real board.
It may run slower. Bytes that lie in the pseudo-terminal are handed to the board before time passes.
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

from max78k.simulator.board import VirtualBoard
from max78k.simulator.findings import Finding
from max78k.simulator.pty import PseudoTerminal

_STDIN = 0
_WORK_SECONDS = 0.001  # host time between two looks at the outside while bytes are on the line
_AHEAD_SECONDS = 0.002  # virtual time may be this much ahead before it waits


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

    def __init__(self, board: VirtualBoard, port: PseudoTerminal, watched: list[int]) -> None:
        self._board = board
        self._port = port
        self._watched = watched
        self._pace = _Pace(board)
        self._stopped = False

    def run(self) -> None:
        """Run until a watched descriptor says stop: by a byte, standard input by its end."""
        while not self._stopped:
            self._wait(0.0)
            self._exchange()
            if self._board.has_work:
                self._work()
                self._pace.restart()
            elif self._board.asleep:
                self._idle()
            else:
                self._board.step()
                self._keep_pace()
        self._exchange()

    def _work(self) -> None:
        """Run for a while without a look at the outside, which costs as much as a few steps."""
        until = time.monotonic() + _WORK_SECONDS
        while self._board.has_work and time.monotonic() < until:
            self._board.step()

    def _exchange(self) -> None:
        data = self._port.read()
        if data:
            self._board.console.host_write(data)
        self._port.write(self._board.console.host_read())

    def _wait(self, seconds: float | None) -> None:
        """Wait for the host or until the time is over."""
        ready, _, _ = select.select([self._port.fileno(), *self._watched], [], [], seconds)
        for descriptor in self._watched:
            if descriptor in ready:
                data = os.read(descriptor, 1024)
                self._stopped |= bool(data) != (descriptor == _STDIN)

    def _idle(self) -> None:
        """Let the core sleep on in step with the host's clock."""
        event = self._board.next_event
        delay = None if event is None else max(event - self._pace.allowed, 0.0)
        self._wait(delay)
        self._board.pass_time(self._pace.allowed)

    def _keep_pace(self) -> None:
        ahead = self._board.now - self._pace.allowed
        if ahead > _AHEAD_SECONDS:
            self._wait(ahead)
        elif ahead < 0:
            self._pace.restart()


def serve(
    elf: Path,
    *,
    ready: Callable[[str], None],
    link: Path | None = None,
    strict: bool = False,
    seed: int | None = None,
    stop_with_stdin: bool = False,
    report: Callable[[Finding], None] | None = None,
) -> None:
    """Run a board with its console on a pseudo-terminal, until SIGTERM or SIGINT.

    Args:
        elf: the program.
        ready: called with the path of the pseudo-terminal once it can be opened.
        link: a symbolic link to make to it.
        strict: end at the first finding.
        seed: of the board's random number generator.
        stop_with_stdin: end when standard input is closed, as when the parent process dies.
        report: called with each finding; without it they go to standard error.

    Raises:
        SimulatorError: the firmware has crashed; see :class:`VirtualBoard`.
        InputError, ToolError: the file or a tool cannot be used.
    """
    board = VirtualBoard(elf, strict=strict, seed=seed, report=report or _print_finding)
    port = PseudoTerminal(link)
    try:
        with _stop_signal() as stop:
            ready(port.path)
            _Server(board, port, [stop, _STDIN] if stop_with_stdin else [stop]).run()
    finally:
        port.close()


def _print_finding(finding: Finding) -> None:
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
