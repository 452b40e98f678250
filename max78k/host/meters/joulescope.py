"""A Joulescope, by its maker's package ``pyjoulescope_driver`` (Apache-2.0), where it is installed.

The package calls a function with parts of each signal: ``sample_id`` counts samples at the full
rate, ``decimate_factor`` of them make one value; digital inputs come eight to a byte.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from max78k.errors import DeviceNotFoundError, ToolError
from max78k.host.meters.meter import MEASURED, Instrument, Recording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[Any]

RATE_HZ = 100_000
_CURRENT, _VOLTAGE, _D0, _D1 = "s/i", "s/v", "s/gpi/0", "s/gpi/1"
_SIGNALS = (_CURRENT, _VOLTAGE, _D0, _D1)
_CLOCK_S = 0.05  # parts come some tens of milliseconds late


class Joulescope:
    """The Joulescope whose path ends with ``serial_number`` (empty: the only one)."""

    board_trace: Path | None = None

    def __init__(self, serial_number: str) -> None:
        self._serial = serial_number
        self._path = ""
        self._package = ExitStack()
        self._driver: Any = None
        self._parts: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self._handlers: dict[str, Callable[[str, dict[str, Any]], None]] = {}

    @property
    def instrument(self) -> Instrument:
        """The instrument; its resolution goes with the range that it chooses."""
        return Instrument(f"Joulescope {self._path or self._serial}", MEASURED, None, 1 / RATE_HZ)

    def open(self) -> None:
        """Find it. Raises ToolError ``E-METER-PACKAGE``, DeviceNotFoundError ``E-METER-NONE``."""
        try:
            from pyjoulescope_driver import Driver  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise ToolError(
                "E-METER-PACKAGE",
                f"a Joulescope needs the package pyjoulescope_driver: {error}.",
                "pip install pyjoulescope_driver",
            ) from error
        self._driver = self._package.enter_context(Driver())
        paths = [path for path in self._driver.device_paths()
                 if path.lower().endswith(self._serial.lower())]  # fmt: skip
        if len(paths) != 1:
            raise DeviceNotFoundError(
                "E-METER-NONE",
                f"{len(paths)} Joulescopes match {self._serial!r}: {', '.join(paths) or 'none'}.",
                "plug it in, or name one by its serial number: joulescope:SERIAL",
            )
        (self._path,) = paths
        self._driver.open(self._path, mode="defaults")
        self._driver.publish(f"{self._path}/h/fs", RATE_HZ)
        if "js110" in self._path:
            self._driver.publish(f"{self._path}/s/i/range/select", "auto")
            self._driver.publish(f"{self._path}/s/v/range/select", "15 V")
        else:
            self._driver.publish(f"{self._path}/s/i/range/mode", "auto")
            self._driver.publish(f"{self._path}/s/v/range/mode", "auto")

    def start(self) -> None:
        """Have it send current, voltage and two digital inputs."""
        for signal in _SIGNALS:
            self._parts[signal] = []
            self._handlers[signal] = _keeper(self._parts[signal])
            topic = f"{self._path}/{signal}"
            self._driver.subscribe(f"{topic}/!data", ["pub"], self._handlers[signal])
            self._driver.publish(f"{topic}/ctrl", 1)

    def stop(self) -> Recording:
        """What came since ``start``. Raises ToolError ``E-METER-LOST``."""
        import numpy as np

        for signal, handler in self._handlers.items():
            topic = f"{self._path}/{signal}"
            self._driver.publish(f"{topic}/ctrl", 0)
            self._driver.unsubscribe(f"{topic}/!data", handler)
        if not all(self._parts[signal] for signal in (_CURRENT, _VOLTAGE)):
            raise ToolError("E-METER-LOST", "the Joulescope sent nothing.", "plug it in anew")
        moment, first = self._parts[_CURRENT][0]
        rate = float(first["sample_rate"])
        ids, current = _joined(self._parts[_CURRENT])
        steps = np.diff(ids)
        one = int(first["decimate_factor"])
        voltage = _held(*_joined(self._parts[_VOLTAGE]), ids)
        marks = np.zeros(len(ids), dtype=np.uint8)
        for bit, signal in enumerate((_D0, _D1)):
            if self._parts[signal]:
                inputs = _joined(self._parts[signal], bits=True)
                marks |= _held(*inputs, ids).astype(np.uint8) << bit
        good = np.isfinite(current) & np.isfinite(voltage)  # a range change gives no number
        if not good.any():
            raise ToolError("E-METER-LOST", "the Joulescope sent no number.", "look at its inputs")
        power = _held(ids[good], 1e3 * (current * voltage)[good], ids)
        return Recording(
            edges_s=(np.append(ids, ids[-1] + one) - ids[0]) / rate,
            power_mw=power,
            voltage_v=float(voltage[good].mean()),
            marks=marks,
            began_s=moment - len(first["data"]) * one / rate,
            clock_s=_CLOCK_S,
            lost_s=float((steps - one).sum() + one * np.count_nonzero(~good)) / rate,
        )

    def close(self) -> None:
        """Let it go."""
        if self._path:
            self._driver.close(self._path)
            self._path = ""
        self._package.close()


def _keeper(
    parts: list[tuple[float, dict[str, Any]]],
) -> Callable[[str, dict[str, Any]], None]:
    def keep(topic: str, value: dict[str, Any]) -> None:
        parts.append((time.monotonic(), value))

    return keep


def _joined(
    parts: list[tuple[float, dict[str, Any]]], *, bits: bool = False
) -> tuple[NDArray[np.int64], Values]:
    """Sample numbers at the full rate, and values, of all parts in a row."""
    import numpy as np

    ids, values = [], []
    for _, part in parts:
        data = np.asarray(part["data"])
        data = np.unpackbits(data, bitorder="little") if bits else data.astype(np.float64)
        place = np.arange(len(data), dtype=np.int64) * int(part["decimate_factor"])
        ids.append(place + int(part["sample_id"]))
        values.append(data)
    return np.concatenate(ids), np.concatenate(values)


def _held(ids: NDArray[np.int64], values: Values, wanted: NDArray[np.int64]) -> Values:
    """At each wanted sample the last value up to it, no number where there is none at all."""
    import numpy as np

    if not len(values):
        return np.full(len(wanted), np.nan)
    place = np.searchsorted(ids, wanted, side="right") - 1
    held: Values = values[np.clip(place, 0, len(values) - 1)]
    return held
