"""From the name of a port to a connected board, real or virtual."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from max78k.errors import LinkError
from max78k.host.exchange import Timing
from max78k.host.link import Device
from max78k.host.messages import DEFAULT_BAUD
from max78k.host.ports import WRITE_TIMEOUT_S, Port, open_port
from max78k.host.state import virtual_flash
from max78k.host.virtual_board import SIMULATOR, VirtualBoard

SIM = "sim"

# A virtual board's second may last many of ours, and its line loses nothing unless it is told to:
# the limits of an intact one only end a wait for a dead process.
VIRTUAL_TIMING = Timing(
    reply_s=5.0, hello_s=1.0, infer_s=120.0, self_test_s=240.0, connect_s=60.0, reboot_s=30.0,
    intact_s=120.0,
)  # fmt: skip
# One that somebody else started has booted already: who does not answer soon is no board of ours.
RUNNING_TIMING = replace(VIRTUAL_TIMING, connect_s=8.0, infer_s=20.0, reboot_s=8.0, intact_s=60.0)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


@contextmanager
def connect(
    name: str,
    *,
    baud: int = DEFAULT_BAUD,
    highest_baud: int = DEFAULT_BAUD,
    elf: Path | None = None,
    timing: Timing | None = None,
    report: Callable[[str], None] = _to_stderr,
    power: Path | None = None,
    tap: Callable[[Port], Port] = lambda port: port,
) -> Iterator[Device]:
    """A connected Device on port ``name``: see :func:`max78k.host.ports.open_port`, or ``sim``.

    ``highest_baud``: negotiate upward to this rate. ``elf``: what ``sim`` boots, by default what
    was flashed to it last. ``power``: where ``sim`` writes its estimated supply current when the
    session ends. ``tap``: what the open port is wrapped in, to record it. ``report`` gets what the
    virtual board says at the end of the session (accesses that silicon would not forgive). Raises
    the errors of ``open_port``, ``Device`` and ``VirtualBoard``.
    """
    if name != SIM:
        if timing is None:
            timing = RUNNING_TIMING if _is_pseudo_terminal(name) else Timing()
        with Device(tap(_open(name, baud, timing)), timing=timing) as device:
            device.negotiate_baud(highest_baud)
            yield device
        return
    firmware = elf or virtual_flash()
    command = (*SIMULATOR, "--power", str(power))
    with VirtualBoard(firmware, command=command) if power else VirtualBoard(firmware) as board:
        timing = timing or VIRTUAL_TIMING
        try:
            with Device(tap(_open(board.port, baud, timing)), timing=timing) as device:
                device.negotiate_baud(highest_baud)
                yield device
        except LinkError:
            board.check()  # a dead process explains a silent link, and shows its last words
            raise
        finally:
            if board.close() and board.messages():
                report(board.messages())


def _open(name: str, baud: int, timing: Timing) -> Port:
    """As patient in sending as in waiting for replies."""
    return open_port(name, baud, max(WRITE_TIMEOUT_S, timing.intact_s))


def _is_pseudo_terminal(name: str) -> bool:
    """Whether a virtual board is at the other end: no real port is a pseudo-terminal."""
    return Path(name).resolve().is_relative_to("/dev/pts")
