"""The accelerator's memories, each with a record of what has been written.

A byte that nothing ever wrote has no defined value on silicon. The memories therefore start (and
restart, when their power goes) with a fixed pattern rather than zeros, and remember which bytes
hold something, so that a read of the others can be reported.

Every memory is reached from the bus through one window per quadrant: ``read`` and ``write`` take
the quadrant and the byte offset of an aligned word inside the window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits

UNDEFINED_WORD = 0xA5A5_A5A5
UNDEFINED_BYTE = 0xA5
STREAM_BYTES = limits.KERNEL_COLUMNS * limits.COLUMN_BYTES
LANES = limits.PROCESSORS_PER_INSTANCE

_COLUMN_WORDS = addresses.KERNEL_COLUMN_STRIDE // 4  # bus words of one column on the plain path
_QUADRANT_INSTANCES = limits.INSTANCES // limits.QUADRANTS


class Memory(Protocol):
    """What the bus and the power supply need of a memory."""

    def read(self, quadrant: int, offset: int) -> tuple[int, bool]:
        """A word, and whether anything ever wrote it."""

    def write(self, quadrant: int, offset: int, value: int) -> str:
        """Write a word; returns what is wrong with the access, or nothing."""

    def lose(self, quadrant: int) -> None:
        """The quadrant's part loses its content with its power."""

    def zero(self, quadrant: int) -> None:
        """The self test leaves zeros behind."""


