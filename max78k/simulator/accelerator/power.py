"""Power, isolation and reset of the quadrants, as the chip's CNN function control sets them."""

from __future__ import annotations

from dataclasses import dataclass

from max78k.chip import limits


def quadrants(mask: int) -> tuple[int, ...]:
    """Numbers of the quadrants whose bit is set in a 4-bit mask."""
    return tuple(q for q in range(limits.QUADRANTS) if mask >> q & 1)


@dataclass(frozen=True)
class Power:
    """4-bit masks, bit q for quadrant q; the default is the state after a chip reset."""

    powered: int = 0
    ram: int = 0
    isolated: int = 0
    reset: int = 0

    @property
    def usable(self) -> int:
        """Quadrants that answer on the bus and can run."""
        return self.powered & ~self.isolated & ~self.reset

    def obstacle(self, quadrant: int) -> str:
        """Why a quadrant does not answer."""
        if not self.powered >> quadrant & 1:
            return "has no power"
        return "is isolated" if self.isolated >> quadrant & 1 else "is held in reset"
