"""DMA: four channels between memories and the FIFOs of blocks.

With a block's request the address on the block's side is its FIFO, whatever the register says.
A transfer takes the bus two cycles per access, an estimate; the core is not slowed by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from max78k.chip import addresses
from max78k.chip import io_registers as io
from max78k.simulator.clock import Clock, Event
from max78k.simulator.cpu import Cpu
from max78k.simulator.peripherals import Block, PeripheralBus

_CTRL, _STATUS = io.DMA_CTRL, io.DMA_STATUS
_EN, _RLDEN = _CTRL.field("EN").mask, _CTRL.field("RLDEN").mask
_RUNNING, _CTZ, _RLD = (_STATUS.field(name).mask for name in ("RUNNING", "CTZ", "RLD"))
_IPEND, _BUS_ERR = _STATUS.field("IPEND").mask, _STATUS.field("BUS_ERR").mask
_RELOAD_EN = io.DMA_CNTRLD.field("EN").mask
_CYCLES_PER_ACCESS = 2
_CHUNK_BYTES = 32  # of a memory transfer between two events


_SRCINC, _DSTINC = _CTRL.field("SRCINC").mask, _CTRL.field("DSTINC").mask
_REQUEST = _CTRL.field("REQUEST")
# Begin and end of RAM and of flash.
_MEMORIES = (
    (addresses.SRAM_BASE, addresses.SRAM_BASE + addresses.SRAM_BYTES),
    (addresses.FLASH_BASE, addresses.FLASH_BASE + addresses.FLASH_BYTES),
)
# Of the control register: what is not 0 where more than a byte is moved at a time.
_NOT_SINGLE = sum(_CTRL.field(name).mask for name in ("SRCWD", "DSTWD", "BURST"))


@dataclass(frozen=True)
class Request:
    """A block's request line: is it active, and where is the FIFO; ``reads``: the block sends."""

    active: Callable[[], bool]
    address: int
    reads: bool


