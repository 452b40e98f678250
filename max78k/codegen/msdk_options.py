"""What a user may choose about a program for the vendor's SDK."""

from __future__ import annotations

import re
from dataclasses import dataclass

from max78k.errors import InputError

BOARDS = ("FTHR_RevA", "EvKit_V1")
TIMERS = range(4)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_BOOST = re.compile(r"([0-3])\.(\d{1,2})")


@dataclass(frozen=True)
class MsdkOptions:
    """Choices for :func:`max78k.codegen.msdk.write_msdk_project`.

    Attributes:
        name: of the program; empty means the network's.
        board: the SDK's name of the board.
        timer: number of the timer that measures the inference; None measures nothing.
        softmax: print class probabilities.
        energy: repeat loading and inference between two edges of a pin, for a power meter.
        sleep: sleep while the accelerator runs, instead of asking for its end again and again.
        express: load kernels by the express path, which takes 9 bytes per column instead of 12.
        check: compare the sample's output with the expected one.
        checked_words: of which no more than so many words; None compares all.
        boost: (port, pin) of a booster of the accelerator's supply, switched on for the run.
    """

    name: str = ""
    board: str = BOARDS[0]
    timer: int | None = None
    softmax: bool = False
    energy: bool = False
    sleep: bool = True
    express: bool = True
    check: bool = True
    checked_words: int | None = None
    boost: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.name and not _NAME.fullmatch(self.name):
            raise InputError(
                "E-BUILD-NAME",
                f"name {self.name!r} is not usable for a program.",
                "letters, digits, `_`, `.` and `-`, at most 64.",
            )
        if self.board not in BOARDS:
            raise InputError("E-BUILD-BOARD", f"board {self.board!r}.", " or ".join(BOARDS) + ".")
        if self.timer is not None and self.timer not in TIMERS:
            raise InputError("E-BUILD-TIMER", f"timer {self.timer}.", "a number from 0 to 3.")


def boost_pin(text: str) -> tuple[int, int]:
    """Port and pin of a text such as ``2.5``; raises InputError."""
    match = _BOOST.fullmatch(text.strip())
    if match is None or int(match[2]) > 31:
        raise InputError("E-BUILD-BOOST", f"pin {text!r}.", "PORT.PIN, such as 2.5.")
    return int(match[1]), int(match[2])
