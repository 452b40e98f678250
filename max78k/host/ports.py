"""Serial ports: which there are, which is likely a board, and opening one.

Besides device paths (``/dev/ttyACM0``, ``COM5``, a pseudo-terminal) a port may be ``auto`` or a
pySerial URL: ``socket://host:port``, ``rfc2217://host:port``, ``loop://``.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from max78k.errors import DeviceNotFoundError, LinkError
from max78k.host.messages import DEFAULT_BAUD
from max78k.host.usb_devices import DAPLINK, KNOWN, name_device

AUTO = "auto"
READ_TIMEOUT_S = 0.02  # of one read; the link keeps its own deadlines
WRITE_TIMEOUT_S = 5.0  # of a port with a wire, which takes bytes whatever the machine does


def _port_errors() -> tuple[type[Exception], ...]:
    """OSErrors mostly, ValueError for a rate that it does not have.

    pySerial lets the errors of a Unix terminal through, which are none of these.
    """
    try:
        import termios
    except ImportError:
        return OSError, ValueError
    return OSError, ValueError, termios.error


PORT_ERRORS = _port_errors()  # what an open port raises when it fails, as one that is unplugged


@contextmanager
def open_port_errors() -> Iterator[None]:
    """Raise LinkError ``E-LINK-PORT`` for PORT_ERRORS."""
    try:
        yield
    except PORT_ERRORS as error:
        raise LinkError(
            "E-LINK-PORT",
            f"the port failed while open: {error}.",
            "check the cable and whether the board is still there: `max78k ports`",
        ) from error


class Port(Protocol):
    """What the link needs of a serial port; ``serial.Serial`` has it."""

    baudrate: int

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once, or an estimate that is 0 only if there are none."""

    def read(self, size: int = ..., /) -> bytes:
        """At least one byte, or none after the port's read timeout."""

    def write(self, data: bytes, /) -> int | None:
        """Write all of ``data``."""

    def reset_input_buffer(self) -> None:
        """Drop what has arrived and was not read."""

    def close(self) -> None:
        """Close the port."""


@dataclass(frozen=True)
class PortInfo:
    """A serial port of this machine; ``usb_id`` is ``VVVV:PPPP`` or empty.

    ``name`` and ``use`` say what is behind it, empty where that is not known.
    """

    device: str
    description: str
    usb_id: str
    serial_number: str
    likely_board: bool
    name: str = ""
    use: str = ""


def list_ports() -> list[PortInfo]:
    """All serial ports, likely boards first, then by name."""
    from serial.tools import list_ports as system

    ports = []
    for port in system.comports():
        texts = [text for text in (port.description, port.product, port.interface) if text]
        name, use = name_device((port.vid, port.pid), " ".join(texts))
        ports.append(
            PortInfo(
                device=port.device,
                description=port.description or "",
                usb_id=f"{port.vid:04X}:{port.pid:04X}" if port.vid is not None else "",
                serial_number=port.serial_number or "",
                likely_board=(name, use) == KNOWN[DAPLINK],
                name=name,
                use=use,
            )
        )
    return sorted(ports, key=lambda port: (not port.likely_board, port.device))


def open_port(name: str, baud: int = DEFAULT_BAUD, write_s: float = WRITE_TIMEOUT_S) -> Port:
    """Open ``name`` at ``baud`` bits per second, 8N1, locked against a second program.

    ``write_s``: the port fails when a write takes longer, by the clock on the wall: more for a port
    that is served by another program, which a busy machine may let wait.

    DTR and RTS stay as the operating system sets them when it opens the port: they are never
    toggled, and no break is sent (a DAPLink resets its target on a break).

    Raises DeviceNotFoundError: ``E-PORT-NONE`` or ``E-PORT-AMBIGUOUS`` (``auto``),
    ``E-PORT-MISSING``, ``E-PORT-PERMISSION``, ``E-PORT-BUSY``, ``E-PORT-CONNECT`` (URLs) or
    ``E-PORT-OPEN`` (anything else).
    """
    import serial

    device = _likely_board() if name == AUTO else _call_out(name)
    # RFC 2217 refuses a write timeout; other URLs are served by TCP, which has its own.
    limits: dict[str, Any] = {"write_timeout": write_s, "exclusive": True}
    if "://" in device:
        limits = {}
    try:
        port: Port = serial.serial_for_url(device, baud, timeout=READ_TIMEOUT_S, **limits)
    except (OSError, ValueError, OverflowError) as error:  # SerialException is an OSError
        raise _open_error(device, error) from error
    return port


