"""What a meter is to the rest of the program, and what it hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Where a figure comes from; never to be confused.
MEASURED = "measured"
STATED = "from the stated current"
ESTIMATE = "estimate, from the virtual board's current model"


@dataclass(frozen=True)
class Instrument:
    """Which meter, and how fine it is.

    Attributes:
        name: as in a report: model and port.
        kind: MEASURED, STATED or ESTIMATE.
        resolution_ma: the smallest step of the current in milliamperes; None if it is not known.
        sample_s: seconds between two samples; None if they come irregularly.
        remark: a limit of this instrument that its figures share, or empty.
    """

    name: str
    kind: str
    resolution_ma: float | None = None
    sample_s: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Recording:
    """Power over time, constant between two edges; n samples have n + 1 edges.

    Attributes:
        edges_s: seconds since the recording began, ascending.
        power_mw: mean power of each sample in milliwatts.
        voltage_v: mean supply voltage.
        marks: state of the board's two marking pins in each sample (bit 0: D0, bit 1: D1; see
            ``phases``); None if the meter has no digital inputs.
        began_s: the host's ``time.monotonic`` at the first edge; None if the clocks are apart.
        clock_s: how far ``began_s`` and the samples' times may be off, in seconds.
        bounds_mw: lower and upper bound of ``power_mw`` if it is an estimate.
        lost_s: seconds for which samples were lost on the way; they hold the value before.
    """

    edges_s: Floats
    power_mw: Floats
    voltage_v: float
    marks: NDArray[np.uint8] | None = None
    began_s: float | None = None
    clock_s: float = 0.0
    bounds_mw: tuple[Floats, Floats] | None = field(default=None, repr=False)
    lost_s: float = 0.0


class Meter(Protocol):
    """A meter; used once, in the order ``open``, ``start``, ``stop``, ``close``."""

    @property
    def instrument(self) -> Instrument:
        """Which meter, and how fine it is; final once ``stop`` has returned."""

    @property
    def board_trace(self) -> Path | None:
        """The file in which the virtual board has to leave its current; None for all others."""

    def open(self) -> None:
        """Take hold of the instrument; a board that it feeds has its supply from here on.

        Raises DeviceNotFoundError, InputError or ToolError: ``E-METER-...`` or ``E-PORT-...``.
        """

    def start(self) -> None:
        """Begin to record."""

    def stop(self) -> Recording:
        """End, and hand over what was recorded since ``start``; the board's session is closed.

        Raises InputError or ToolError ``E-METER-...``.
        """

    def close(self) -> None:
        """Let the instrument go; also without ``open``."""
