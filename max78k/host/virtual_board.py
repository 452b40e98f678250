"""The virtual board as a process of its own: start it, learn its pseudo-terminal, stop it.

The host side shares no code with the simulator. It runs ``python -m max78k.simulator ELF``, which
prints ``pty PATH`` on its standard output when the firmware's console is connected.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from max78k.errors import InputError, ToolError
from max78k.host.diagnosis import printable

# It ends when its standard input is closed: no board outlives a host that was killed.
SIMULATOR = (sys.executable, "-m", "max78k.simulator", "--stop-with-stdin")
READY = "pty "
START_TIMEOUT_S = 120.0  # of a process that lives, on a machine that is busy
STOP_TIMEOUT_S = 3.0
DYING_S = 1.0
SHOWN_BYTES = 2000  # of the process's last words


class VirtualBoard:
    """A running virtual board, as a context manager; ``port`` is the pseudo-terminal's path.

    ``command`` is what is run with the ELF's path as its last argument; tests replace it.
    Raises InputError ``E-BOARD-ELF`` if there is no such file and ToolError ``E-BOARD-START`` if
    the process ends or says nothing in time.
    """

    def __init__(
        self,
        elf: Path,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        command: Sequence[str] = SIMULATOR,
    ) -> None:
        self.port = ""
        self._elf = elf
        self._start_timeout_s = start_timeout_s
        self._command = [*command, str(elf)]
        self._process: subprocess.Popen[bytes] | None = None
        self._last_words = bytearray()
        self._readers: list[threading.Thread] = []
        self._ready = threading.Event()

    def __enter__(self) -> VirtualBoard:
        if not self._elf.is_file():
            raise InputError(
                "E-BOARD-ELF",
                f"the virtual board has no firmware: {self._elf} does not exist.",
                "`max78k flash --port sim FIRMWARE.elf` first",
            )
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # Threads, so that the process never waits for a full pipe while the link is busy.
        self._readers = [
            threading.Thread(target=read, args=(self._process,), daemon=True)
            for read in (self._follow, self._keep_last_words)
        ]
        for reader in self._readers:
            reader.start()
        try:
            in_time = self._ready.wait(self._start_timeout_s)
        except BaseException:
            self.close()
            raise
        if not self.port:
            end = "ended" if in_time else f"said nothing within {self._start_timeout_s:g} s"
            self.close()
            raise self._error("E-BOARD-START", f"the virtual board {end}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def check(self) -> None:
        """Raise ToolError ``E-BOARD-DIED``, with the process's last words, if it has ended.

        For use when the link has failed: a dying process closes its terminal before it is gone.
        """
        if self._process is None:
            return
        try:
            status = self._process.wait(DYING_S)
        except subprocess.TimeoutExpired:
            return
        raise self._error("E-BOARD-DIED", f"the virtual board ended with status {status}")

    def messages(self) -> str:
        """The end of what the process has written to its standard error."""
        if self._process is None or self._process.poll() is not None:
            for reader in self._readers:
                reader.join(DYING_S)
        return "\n".join(printable(line) for line in bytes(self._last_words).splitlines())

    def close(self) -> bool:
        """End the process and wait for it; returns whether it was still running."""
        process, self._process = self._process, None
        if process is None:
            return False
        was_running = process.poll() is None
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return was_running

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        """Read the process's output to its end."""
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                text = line.decode("utf-8", "replace").strip()
                if text.startswith(READY) and not self.port:
                    self.port = text[len(READY) :]
                    self._ready.set()
        self._ready.set()

    def _keep_last_words(self, process: subprocess.Popen[bytes]) -> None:
        assert isinstance(process.stderr, io.BufferedReader)
        with process.stderr as stream:
            while data := stream.read1():
                self._last_words += data
                del self._last_words[:-SHOWN_BYTES]

    def _error(self, code: str, what: str) -> ToolError:
        words = self.messages()
        return ToolError(
            code,
            f"{what}: {' '.join(self._command)}" + (f"\n{words}" if words else ""),
            "`max78k doctor` tells what the virtual board needs",
        )
