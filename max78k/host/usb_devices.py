"""What is plugged in beside boards: bridges, probes and meters, named by their USB identity."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DAPLINK = (0x0D28, 0x0204)  # Arm's DAPLink project; the MAX78000FTHR carries such a probe
_BRIDGE = "serial bridge, as on many ESP32 boards"
_WITH_ESP32 = "for `csi live --esp32` if it is one"

# USB vendor and product id -> what it is, and what max78k does with it.
KNOWN: dict[tuple[int, int], tuple[str, str]] = {
    DAPLINK: ("DAPLink probe, as on the MAX78000FTHR", "`--port`, and its drive for `flash`"),
    (0x10C4, 0xEA60): (f"CP210x {_BRIDGE}", _WITH_ESP32),
    (0x1A86, 0x7523): (f"CH340 {_BRIDGE}", _WITH_ESP32),
    (0x1A86, 0x55D4): (f"CH9102 {_BRIDGE}", _WITH_ESP32),
    (0x303A, 0x1001): ("ESP32 with USB of its own", "for `csi live --esp32`"),
    (0x0403, 0x6001): ("FT232R serial bridge", "for `--port` or `--esp32`, whatever is behind it"),
    (0x0403, 0x6010): ("FT2232 serial bridge", "for `--port` or `--esp32`, whatever is behind it"),
    (0x0403, 0x6015): ("FT231X serial bridge", "for `--port` or `--esp32`, whatever is behind it"),
    (0x067B, 0x2303): ("PL2303 serial bridge", "for `--port` or `--esp32`, whatever is behind it"),
    (0x1915, 0xC00A): ("Power Profiler Kit II", "measures the supply current"),
}
# Words of a description, for devices whose numbers are not known here.
WORDS: dict[str, tuple[str, str]] = {
    "daplink": KNOWN[DAPLINK],
    "max32625": KNOWN[DAPLINK],
    "max78000": KNOWN[DAPLINK],
    "joulescope": ("Joulescope", "measures the supply current; it has no serial port"),
    "j-link": ("J-Link probe", "for a debugger"),
    "ppk2": KNOWN[(0x1915, 0xC00A)],
}
_SYSTEM = Path("/sys/bus/usb/devices")
_PROBE = tuple(f"{number:04x}" for number in DAPLINK)
# For a file such as /etc/udev/rules.d/60-daplink.rules.
UDEV_RULE = f'ATTRS{{idVendor}}=="{_PROBE[0]}", ATTRS{{idProduct}}=="{_PROBE[1]}", TAG+="uaccess"'


def name_device(usb_id: tuple[int | None, int | None], words: str) -> tuple[str, str]:
    """What a device is and what it is used for; empty texts if that is not known."""
    vendor, product = usb_id
    if vendor is not None and product is not None and (vendor, product) in KNOWN:
        return KNOWN[vendor, product]
    lower = words.lower()
    return next((about for word, about in WORDS.items() if word in lower), ("", ""))


@dataclass(frozen=True)
class UsbDevice:
    """A device without a serial port that is known here."""

    name: str
    usb_id: str
    use: str


def without_ports(folder: Path = _SYSTEM) -> list[UsbDevice]:
    """Known devices that have no serial port. Linux alone tells them without a further library."""
    found = []
    for entry in sorted(folder.glob("*")) if folder.is_dir() else ():
        ids = _text(entry / "idVendor"), _text(entry / "idProduct")
        words = f"{_text(entry / 'manufacturer')} {_text(entry / 'product')}"
        if not all(ids) or any(entry.glob("*/tty*")):
            continue
        try:
            name, use = name_device((int(ids[0], 16), int(ids[1], 16)), words)
        except ValueError:
            continue
        if name:
            found.append(UsbDevice(name, ":".join(ids).upper(), use))
    return found


def closed_probes(folder: Path = _SYSTEM, devices: Path = Path("/dev")) -> list[Path]:
    """Probes by which a debugger may not reach a part: their files, which this user may not open.

    A debugger takes the probe's HID file or its USB one; one of them is enough. udev gives both to
    root alone unless a rule says otherwise. Linux alone has such files.
    """
    closed = []
    for entry in sorted(folder.glob("*")) if folder.is_dir() else ():
        if (_text(entry / "idVendor"), _text(entry / "idProduct")) != _PROBE:
            continue
        try:
            numbers = int(_text(entry / "busnum")), int(_text(entry / "devnum"))
        except ValueError:
            continue
        whole = devices / "bus" / "usb" / f"{numbers[0]:03}" / f"{numbers[1]:03}"
        files = [whole, *(devices / one.name for one in entry.glob("*/*/hidraw/hidraw*"))]
        there = [file for file in files if file.exists()]
        if there and not any(os.access(file, os.R_OK | os.W_OK) for file in there):
            closed.append(there[0])
    return closed


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
