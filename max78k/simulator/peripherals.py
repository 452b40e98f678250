"""Register blocks on the peripheral bus: plain storage, address decoding, polling loops."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from max78k.chip import addresses
from max78k.chip import mcu_registers as mcu
from max78k.chip.registers import Register
from max78k.simulator.clock import Clock
from max78k.simulator.cpu import Cpu
from max78k.simulator.findings import FindingLog

BASE, SIZE = 0x4000_0000, 0x10_0000
ACCESS_CYCLES = 4  # the bus runs at half the core clock; an estimate

_GRANULE_SHIFT = 5  # blocks begin at multiples of 32 bytes
_POLLS = 32  # equal reads in a row that make a polling loop
_TIMED_POLLS = 64  # the same for a register that counts
_MISSES = 8  # reads by interrupt handlers that do not end a polling loop
_HELD_READS = 8  # after an interrupt
_LONGEST_PATTERN = 4  # reads in one turn of a polling loop
_WAITED_SHIFT = 12
_LONGEST_SKIP = 10_000  # cycles that one read of a counter may be stretched by
# The same where a value stays and nothing is known to come: a slow counter may still change it.
_EQUAL_SKIP, _EQUAL_SHIFT = 1000, 6
# Thumb instructions that read several words: LDM, and LDRD, LDM.W, VLDM by their upper bits.
_SEVERAL_WORDS, _POP = (0b11001, 0b11101), 0b1011110


class Block:
    """The registers of one peripheral; a register without a function of its own is storage.

    Args:
        name: as in the chip's documentation.
        reset_values: by offset; all others are 0.
        always_set: bits that read 1 whatever is written, by offset.

    Attributes:
        readers, writers: functions of registers, by offset.
        narrow_readers, narrow_writers: functions of byte addresses that take accesses of 1 and 2
            bytes: called with the size, or the value and the size.
    """

    def __init__(
        self,
        name: str,
        reset_values: Mapping[int, int] | None = None,
        always_set: Mapping[int, int] | None = None,
    ) -> None:
        self.name = name
        self._reset_values = dict(reset_values or {})
        self._always_set = dict(always_set or {})
        self.readers: dict[int, Callable[[], int]] = {}
        self.writers: dict[int, Callable[[int], None]] = {}
        self.narrow_readers: dict[int, Callable[[int], int]] = {}
        self.narrow_writers: dict[int, Callable[[int, int], None]] = {}
        self.words = dict(self._reset_values)

    def reset(self) -> None:
        """All registers to their reset values."""
        self.words = dict(self._reset_values)

    def reader(self, offset: int) -> Callable[[], int]:
        """What reads a 32-bit register."""
        reader = self.readers.get(offset)
        return partial(self.read, offset) if reader is None or self._always_set else reader

    def read(self, offset: int) -> int:
        """A 32-bit register."""
        reader = self.readers.get(offset)
        value = reader() if reader else self.words.get(offset, 0)
        return value | self._always_set.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A 32-bit register."""
        writer = self.writers.get(offset)
        if writer:
            writer(value)
        else:
            self.words[offset] = value


def by_offset(registers: Iterable[Register], values: Mapping[str, int]) -> dict[int, int]:
    """Reset values by offset from a table by name."""
    return {register.offset: values.get(register.name, 0) for register in registers}


# Blocks that only keep what is written: base, size, name, bits that always read 1.
STORAGE: tuple[tuple[int, int, str, dict[int, int]], ...] = (
    (addresses.SIR, 0x400, "SIR", {0x0: 0x3}),
    (addresses.FCR, 0x400, "FCR", {}),
    (addresses.SIMO, 0x400, "SIMO", {mcu.SIMO_BUCK_OUT_READY.offset: 0xF}),
    (addresses.TRIMSIR, 0x400, "TRIMSIR", {}),
    (addresses.MCR, 0x400, "MCR", {}),
    (addresses.ICC0, 0x800, "ICC0", {mcu.ICC_CTRL.offset: mcu.ICC_CTRL.field("RDY").mask}),
    (addresses.ICC0 + 0x800, 0x800, "ICC1", {mcu.ICC_CTRL.offset: mcu.ICC_CTRL.field("RDY").mask}),
    (0x4000_3C00, 0x400, "DVS", {}),
    (addresses.PTG, 0x200, "PT", {}),
)