class DataMemory:
    """Data memory: instances of 32-bit words, four byte lanes each.

    ``words_per_instance`` is 8192 for the accelerator's own memory; buffers of streaming layers,
    whose rollover is not modelled, are as long as their data. ``unread`` has, during a run, one
    more than the number of the layer that wrote a word, until a layer reads some of its words:
    what that one leaves out is left out on purpose.
    """

    def __init__(self, words_per_instance: int = limits.INSTANCE_WORDS) -> None:
        self.words_per_instance = words_per_instance
        self.words = np.full(limits.INSTANCES * words_per_instance, UNDEFINED_WORD, np.uint32)
        self.lanes = self.words.view(np.int8).reshape(-1, LANES)
        self.written = np.zeros((len(self.words), LANES), bool)
        self.unread = np.zeros(len(self.words), np.uint8)

    def read(self, quadrant: int, offset: int) -> tuple[int, bool]:
        """See :class:`Memory`; a word counts as written when any of its bytes is."""
        index = self._part(quadrant).start + (offset >> 2)
        return int(self.words[index]), bool(self.written[index].any())

    def write(self, quadrant: int, offset: int, value: int) -> str:
        """See :class:`Memory`."""
        index = self._part(quadrant).start + (offset >> 2)
        self.words[index] = value
        self.written[index] = True
        return ""

    def lose(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.words[self._part(quadrant)] = UNDEFINED_WORD
        self.written[self._part(quadrant)] = False

    def zero(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.words[self._part(quadrant)] = 0
        self.written[self._part(quadrant)] = True

    def taken(self, makers: Iterable[int]) -> None:
        """Note that the results of some layers (numbers as in ``unread``) have found a reader."""
        for maker in makers:
            self.unread[self.unread == maker] = 0

    def _part(self, quadrant: int) -> slice:
        size = _QUADRANT_INSTANCES * self.words_per_instance
        return slice(quadrant * size, (quadrant + 1) * size)


class KernelMemory:
    """Kernel memory of all processors, kept in the order in which the machine consumes it.

    ``stream[p]`` is processor p's byte stream: byte i lies in column i // 9, and inside a column
    the least significant of its 72 bits come first. The bus delivers columns most significant
    byte first, in either of two ways: four words per 16-byte slot, the last of which commits the
    column; or, in a quadrant whose ``express`` flag is set, a column pointer (:meth:`point`)
    and then a big-endian byte stream, whatever the address inside the processor's window.
    ``version`` rises with every change of the content.
    """

    def __init__(self) -> None:
        self._bytes = bytearray([UNDEFINED_BYTE]) * (limits.PROCESSORS * STREAM_BYTES)
        flat: NDArray[np.uint8] = np.frombuffer(self._bytes, np.uint8)
        self.stream = flat.reshape(limits.PROCESSORS, STREAM_BYTES)
        self.loaded = np.zeros((limits.PROCESSORS, limits.KERNEL_COLUMNS), bool)
        self.express = [False] * limits.QUADRANTS
        self.version = 0
        self._latch = [[0] * _COLUMN_WORDS for _ in range(limits.PROCESSORS)]
        self._pending = [bytearray() for _ in range(limits.PROCESSORS)]
        self._pointer: list[int | None] = [None] * limits.PROCESSORS

    def read(self, quadrant: int, offset: int) -> tuple[int, bool]:
        """See :class:`Memory`; the layout is that of the plain path."""
        processor, column, word = self._slot(quadrant, offset)
        if column >= limits.KERNEL_COLUMNS:
            return 0, False
        start = column * limits.COLUMN_BYTES
        content = self.stream[processor, start : start + limits.COLUMN_BYTES][::-1].tobytes()
        part = (content[:1], content[1:5], content[5:], b"")[word]
        return int.from_bytes(part, "big"), bool(self.loaded[processor, column])

    def write(self, quadrant: int, offset: int, value: int) -> str:
        """See :class:`Memory`; the path depends on ``express``."""
        if self.express[quadrant]:
            processor = offset // addresses.KERNEL_STRIDE
            return self._push(quadrant * limits.PROCESSORS_PER_QUADRANT + processor, value)
        processor, column, word = self._slot(quadrant, offset)
        latch = self._latch[processor]
        latch[word] = value
        if word < _COLUMN_WORDS - 1:
            return ""
        content = b"".join(part.to_bytes(4, "big") for part in latch[:word])
        return self._commit(processor, column, content[-limits.COLUMN_BYTES :])

    def point(self, quadrant: int, offset: int) -> None:
        """Express path: the next byte goes to the top of column ``offset`` // 4 of the window."""
        processor, inside = divmod(offset, addresses.KERNEL_STRIDE)
        processor += quadrant * limits.PROCESSORS_PER_QUADRANT
        self._pointer[processor] = inside >> 2
        self._pending[processor].clear()

    def forget_pointers(self, quadrant: int) -> None:
        """Reset of the loading paths, not of the content."""
        self.express[quadrant] = False
        for processor in range(limits.PROCESSORS)[self._part(quadrant)]:
            self._pointer[processor] = None

    def lose(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.stream[self._part(quadrant)] = UNDEFINED_BYTE
        self.loaded[self._part(quadrant)] = False
        self.version += 1

    def zero(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.stream[self._part(quadrant)] = 0
        self.loaded[self._part(quadrant)] = True
        self.version += 1

    def _push(self, processor: int, value: int) -> str:
        """Four more bytes; those that do not fill a column (padding at the end) change nothing."""
        pointer = self._pointer[processor]
        if pointer is None:
            return f"express kernel word for processor {processor} without a column pointer"
        pending = self._pending[processor]
        pending += value.to_bytes(4, "big")
        if len(pending) < limits.COLUMN_BYTES:
            return ""
        content = bytes(pending[: limits.COLUMN_BYTES])
        del pending[: limits.COLUMN_BYTES]
        self._pointer[processor] = pointer + 1
        return self._commit(processor, pointer, content)

    def _commit(self, processor: int, column: int, content: bytes) -> str:
        if column >= limits.KERNEL_COLUMNS:
            return f"processor {processor} has no kernel column {column}"
        start = processor * STREAM_BYTES + column * limits.COLUMN_BYTES
        place = slice(start, start + limits.COLUMN_BYTES)
        if self._bytes[place] != content[::-1] or not self.loaded[processor, column]:
            self._bytes[place] = content[::-1]
            self.loaded[processor, column] = True
            self.version += 1
        return ""

    @staticmethod
    def _slot(quadrant: int, offset: int) -> tuple[int, int, int]:
        processor, inside = divmod(offset, addresses.KERNEL_STRIDE)
        column, byte = divmod(inside, addresses.KERNEL_COLUMN_STRIDE)
        return quadrant * limits.PROCESSORS_PER_QUADRANT + processor, column, byte >> 2

    @staticmethod
    def _part(quadrant: int) -> slice:
        first = quadrant * limits.PROCESSORS_PER_QUADRANT
        return slice(first, first + limits.PROCESSORS_PER_QUADRANT)


class NarrowMemory:
    """A memory of which each 32-bit bus slot holds ``bits`` bits (bias, line buffers).

    ``entries`` is the number of slots of a quadrant.
    """

    def __init__(self, entries: int, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self.values = np.full((limits.QUADRANTS, entries), UNDEFINED_WORD & self._mask, np.uint16)
        self.written = np.zeros((limits.QUADRANTS, entries), bool)

    def read(self, quadrant: int, offset: int) -> tuple[int, bool]:
        """See :class:`Memory`."""
        entry = offset >> 2
        return int(self.values[quadrant, entry]), bool(self.written[quadrant, entry])

    def write(self, quadrant: int, offset: int, value: int) -> str:
        """See :class:`Memory`; the upper bits of the word do not exist."""
        self.values[quadrant, offset >> 2] = value & self._mask
        self.written[quadrant, offset >> 2] = True
        return ""

    def lose(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.values[quadrant] = UNDEFINED_WORD & self._mask
        self.written[quadrant] = False

    def zero(self, quadrant: int) -> None:
        """See :class:`Memory`."""
        self.values[quadrant] = 0
        self.written[quadrant] = True
