"""Why the board did not answer: the causes behind one time-out, told apart by what did arrive.

Silence, foreign text, damaged frames, another protocol version and a restart need different
remedies, so each has its own code: ``E-LINK-SILENT``, ``E-LINK-FOREIGN``, ``E-LINK-GARBAGE``,
``E-LINK-VERSION``, ``E-LINK-REBOOT``.
"""

from __future__ import annotations

from max78k.errors import LinkError
from max78k.host.messages import PROTOCOL_VERSION, ResetCause, Status, Type

TEXT_SHARE = 0.85  # of bytes that are printable ASCII; random bytes reach 0.38
TEXT_BYTES = 4  # fewer bytes prove nothing
SAME_VERSION = "build and flash the firmware anew with this max78k"
SHOWN = 120  # characters of foreign text or bytes in a message


class RebootError(LinkError):
    """The board restarted; ``cause`` is its reset cause, None if it is not one we know."""

    def __init__(self, old_boot_id: int, boot_id: int, cause: int, doing: str) -> None:
        self.boot_id = boot_id
        self.cause = ResetCause(cause) if cause in list(ResetCause) else None
        name = (
            self.cause.name.lower().replace("_", " ")
            if self.cause is not None
            else f"unknown ({cause})"
        )
        super().__init__(
            "E-LINK-REBOOT",
            f"the board restarted during {doing}: boot id {old_boot_id:08X} became {boot_id:08X},"
            f" reset cause {name}.",
            _REBOOT_HINTS[self.cause] if self.cause is not None else SAME_VERSION,
        )


_REBOOT_HINTS = {
    ResetCause.POWER_ON: "a supply that holds: another cable, a powered hub, no long leads (the"
    " accelerator's current steps cause brown-outs); leave the reset button alone",
    ResetCause.SOFTWARE: "keep other programs off the port: one of them asked for a reset",
    ResetCause.WATCHDOG: "rebuild and flash: the firmware hung; `max78k board run` shows where",
    ResetCause.FAULT: "rebuild and flash: the firmware crashed; `max78k board run` shows where",
}

STATUS_MEANINGS: dict[Status, tuple[str, str]] = {
    Status.UNKNOWN_TYPE: ("does not know this request", SAME_VERSION),
    Status.BAD_LENGTH: ("got a payload of a wrong length", SAME_VERSION),
    Status.BAD_RANGE: ("was asked for an offset or value out of range", "flash the network that"
                       " the input was made for"),
    Status.NO_INPUT: ("has not received the whole input", "send the whole input before inference"),
    Status.CNN_TIMEOUT: ("waited in vain for the accelerator", "build and flash anew; the"
                         " virtual board (`--port sim`) shows whether the program is sound"),
    Status.MISMATCH: ("failed its known-answer test", "flash again; check the supply"),
    Status.HOLE: ("misses a part of the input", SAME_VERSION),
    Status.BUSY: ("has no room for another input", SAME_VERSION),
    Status.BAD_VERSION: ("speaks another protocol version", SAME_VERSION),
}  # fmt: skip


def is_text(data: bytes) -> bool:
    """Whether the bytes read as text, so that they are shown as such."""
    if len(data) < TEXT_BYTES:
        return False
    readable = sum(32 <= byte < 127 or byte in b"\r\n\t" for byte in data)
    return readable >= TEXT_SHARE * len(data)


def printable(data: bytes) -> str:
    """Bytes from outside, safe to print: control characters and the rest become escapes."""
    text = data.decode("ascii", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def no_answer(evidence: bytes, doing: str, baud: int) -> LinkError:
    """The error for a request without an answer, from the foreign bytes seen meanwhile."""
    if not evidence:
        return LinkError(
            "E-LINK-SILENT",
            f"no answer came back to {doing} at {baud} baud.",
            "check that the right port is named, that the board has power and that its firmware"
            " runs (`max78k flash`); press reset and try again",
        )
    if is_text(evidence):
        return LinkError(
            "E-LINK-FOREIGN",
            f'the board sends text of another program: "{printable(evidence[-SHOWN:])}".',
            "flash firmware made by `max78k build`, or name the right port",
        )
    return LinkError(
        "E-LINK-GARBAGE",
        f"{len(evidence)} bytes came back during {doing} at {baud} baud and made no valid frame:"
        f" {evidence[-SHOWN // 4 :].hex(' ')}.",
        "a lower or the right baud rate, a shorter cable, and no second program on the port",
    )


def echo() -> LinkError:
    """Our own request came back."""
    return LinkError(
        "E-LINK-ECHO",
        "the port sends back what is written to it.",
        "name the board's port: this one is a loop, or its receive and transmit lines touch",
    )


def unanswered(doing: str) -> LinkError:
    """The board lives (it answers HELLO), yet one request gets no answer."""
    return LinkError(
        "E-LINK-SILENT",
        f"no answer to {doing}, though the board answers HELLO.",
        "a longer time limit; if it stays so, the accelerator hangs: run the same firmware on the"
        " virtual board, `--port sim`",
    )


def wrong_version(version: int) -> LinkError:
    """The frame is sound, its version is not ours."""
    return LinkError(
        "E-LINK-VERSION",
        f"the board speaks protocol version {version}, this max78k version {PROTOCOL_VERSION}.",
        SAME_VERSION,
    )


def refused(request: Type, status: int) -> LinkError:
    """The board answered with a status that is not OK."""
    if status == Status.BAD_VERSION:
        code = "E-LINK-VERSION"
    else:
        code = "E-LINK-STATUS"
    known = STATUS_MEANINGS.get(Status(status)) if status in list(Status) else None
    meaning, hint = known or ("gave an unknown status", SAME_VERSION)
    return LinkError(code, f"{request.name}: the board {meaning} (status {status}).", hint)


def bad_reply(request: Type, what: str) -> LinkError:
    """The reply's CRC is right, its contents contradict the protocol or the board's own HELLO."""
    return LinkError("E-LINK-REPLY", f"{request.name}: {what}.", SAME_VERSION)
