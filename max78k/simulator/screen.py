"""The board on a terminal: LEDs, buttons, console text, layer progress, time, current, findings."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from max78k.errors import InputError, ToolError
from max78k.simulator.board import VirtualBoard
from max78k.simulator.clock import SECOND
from max78k.simulator.gpio import BUTTONS
from max78k.simulator.signals import Run

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.layout import Layout
    from rich.text import Text

_SHOWN_SECONDS = 0.1  # between two looks
_PRESS_SECONDS = 0.2  # a terminal does not tell when a key is let go
_RATIO_SECONDS = 2.0  # over which the ratio of the clocks is taken
_LINES = 200
_BAR = 16
_KEYS = {str(n): name for n, name in enumerate(BUTTONS, 1)}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STATES = {"core_active": "active", "core_sleep": "asleep", "core_deep_sleep": "in deep sleep"}


class Screen:
    """Shows a board on standard error, as a context manager; keys come from standard input.

    Args:
        board: at power-on.
        title: the program.
        port: where its console is.

    Raises:
        InputError: E-BOARD-SCREEN; standard error is not a terminal.
        ToolError: E-BOARD-SCREEN; the package rich is not installed.
    """

    def __init__(self, board: VirtualBoard, title: str, port: str) -> None:
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError as error:
            raise ToolError(
                "E-BOARD-SCREEN", "the screen needs the package rich", "pip install 'max78k[board]'"
            ) from error
        console = Console(stderr=True)
        if not sys.stderr.isatty():
            raise InputError("E-BOARD-SCREEN", "--screen needs a terminal", "--console")
        self._board = board
        self._title = title
        self._port = port
        self._live = Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        self._console = console
        self._text = ""
        self._notes: deque[str] = deque(maxlen=_LINES)
        self._states: dict[str, str] = {"core": "core_active"}
        self._run: Run | None = None
        self._runs = 0
        self._began: int | None = None
        self._pressed: dict[str, float] = {}
        self._times: deque[tuple[float, float]] = deque([(time.monotonic(), board.now)])
        self._next = 0.0
        self._terminal: list[Any] | None = None
        board.signals.runs.append(self._follow_run)
        board.signals.states.append(self._states.__setitem__)

    def __enter__(self) -> Screen:
        if sys.stdin.isatty():
            try:
                import termios
                import tty
            except ImportError as error:
                raise ToolError(
                    "E-BOARD-SCREEN",
                    f"this system's terminals give no single keys: {error}.",
                    "Linux or macOS; without --screen the board runs here",
                ) from error
            self._terminal = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        if self._terminal is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._terminal)

    # -- what the board and the person say

    def console(self, data: bytes) -> None:
        """Text that the firmware has printed."""
        self._text = (self._text + clean(data))[-80 * _LINES :]

    def note(self, line: object) -> None:
        """A finding, or a line of a trace."""
        self._notes.append(str(line))

    @property
    def descriptors(self) -> list[int]:
        """Standard input, if it is a terminal."""
        return [] if self._terminal is None else [sys.stdin.fileno()]

    def serve(self) -> bool:
        """Take the keys; True when one of them ends the run."""
        for key in os.read(sys.stdin.fileno(), 64).decode("latin-1").lower():
            if key in _KEYS:
                self._board.press(_KEYS[key])
                self._pressed[_KEYS[key]] = time.monotonic() + _PRESS_SECONDS
            elif key == "r":
                self._board.reset()
            elif key == "q":
                return True
        return False

    def refresh(self) -> None:
        """Show the present state, ten times a second at most."""
        now = time.monotonic()
        if now < self._next:
            return
        for button in [name for name, end in self._pressed.items() if end <= now]:
            del self._pressed[button]
            self._board.press(button, down=False)
        self._times.append((now, self._board.now))
        while now - self._times[0][0] > _RATIO_SECONDS:
            self._times.popleft()
        self._live.update(self.render(), refresh=True)
        self._next = time.monotonic() + _SHOWN_SECONDS

    def _follow_run(self, run: Run | None) -> None:
        if run is None:
            self._began = None
        else:
            self._run, self._began = run, self._board.signals.clock.now
            self._runs += 1

    # -- what is shown

    def render(self) -> Layout:
        """The whole screen."""
        from rich.layout import Layout
        from rich.panel import Panel

        def panel(body: RenderableType, title: str) -> Panel:
            return Panel(body, title=title, title_align="left", padding=(0, 1))

        height = self._console.height
        notes = max(min(height // 5, 8), 3)
        middle = max(height - 6 - notes, 3)
        layout = Layout()
        layout.split_column(
            Layout(panel(self._status(), self._title), size=5),
            Layout(name="middle"),
            Layout(panel(_last(list(self._notes), notes - 2), "findings and events"), size=notes),
            Layout(self._keys(), size=1),
        )
        layout["middle"].split_row(
            Layout(panel(self._layers(middle - 3), "accelerator"), size=46),
            Layout(panel(_last(self._text.split("\n"), middle - 2), f"console {self._port}")),
        )
        return layout

    def _status(self) -> Text:
        from rich.text import Text

        board, text = self._board, Text(no_wrap=True)
        (wall, virtual), (last_wall, last_virtual) = self._times[0], self._times[-1]
        ratio = (last_virtual - virtual) / (last_wall - wall) if last_wall > wall else 0.0
        text.append(f"time {board.now:12.6f} s   {ratio:.2f} x real time   core ")
        mhz = SECOND / board.signals.clock.period / 1e6
        text.append(f"{_STATES[self._states['core']]} at {mhz:.0f} MHz\n")
        text.append("LEDs ")
        for name, lit in board.leds.items():
            text.append(f" {'●' if lit else '○'} {name}", f"bold {name}" if lit else "dim")
        text.append("   buttons ")
        for key, name in _KEYS.items():
            text.append(f" {key}:{name}", "reverse" if name in self._pressed else "")
        (low, high), energy = board.supply.current, board.supply.energy
        text.append(f"\nsupply {low:.2f} to {high:.2f} mA, {energy[0]:.3f} to {energy[1]:.3f} mJ")
        text.append(" (estimate)", "italic")
        return text

    def _layers(self, rows: int) -> Text:
        from rich.text import Text

        run, text = self._run, Text(no_wrap=True)
        if run is None:
            return text.append("no run yet", "dim")
        micros = run.cycles * run.period * 1e6 / SECOND
        text.append(f"run {self._runs}: {run.cycles} cycles, {micros:.1f} us\n")
        current = self._current_layer(run)
        longest = max((cycles for _, cycles in run.layers), default=1) or 1
        first = max(min((current or 0) - rows // 2, len(run.layers) - rows), 0)
        for place, (number, cycles) in enumerate(run.layers[first : first + rows], first):
            bar = "█" * max(round(_BAR * cycles / longest), 1)
            mark = "▶" if place == current else " "
            style = "bold" if place == current else ""
            text.append(f"{mark}layer {number:2} {bar:{_BAR}} {cycles:9}\n", style)
        return text

    def _current_layer(self, run: Run) -> int | None:
        """Place in the run of the layer that is at work."""
        if self._began is None:
            return None
        passed = (self._board.signals.clock.now - self._began) // run.period
        for place, (_, cycles) in enumerate(run.layers):
            passed -= cycles
            if passed < 0:
                return place
        return len(run.layers) - 1

    def _keys(self) -> Text:
        from rich.text import Text

        presses = ", ".join(f"{key} presses {name}" for key, name in _KEYS.items())
        return Text(f" keys: {presses}, r resets, q ends", "dim", no_wrap=True)


def clean(data: bytes) -> str:
    """Console text without what would move the cursor or change colours."""
    text = _ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", "")
    return _CONTROLS.sub("·", text)


def _last(lines: list[str], rows: int) -> Text:
    """The end of a text, cut to what fits."""
    from rich.text import Text

    return Text("\n".join(lines[-max(rows, 1) :]), no_wrap=True, overflow="ellipsis")