def _call_out(device: str) -> str:
    """On macOS the ``cu`` name of a port that was given by its ``tty`` name.

    Both are the same port; opening the ``tty`` one waits for a carrier that a board never raises.
    """
    call_out = device.replace("/dev/tty.", "/dev/cu.", 1)
    is_alias = sys.platform == "darwin" and device.startswith("/dev/tty.")
    return call_out if is_alias and Path(call_out).exists() else device


def _likely_board() -> str:
    ports = list_ports()
    likely = [port.device for port in ports if port.likely_board]
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise DeviceNotFoundError(
            "E-PORT-AMBIGUOUS",
            f"{len(likely)} ports look like boards: {', '.join(likely)}.",
            "name one of them with --port",
        )
    raise DeviceNotFoundError(
        "E-PORT-NONE",
        f"no port looks like a MAX78000FTHR; {_existing(ports)}.",
        "plug the board in with a USB cable that carries data, name its port with --port, or use"
        " `--port sim`, the virtual board",
    )


def _existing(ports: list[PortInfo]) -> str:
    if not ports:
        return "this machine has no serial ports"
    return "there are " + ", ".join(port.device for port in ports)


def _open_error(device: str, error: Exception) -> DeviceNotFoundError:
    """The reason why a port does not open; the causes need different remedies."""
    if "://" in device:
        return DeviceNotFoundError(
            "E-PORT-CONNECT",
            f"{device}: {error}.",
            "check host and port number, and that the server at the other end is running",
        )
    reason = _reason(error)
    if reason == errno.ENOENT:
        return DeviceNotFoundError(
            "E-PORT-MISSING",
            f"{device} does not exist; {_existing(list_ports())}.",
            "`max78k ports` lists them; `--port auto` finds the board, `sim` is a virtual one",
        )
    if reason == errno.EACCES:
        return DeviceNotFoundError("E-PORT-PERMISSION", f"{device}: {error}.", _access_hint(device))
    if reason in (errno.EBUSY, errno.EAGAIN):
        return DeviceNotFoundError(
            "E-PORT-BUSY",
            f"{device} is in use by another program.",
            f"close the terminal program or the other max78k that has it (`fuser {device}` names"
            " it; ModemManager also opens new ports for some seconds)",
        )
    return DeviceNotFoundError("E-PORT-OPEN", f"{device}: {error}.", "is it a serial port?")


def _reason(error: Exception) -> int | None:
    """The errno; on Windows pySerial gives it only as text, and busy also means access denied."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return errno.EACCES if number == errno.EPERM else number
    if "FileNotFoundError" in str(error):
        return errno.ENOENT
    return errno.EBUSY if "PermissionError" in str(error) else None


def _access_hint(device: str) -> str:
    group = "dialout"
    try:
        group = Path(device).group()
    except (OSError, KeyError, NotImplementedError):
        pass  # no such group, or a system without groups: the usual name will do
    return f"join the port's group and log in anew: sudo usermod -aG {group} $USER"


def access_error(device: str) -> DeviceNotFoundError | None:
    """Why this user may not open a port of a POSIX system, None if nothing speaks against it."""
    path = Path(device)
    if not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return None
    return DeviceNotFoundError(
        "E-PORT-PERMISSION", f"{device} may not be opened by this user.", _access_hint(device)
    )
