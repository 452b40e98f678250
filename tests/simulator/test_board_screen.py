"""The screen of the virtual board, as a terminal shows it."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from board_support import compiled

from max78k.simulator.screen import clean

pytest.importorskip("rich", reason="the screen is drawn with rich")
pyte = pytest.importorskip("pyte", reason="the terminal of the tests is pyte")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals need a Unix system")

ROWS, COLUMNS = 34, 110
PATIENCE = 120.0  # of a test that fails; a machine under load is slow


class Terminal:
    """A program that runs in a terminal of its own."""

    def __init__(self, *arguments: object) -> None:
        import fcntl
        import termios

        # The terminal outlives the program, so that what was written last can always be read.
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "max78k", "board", "run", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=self._slave, stdout=self._slave, stderr=self._slave,
            env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def colour_of(self, word: str) -> str:
        row = next(n for n, line in enumerate(self._screen.display) if word in line)
        return self._screen.buffer[row][self._screen.display[row].index(word)].fg

    def until(self, *words: str) -> None:
        """Read until all words are on the screen, also where a row ends within them.

        The emulator knows no second screen: what is printed at the end follows the last row.
        """
        end = time.monotonic() + PATIENCE
        while not all(word in self.text or word in "".join(self._screen.display) for word in words):
            assert time.monotonic() < end, f"{words} not in\n{self.text}"
            self._read()

    def end(self) -> int:
        while self.process.poll() is None:
            self._read()
        return self.process.wait()

    def _read(self) -> None:
        if select.select([self._master], [], [], 0.1)[0]:
            self._stream.feed(os.read(self._master, 65536))

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def opened(terminals: list[Terminal], *arguments: object) -> Terminal:
    terminals.append(Terminal(*arguments))
    return terminals[-1]


def test_leds_buttons_time_current_and_findings(terminals: list[Terminal]):
    it = opened(terminals, compiled("misc"), "--screen")
    it.until("misc.elf", "● green", "○ red", "(estimate)", "core asleep at 60 MHz", "x real time")
    assert it.colour_of("● green") == "green"
    it.until("E-BOARD-CLOCK TMR0", "console /dev/")
    it.press("1")
    it.until("○ green")
    it.press("r")
    it.until("● green")
    it.press("q")
    assert it.end() == 0


def test_console_text_and_layers(terminals: list[Terminal]):
    it = opened(terminals, compiled("cnnrun", "DIVIDER=4"), "--screen", "--console")
    it.until("run 2:", "cycles", "layer  0 █")
    it.press("q")
    assert it.end() == 0
    it = opened(terminals, compiled("heartbeat"), "--screen", "--real-time")
    it.until("│ ....", "no run yet")
    it.process.send_signal(signal.SIGTERM)
    assert it.end() == 0


def test_ends_of_a_run_keep_their_status_and_leave_the_terminal_usable(terminals: list[Terminal]):
    hello = compiled("hello", "VERDICT=FAIL")
    it = opened(terminals, hello, "--screen", "--until", "PASS", "--fail-on", "FAIL")
    assert it.end() == 5
    it.until("E-BOARD-FAIL the firmware printed")


def test_the_screen_needs_a_terminal():
    command = [sys.executable, "-m", "max78k", "board", "run", str(compiled("misc")), "--screen"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("error: E-BOARD-SCREEN")


def test_what_firmware_prints_cannot_steer_the_terminal():
    assert clean(b"a\x1b[31mb\x1b]0;title\x07c\r\n\x00\xff") == "ab·]0;title·c\n·\ufffd"
