"""Nordic Semiconductor's Power Profiler Kit II, by its serial protocol.

Facts of the protocol, as public programs show it: commands are single bytes with their arguments;
the answer to META_DATA is text of ``NAME: value`` lines, ended by ``END``, with calibration values
for each of five ranges; from AVERAGE_START on the kit sends 100,000 samples a second, each a
32-bit little-endian word: bits 0-13 ADC value, 14-16 range, 18-23 counter, 24-31 digital inputs
D0-D7.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from max78k.errors import DeviceNotFoundError, InputError, ToolError
from max78k.host.diagnosis import printable
from max78k.host.meters.collector import Chunks, as_lost
from max78k.host.meters.meter import MEASURED, Instrument, Recording
from max78k.host.meters.serial_meter import SerialMeter
from max78k.host.ports import AUTO, PORT_ERRORS, Port

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RATE_HZ = 100_000
RANGES = 5
VOLTS = (0.8, 5.0)
AVERAGE_START, AVERAGE_STOP, META_DATA = b"\x06", b"\x07", b"\x19"
DEVICE_ON = b"\x0c\x01"  # closes the switch to the board
AMPERE_METER, SOURCE_METER = b"\x11\x01", b"\x11\x02"
_REGULATOR = struct.Struct(">BH")  # command 0x0D, millivolts
_ADC_VOLTS = 1.8 / 163840  # of a quarter of the ADC's step
# Calibration values per range and what stands for one that is missing; R has no such value.
_VALUES = {"R": None, "GS": 1.0, "GI": 1.0, "O": 0.0, "S": 0.0, "I": 0.0, "UG": 1.0}
_SETTLING = 3  # samples after a change of range that do not count
_META_S = 2.0
_CLOCK_S = 0.005  # of USB and the host: between a sample and its arrival


class Ppk2(SerialMeter):
    """A PPK2; its D0 and D1 take the board's marks.

    Args:
        place: serial port, or ``auto``.
        voltage_v: of the supply: what the kit is to give, or what another source gives.
        feeds: the kit gives the supply (source meter), else it lies in it (ampere meter).
    """

    board_trace: Path | None = None

    def __init__(self, place: str, voltage_v: float, *, feeds: bool) -> None:
        if not VOLTS[0] <= voltage_v <= VOLTS[1]:
            raise InputError(
                "E-METER-OPTION",
                f"a PPK2 works from {VOLTS[0]:g} V to {VOLTS[1]:g} V, not at {voltage_v:g} V.",
                "the board's supply voltage: volts=3.3",
            )
        super().__init__(place)
        self._voltage, self._feeds = voltage_v, feeds
        self._calibration: dict[str, Floats] = {}
        self._resolution: float | None = None

    @property
    def instrument(self) -> Instrument:
        """The kit; the resolution is that of the coarsest range that was used."""
        role = "feeds the board" if self._feeds else "in the board's supply"
        return Instrument(
            f"PPK2 on {self._place}, {role} at {self._voltage:g} V", MEASURED, self._resolution,
            1 / RATE_HZ,
        )  # fmt: skip

    def open(self) -> None:
        """Read the calibration, set the mode, close the switch to the board."""
        if self._place == AUTO:
            self._place = _only_kit()
        super().open()
        assert self._port is not None
        self._send(AVERAGE_STOP)
        time.sleep(0.1)
        with as_lost(self._place):
            self._port.reset_input_buffer()
        self._send(META_DATA)
        self._calibration = parse_calibration(_meta_data(self._port, self._place))
        self._send(SOURCE_METER if self._feeds else AMPERE_METER)
        self._send(_REGULATOR.pack(0x0D, round(1e3 * self._voltage)))
        self._send(DEVICE_ON)

    def start(self) -> None:
        """Have it send samples."""
        super().start()
        self._send(AVERAGE_START)

    def stop(self) -> Recording:
        """The samples since ``start``."""
        chunks = self._collected()
        words = _words(chunks)
        current, ranges = currents(words, self._calibration, self._voltage)
        steps = 4 * _ADC_VOLTS / self._calibration["R"]
        self._resolution = 1e3 * float(steps[ranges].max())
        return _recording(words, current, self._voltage, chunks[0])

    def close(self) -> None:
        """End the samples; the board keeps its supply."""
        if self._port is not None:
            with suppress(*PORT_ERRORS):  # unplugged: there is nobody to tell
                self._port.write(AVERAGE_STOP)
        super().close()


def parse_calibration(text: str) -> dict[str, Floats]:
    """Calibration values by name, each for the five ranges; resistances R in ohms.

    Raises ToolError ``E-METER-CALIBRATION`` if a resistance is missing or none.
    """
    import numpy as np

    pairs = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    values = {
        name: np.array([_value(pairs, f"{name}{index}", default) for index in range(RANGES)])
        for name, default in _VALUES.items()
    }
    if not (np.isfinite(values["R"]) & (values["R"] > 0)).all():
        raise ToolError(
            "E-METER-CALIBRATION",
            f"the PPK2 gives the resistances {values['R'].tolist()}: it is not calibrated.",
            "Nordic's Power Profiler program shows and mends its calibration",
        )
    return values


def currents(
    words: NDArray[np.uint32], calibration: Mapping[str, Floats], voltage_v: float
) -> tuple[Floats, NDArray[np.int64]]:
    """Currents of n samples in milliamperes, and their ranges 0 ... 4.

    For a few samples after a change of range the kit still settles: they take values between
    their neighbours.
    """
    import numpy as np

    ranges = np.minimum(words >> 14 & 7, RANGES - 1).astype(np.int64)
    of = {name: values[ranges] for name, values in calibration.items()}
    raw = (4.0 * (words & 0x3FFF) - of["O"]) * _ADC_VOLTS / of["R"]
    amperes = of["UG"] * (raw * (of["GS"] * raw + of["GI"]) + of["S"] * voltage_v + of["I"])
    settling = np.zeros(len(words), dtype=bool)
    for change in np.flatnonzero(np.diff(ranges)) + 1:
        settling[change : change + _SETTLING] = True
    place = np.arange(len(words))
    if settling.any() and not settling.all():
        amperes[settling] = np.interp(place[settling], place[~settling], amperes[~settling])
    return 1e3 * amperes, ranges


def _words(chunks: Chunks) -> NDArray[np.uint32]:
    """The samples; where the first byte belongs shows in the counter, which goes up by one."""
    import numpy as np

    data = b"".join(data for _, data in chunks)

    def aligned(offset: int) -> NDArray[np.uint32]:
        return np.frombuffer(data, "<u4", (len(data) - offset) // 4, offset).astype(np.uint32)

    def in_order(offset: int) -> int:
        return int(np.count_nonzero(_steps(aligned(offset)[:4096]) == 1))

    if len(data) < 16:
        raise ToolError("E-METER-LOST", f"the PPK2 sent {len(data)} bytes of samples only.")
    return aligned(max(range(4), key=in_order))


def _steps(words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """From each of n samples to the next, 1 ... 64 by the counter: (n - 1,)."""
    counters = (words >> 18).astype("int64")
    steps: NDArray[np.int64] = (counters[1:] - counters[:-1] - 1 & 63) + 1
    return steps


def _recording(
    words: NDArray[np.uint32], current_ma: Floats, voltage_v: float, first: tuple[float, bytes]
) -> Recording:
    """A lost sample's time belongs to the one before it."""
    import numpy as np

    steps = _steps(words)
    place = np.concatenate(([0], np.cumsum(steps)))
    moment, data = first
    return Recording(
        edges_s=np.append(place, place[-1] + 1) / RATE_HZ,
        power_mw=current_ma * voltage_v,
        voltage_v=voltage_v,
        marks=(words >> 24).astype(np.uint8),
        began_s=moment - len(data) / 4 / RATE_HZ,
        clock_s=_CLOCK_S,
        lost_s=float((steps - 1).sum()) / RATE_HZ,
    )


def _value(pairs: Mapping[str, str], name: str, default: float | None) -> float:
    try:
        return float(pairs[name])
    except (KeyError, ValueError):
        return float("nan") if default is None else default


def _meta_data(port: Port, name: str) -> str:
    text, end = b"", time.monotonic() + _META_S
    while b"END" not in text:
        if time.monotonic() > end:
            raise ToolError(
                "E-METER-SILENT",
                f'no PPK2 answers on {name}; what came: "{printable(text[-60:])}".',
                "name the kit's port (it has two: the first), or plug it in anew",
            )
        with as_lost(name):
            text += port.read(4096)
    return text.decode("ascii", "replace")


def _only_kit() -> str:
    from serial.tools import list_ports as system

    kits = sorted(port.device for port in system.comports() if "PPK2" in (port.product or ""))
    if not kits:
        raise DeviceNotFoundError(
            "E-METER-NONE", "no PPK2 is plugged in.", "plug it in, or name its port: ppk2:PORT"
        )
    return kits[0]
