"""CRC: remainders of 32 bits, least or most significant bit first."""

from __future__ import annotations

from max78k.chip import io_registers as io
from max78k.simulator.peripherals import Block

_CTRL = io.CRC_CTRL
_TOP = 1 << 31


class CrcUnit(Block):
    """The result is there at once; ``VAL`` holds it without a final inversion."""

    def __init__(self) -> None:
        super().__init__("CRC", {io.CRC_POLY.offset: 0xEDB8_8320, io.CRC_VAL.offset: 0xFFFF_FFFF})
        self.writers[io.CRC_DATAIN.offset] = lambda value: self._take(value, 4)
        for lane in range(4):
            self.narrow_writers[io.CRC_DATAIN.offset + lane] = self._take

    def wants_dma(self) -> bool:
        """Request line for data."""
        fields = _CTRL.unpack(self.words.get(_CTRL.offset, 0))
        return bool(fields["EN"] and fields["DMA_EN"])

    def _take(self, value: int, size: int) -> None:
        fields = _CTRL.unpack(self.words.get(_CTRL.offset, 0))
        if not fields["EN"]:
            return
        data = value.to_bytes(size, "big" if fields["BYTE_SWAP_IN"] else "little")
        if fields["MSB"]:
            data = data[::-1]
        remainder, polynomial = self.words[io.CRC_VAL.offset], self.words[io.CRC_POLY.offset]
        for byte in data:
            if fields["MSB"]:
                remainder ^= byte << 24
                for _ in range(8):
                    high = remainder & _TOP
                    remainder = (remainder << 1 & 0xFFFF_FFFF) ^ (polynomial if high else 0)
            else:
                remainder ^= byte
                for _ in range(8):
                    low = remainder & 1
                    remainder = remainder >> 1 ^ (polynomial if low else 0)
        self.words[io.CRC_VAL.offset] = remainder
