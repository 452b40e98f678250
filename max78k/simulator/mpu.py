"""The memory protection unit, as far as stack guards need it: regions without any access."""

from __future__ import annotations

from collections.abc import Callable

BASE, END = 0xED90, 0xEDA4  # inside the private peripheral bus
_TYPE, _CTRL, _RNR, _RBAR, _RASR = 0xED90, 0xED94, 0xED98, 0xED9C, 0xEDA0
_TYPE_VALUE = 8 << 8  # eight regions
_REGIONS = 8
_ENABLE, _VALID = 1, 1 << 4
_ACCESS_SHIFT, _ACCESS_MASK = 24, 7  # 0: no access


class MemoryProtection:
    """Eight regions; only enabled regions that forbid all access have an effect, on stores.

    Args:
        guard: called with (start, bytes) of the regions that must not be written.
    """

    def __init__(self, guard: Callable[[list[tuple[int, int]]], None]) -> None:
        self._guard = guard
        self._guarded: list[tuple[int, int]] = []
        self.reset()

    def reset(self) -> None:
        """No protection."""
        self._control = self._number = 0
        self._bases = [0] * _REGIONS
        self._attributes = [0] * _REGIONS
        self._apply()

    def read(self, offset: int) -> int:
        """A register by its offset in the private peripheral bus."""
        return {
            _TYPE: _TYPE_VALUE,
            _CTRL: self._control,
            _RNR: self._number,
            _RBAR: self._bases[self._number] | self._number,
            _RASR: self._attributes[self._number],
        }.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A register by its offset in the private peripheral bus."""
        if offset == _CTRL:
            self._control = value
        elif offset == _RNR:
            self._number = value % _REGIONS
        elif offset == _RBAR:
            if value & _VALID:
                self._number = value % _REGIONS
            self._bases[self._number] = value & ~0x1F
        elif offset == _RASR:
            self._attributes[self._number] = value
        self._apply()

    def _apply(self) -> None:
        regions = [
            (base, 2 << (word >> 1 & 0x1F))
            for base, word in zip(self._bases, self._attributes, strict=True)
            if self._control & word & _ENABLE and not word >> _ACCESS_SHIFT & _ACCESS_MASK
        ]
        if regions != self._guarded:
            self._guarded = regions
            self._guard(regions)
