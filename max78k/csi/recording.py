"""What one receiver heard: packets in the order in which they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int8Array = npt.NDArray[np.int8]
FloatArray = npt.NDArray[np.float64]

SUBCARRIERS = (64, 128)  # of 20 and 40 MHz


@dataclass(frozen=True, eq=False)
class Recording:
    """Packets of one recording.

    Attributes:
        name: where it came from.
        csi: int8 [packets, 2 * subcarriers], imaginary and real part in turn, as the ESP32 gives
            them.
        seconds: float64 [packets], time of each packet from the first on; None where the source
            has no clock.
        rssi: int8 [packets], dBm; None where it is not known.
        bad_rows: rows that could not be used, by what was wrong with them.
    """

    name: str
    csi: Int8Array
    seconds: FloatArray | None = None
    rssi: Int8Array | None = None
    bad_rows: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of packets."""
        return len(self.csi)

    @property
    def subcarriers(self) -> int:
        """Number of subcarriers."""
        return int(self.csi.shape[1]) // 2

    @property
    def rate(self) -> float | None:
        """Packets per second, from the middle time between two; None without a clock."""
        if self.seconds is None or len(self) < 2:
            return None
        step = float(np.median(np.diff(self.seconds)))
        return 1 / step if step > 0 else None

    @property
    def lost(self) -> int:
        """About how many packets did not come, by the times of the others; 0 without a clock."""
        if self.seconds is None or self.rate is None:
            return 0
        return max(0, round(float(np.ptp(self.seconds)) * self.rate) + 1 - len(self))

    def part(self, start: int, stop: int) -> Recording:
        """The packets from ``start`` to before ``stop``."""
        seconds = None if self.seconds is None else self.seconds[start:stop]
        rssi = None if self.rssi is None else self.rssi[start:stop]
        return Recording(self.name, self.csi[start:stop], seconds, rssi)