@dataclass(frozen=True)
class _Mapping:
    base: int
    block: Block
    clocked: Callable[[], bool]


class _Polling:
    """What the reads so far say of a loop."""

    __slots__ = (
        "equal", "equal_since", "hold", "misses", "period", "read_at", "recent", "repeats", "since",
    )  # fmt: skip

    def __init__(self) -> None:
        # Address, distance, value; the newest first.
        self.recent = deque([(-1, -1, 0)] * _LONGEST_PATTERN, _LONGEST_PATTERN)
        self.period = 1  # reads after which the pattern comes again
        self.repeats = self.equal = self.misses = self.read_at = self.hold = 0
        self.since = self.equal_since = 0


class PeripheralBus:
    """Decodes addresses, and lets virtual time pass in polling loops.

    A loop that reads the same few registers over and over would take the host far longer than the
    chip. When the same addresses have been read many times at the same distances in instructions
    with no write between, time is moved on: where the values stay the same to the next event,
    where one counts by 1/4096 of the time already waited, 100 us at most. If no event is near,
    equal values let 1/64 of the time already waited pass. An interrupt does not end a loop: when
    its handler has returned, a few turns are executed one by one, so that what the handler changed
    is seen at once.
    """

    def __init__(self, cpu: Cpu, clock: Clock, log: FindingLog) -> None:
        self._cpu = cpu
        self._clock = clock
        self._log = log
        self._granules: dict[int, _Mapping] = {}
        # Registers read so far: what reads them, and whether their clock is on.
        self._known: dict[int, tuple[Callable[[], int], Callable[[], bool]]] = {}
        self._interrupted: list[tuple[_Polling, int]] = []
        self._polling = _Polling()

    def attach(
        self, base: int, size: int, block: Block, clocked: Callable[[], bool] = lambda: True
    ) -> None:
        """Put a block at an address; ``clocked`` tells whether its clock is on."""
        entry = _Mapping(base, block, clocked)
        for granule in range(base >> _GRANULE_SHIFT, base + size >> _GRANULE_SHIFT):
            self._granules[granule] = entry

    def end_polling(self) -> None:
        """Note a write elsewhere: the reads around it are no polling loop."""
        loop = self._polling
        loop.repeats = loop.equal = loop.misses = 0

    def read(self, address: int, size: int) -> int:
        """Read 1, 2 or 4 bytes."""
        self._cpu.stall(ACCESS_CYCLES)
        known = self._known.get(address) if size == 4 else None
        if known is not None and known[1]():
            value = known[0]()
        else:
            entry = self._granules.get(address >> _GRANULE_SHIFT)
            if entry is None or not entry.clocked():
                self._report(address, entry)
                if entry is None:
                    return 0
            elif size == 4:
                reader = entry.block.reader(address - entry.base & ~3)
                self._known[address] = reader, entry.clocked
            value = self._read_block(entry, address, size)
        self.polled(address, value)
        return value

    @staticmethod
    def _read_block(entry: _Mapping, address: int, size: int) -> int:
        block, offset = entry.block, address - entry.base
        if size < 4 and offset in block.narrow_readers:
            return block.narrow_readers[offset](size)
        value = block.read(offset & ~3)
        return value >> 8 * (address & 3) & ((1 << 8 * size) - 1) if size < 4 else value

    def write(self, address: int, value: int, size: int) -> None:
        """Write a register; a narrow write writes 0 to the rest of the word."""
        self._cpu.stall(ACCESS_CYCLES)
        loop = self._polling
        loop.repeats = loop.equal = loop.misses = 0
        entry = self._granules.get(address >> _GRANULE_SHIFT)
        if entry is None or not entry.clocked():
            self._report(address, entry)
            if entry is None:
                return
        block, offset = entry.block, address - entry.base
        if size == 4:
            block.write(offset & ~3, value)
        elif offset in block.narrow_writers:
            block.narrow_writers[offset](value, size)
        else:
            message = f"{block.name} is written {size} byte(s) wide; its registers take words"
            self._log.add("E-BOARD-WIDTH", message, address)
            block.write(offset & ~3, value << 8 * (address & 3))

    def name_of(self, address: int) -> str:
        """Block and offset at an address, empty outside the blocks."""
        entry = self._granules.get(address >> _GRANULE_SHIFT)
        return f"{entry.block.name}+0x{address - entry.base:x}" if entry else ""

    def peek(self, address: int, size: int) -> int:
        """Read without time and findings; raises LookupError where no block is."""
        entry = self._granules.get(address >> _GRANULE_SHIFT)
        if entry is None:
            raise LookupError(f"no block at 0x{address:08x}")
        return self._read_block(entry, address, size)

    def poke(self, address: int, value: int, size: int) -> None:
        """Write for another master than the core; raises LookupError where no block is."""
        entry = self._granules.get(address >> _GRANULE_SHIFT)
        if entry is None:
            raise LookupError(f"no block at 0x{address:08x}")
        block, offset = entry.block, address - entry.base
        if size < 4 and offset in block.narrow_writers:
            block.narrow_writers[offset](value, size)
        else:
            block.write(offset & ~3, value)

    def interrupted(self, entered: bool) -> None:
        """An exception has been entered or left: the loop that it interrupts goes on after it."""
        executed = self._cpu.executed
        if entered:
            self._interrupted.append((self._polling, executed))
            self._polling = _Polling()
        elif self._interrupted:
            self._polling, since = self._interrupted.pop()
            self._polling.read_at += executed - since
            self._polling.hold = _HELD_READS

    def forget(self) -> None:
        """The core has been reset."""
        self._interrupted.clear()
        self._polling = _Polling()

    def polled(self, address: int, value: int) -> None:
        """Note a read; in a polling loop, let time pass."""
        loop, cpu = self._polling, self._cpu
        executed = cpu.instructions + cpu.count.value
        recent, distance = loop.recent, executed - loop.read_at
        loop.read_at = executed
        if not distance and address == recent[0][0] + 4:
            self._check_alignment(address)
        before = recent[loop.period - 1]
        if before[0] == address and before[1] == distance:
            loop.repeats += 1
            loop.equal = loop.equal + 1 if before[2] == value else 0
            if loop.hold:
                loop.hold -= 1
            else:
                self._let_pass(loop)
        else:
            loop.misses += 1
            loop.equal = 0
            if loop.misses > _MISSES or loop.repeats < _TIMED_POLLS:
                loop.repeats = loop.misses = 0
            for period, seen in enumerate(recent, 1):
                if seen[0] == address and seen[1] == distance:
                    loop.period = period
                    break
        recent.appendleft((address, distance, value))

    def _let_pass(self, loop: _Polling) -> None:
        if loop.equal > _POLLS:
            self._skip_equal(loop)
        elif loop.equal == _POLLS:
            loop.equal_since = self._clock.now
        elif loop.repeats == _TIMED_POLLS:
            loop.since, loop.misses = self._clock.now, 0
        elif loop.repeats > _TIMED_POLLS and not loop.equal:
            waited = (self._clock.now - loop.since) // self._clock.period
            left = self._cpu.cycles_left()
            self._cpu.stall(min(waited >> _WAITED_SHIFT, _LONGEST_SKIP, left))

    def _skip_equal(self, loop: _Polling) -> None:
        left, event = self._cpu.cycles_left(), self._clock.next_time
        if event is None or event > self._clock.deadline:
            waited = (self._clock.now - loop.equal_since) // self._clock.period
            left = min(left, max(waited >> _EQUAL_SHIFT, _EQUAL_SKIP))
        self._cpu.stall(left)

    def _check_alignment(self, address: int) -> None:
        """The second read of one instruction: part of a list or pair, or of an unaligned word."""
        try:
            code = self._cpu.halfword(self._cpu.get("PC"))
        except LookupError:
            return
        if code >> 11 not in _SEVERAL_WORDS and code >> 9 != _POP:
            name = self.name_of(address - 4) or f"0x{address - 4:08x}"
            self._log.add("E-BOARD-ALIGN", f"{name} is read as a word that is not aligned", address)

    def _report(self, address: int, entry: _Mapping | None) -> None:
        if entry is None:
            page = address & ~0x3FF
            self._log.add(
                "N-BOARD-UNKNOWN", f"the block at 0x{page:08x} is not modelled, it reads 0", address
            )
        else:
            self._log.add(
                "E-BOARD-CLOCK", f"{entry.block.name} is used while its clock is off", address
            )