class Dma(Block):
    """The controller.

    Args:
        requests: by number.
        set_irq: drives the line of a channel.

    Attributes:
        before_read: called before a register is read.
        before_change: called before a register is written, and before a reset.
    """

    def __init__(
        self,
        cpu: Cpu,
        clock: Clock,
        bus: PeripheralBus,
        requests: dict[int, Request],
        set_irq: Callable[[int, bool], None],
    ) -> None:
        super().__init__("DMA")
        self._cpu = cpu
        self._clock = clock
        self._bus = bus
        self._requests = requests
        self._set_irq = set_irq
        self.before_read: Callable[[], None] = lambda: None
        self.before_change: Callable[[], None] = lambda: None
        self._events: list[Event | None] = [None] * io.DMA_CHANNELS
        self.readers[io.DMA_INTFL.offset] = self._pending
        self.writers[io.DMA_INTFL.offset] = lambda value: None
        self.writers[io.DMA_INTEN.offset] = self._write_enables
        for channel in range(io.DMA_CHANNELS):
            base = self._base(channel)
            self.writers[base + _CTRL.offset] = partial(self._write_ctrl, channel)
            self.writers[base + _STATUS.offset] = partial(self._write_status, channel)

    def reader(self, offset: int) -> Callable[[], int]:
        """What reads a register."""
        return partial(self.read, offset)

    def read(self, offset: int) -> int:
        """A register."""
        self.before_read()
        return super().read(offset)

    def write(self, offset: int, value: int) -> None:
        """A register."""
        self.before_change()
        super().write(offset, value)

    def reset(self) -> None:
        """All channels stop."""
        self.before_change()
        super().reset()
        for channel, event in enumerate(self._events):
            self._clock.cancel(event)
            self._events[channel] = None
            self._set_irq(channel, False)

    def wake(self) -> None:
        """Call when a block's request may have become active."""
        for channel in range(io.DMA_CHANNELS):
            if self._word(channel, _STATUS.offset) & _RUNNING:
                self._schedule(channel)

    @staticmethod
    def _base(channel: int) -> int:
        return io.DMA_CHANNEL_BASE + channel * io.DMA_CHANNEL_STRIDE

    def _word(self, channel: int, offset: int) -> int:
        return self.words.get(self._base(channel) + offset, 0)

    def _set(self, channel: int, offset: int, value: int) -> None:
        self.words[self._base(channel) + offset] = value & 0xFFFF_FFFF

    def _write_ctrl(self, channel: int, value: int) -> None:
        started = value & _EN and not self._word(channel, _CTRL.offset) & _EN
        self._set(channel, _CTRL.offset, value)
        status = self._word(channel, _STATUS.offset)
        if started:
            self._set(channel, _STATUS.offset, status | _RUNNING)
            self._schedule(channel)
        elif not value & _EN:
            self._set(channel, _STATUS.offset, status & ~_RUNNING)
        self._update(channel)

    def _write_status(self, channel: int, value: int) -> None:
        status = self._word(channel, _STATUS.offset)
        self._set(channel, _STATUS.offset, status & ~(value & ~_RUNNING))
        self._update(channel)

    def _write_enables(self, value: int) -> None:
        self.words[io.DMA_INTEN.offset] = value
        for channel in range(io.DMA_CHANNELS):
            self._update(channel)

    def _pending(self) -> int:
        channels = range(io.DMA_CHANNELS)
        return sum(1 << n for n in channels if self._word(n, _STATUS.offset) & _IPEND)

    def _update(self, channel: int) -> None:
        status = self._word(channel, _STATUS.offset)
        enables = _CTRL.unpack(self._word(channel, _CTRL.offset))
        wanted = enables["CTZ_IE"] and status & _CTZ
        wanted = wanted or (enables["DIS_IE"] and status & (_CTZ | _BUS_ERR | _RLD))
        status = status | _IPEND if wanted else status & ~_IPEND
        self._set(channel, _STATUS.offset, status)
        enabled = self.words.get(io.DMA_INTEN.offset, 0) >> channel & 1
        self._set_irq(channel, bool(enabled and status & _IPEND))

    # -- transfers

    def single_bytes(self, number: int) -> int | None:
        """The channel that moves bytes of this request one by one to or from RAM."""
        for channel in range(io.DMA_CHANNELS):
            control = self._word(channel, _CTRL.offset)
            if (
                _REQUEST.get(control) == number
                and self._word(channel, _STATUS.offset) & _RUNNING
                and not control & _NOT_SINGLE
                and self._events[channel] is None
            ):
                return channel
        return None

    def left(self, channel: int, reads: bool) -> int:
        """Bytes that such a channel will move to RAM (``reads``), or from memory."""
        counts, at = (_DSTINC, io.DMA_DST) if reads else (_SRCINC, io.DMA_SRC)
        size = self._word(channel, io.DMA_CNT.offset) & 0xFF_FFFF
        address = self._word(channel, at.offset)
        memories = _MEMORIES[:1] if reads else _MEMORIES
        inside = any(base <= address and address + size <= end for base, end in memories)
        return size if inside and self._word(channel, _CTRL.offset) & counts else 0

    def put(self, channel: int, data: bytes) -> None:
        """Move bytes of a block, not more than are left."""
        target = self._word(channel, io.DMA_DST.offset)
        self._cpu.write_ram(target, data)
        self._set(channel, io.DMA_DST.offset, target + len(data))
        self._count_down(channel, len(data))

    def get(self, channel: int, count: int) -> bytes:
        """Move bytes to a block, not more than are left."""
        source = self._word(channel, io.DMA_SRC.offset)
        data = self._cpu.read_memory(source, count)
        self._set(channel, io.DMA_SRC.offset, source + count)
        self._count_down(channel, count)
        return data

    def _count_down(self, channel: int, size: int) -> None:
        left = (self._word(channel, io.DMA_CNT.offset) & 0xFF_FFFF) - size
        self._set(channel, io.DMA_CNT.offset, left)
        if left == 0:
            self._count_is_zero(channel)

    def _request(self, channel: int) -> Request | None:
        number = _REQUEST.get(self._word(channel, _CTRL.offset))
        return self._requests.get(number)

    def _ready(self, channel: int) -> bool:
        number = _REQUEST.get(self._word(channel, _CTRL.offset))
        request = self._requests.get(number)
        return request.active() if request else number == io.DMA_REQUEST_MEMORY

    def _schedule(self, channel: int) -> None:
        if self._events[channel] is None and self._ready(channel):
            fields = _CTRL.unpack(self._word(channel, _CTRL.offset))
            size = self._burst(channel)
            accesses = size >> min(fields["SRCWD"], 2)
            delay = max(accesses, 1) * 2 * _CYCLES_PER_ACCESS * self._clock.period
            event = self._clock.schedule(delay, partial(self._transfer, channel), work=True)
            self._events[channel] = event

    def _burst(self, channel: int) -> int:
        left = self._word(channel, io.DMA_CNT.offset) & 0xFF_FFFF
        burst = _CTRL.field("BURST").get(self._word(channel, _CTRL.offset)) + 1
        width = 1 << min(_CTRL.field("SRCWD").get(self._word(channel, _CTRL.offset)), 2)
        chunk = max(burst, width) if self._request(channel) else _CHUNK_BYTES
        return min(left, chunk)

    def _transfer(self, channel: int) -> None:
        """Move one burst, byte order kept; whole accesses alone reach a FIFO."""
        self._events[channel] = None
        if not self._word(channel, _STATUS.offset) & _RUNNING:
            return
        size = self._burst(channel)
        fields = _CTRL.unpack(self._word(channel, _CTRL.offset))
        request = self._request(channel)
        source, target = (self._word(channel, r.offset) for r in (io.DMA_SRC, io.DMA_DST))
        if request and request.reads:
            source = request.address
        elif request:
            target = request.address
        try:
            data = self._read(source, size, fields, bool(request and request.reads))
            self._write(target, data, fields, bool(request and not request.reads))
        except LookupError:
            status = self._word(channel, _STATUS.offset) & ~_RUNNING
            self._set(channel, _STATUS.offset, status | _BUS_ERR)
            self._update(channel)
            return
        self._set(channel, io.DMA_SRC.offset, source + (size if fields["SRCINC"] else 0))
        self._set(channel, io.DMA_DST.offset, target + (size if fields["DSTINC"] else 0))
        self._count_down(channel, size)
        if self._word(channel, _STATUS.offset) & _RUNNING:
            self._schedule(channel)

    def _count_is_zero(self, channel: int) -> None:
        control = self._word(channel, _CTRL.offset)
        status = self._word(channel, _STATUS.offset) | _CTZ
        reload = self._word(channel, io.DMA_CNTRLD.offset)
        if (control & _RLDEN or reload & _RELOAD_EN) and reload & 0xFF_FFFF:
            for to, register in (
                (io.DMA_SRC, io.DMA_SRCRLD),
                (io.DMA_DST, io.DMA_DSTRLD),
            ):
                self._set(channel, to.offset, self._word(channel, register.offset))
            self._set(channel, io.DMA_CNT.offset, reload & 0xFF_FFFF)
            self._set(channel, io.DMA_CNTRLD.offset, reload & ~_RELOAD_EN)
            self._set(channel, _CTRL.offset, control & ~_RLDEN)
            status |= _RLD
        else:
            self._set(channel, _CTRL.offset, control & ~_EN)
            status &= ~_RUNNING
        self._set(channel, _STATUS.offset, status)
        self._update(channel)

    def _read(self, address: int, size: int, fields: dict[str, int], fixed: bool) -> bytes:
        if not fixed and fields["SRCINC"]:
            try:
                return self._cpu.read_memory(address, size)
            except LookupError:
                pass
        width = 1 << min(fields["SRCWD"], 2)
        step = 0 if fixed or not fields["SRCINC"] else width
        data = b"".join(
            self._read_word(address + step * n, width).to_bytes(4, "little")[:width]
            for n in range(-(-size // width))
        )
        return data[:size]

    def _write(self, address: int, data: bytes, fields: dict[str, int], fixed: bool) -> None:
        if not fixed and fields["DSTINC"]:
            try:
                self._cpu.write_ram(address, data)
                return
            except LookupError:
                pass
        width = 1 << min(fields["DSTWD"], 2)
        step = 0 if fixed or not fields["DSTINC"] else width
        for n in range(0, len(data), width):
            word = int.from_bytes(data[n : n + width], "little")
            self._bus.poke(address + step * (n // width), word, width)

    def _read_word(self, address: int, width: int) -> int:
        try:
            return int.from_bytes(self._cpu.read_memory(address, width), "little")
        except LookupError:
            return self._bus.peek(address, width)


class ByteStream:
    """The bytes of a request as long as a channel moves them one by one between FIFO and memory.

    Args:
        number: of the request.
        reads: whether the bytes come from the block.
    """

    def __init__(self, dma: Dma, number: int, *, reads: bool) -> None:
        self._dma = dma
        self._number = number
        self._reads = reads

    @property
    def left(self) -> int:
        """Bytes that would be moved from now on, 0 where no channel does so."""
        channel = self._dma.single_bytes(self._number)
        return 0 if channel is None else self._dma.left(channel, self._reads)

    def put(self, data: bytes) -> None:
        """Move at most ``left`` bytes into memory."""
        channel = self._dma.single_bytes(self._number)
        assert channel is not None
        self._dma.put(channel, data)

    def get(self, count: int) -> bytes:
        """Take at most ``left`` bytes out of memory."""
        channel = self._dma.single_bytes(self._number)
        assert channel is not None
        return self._dma.get(channel, count)
