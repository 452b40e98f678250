"""AES: blocks are encrypted and decrypted with the key in the key registers (FIPS 197)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from max78k.chip import signal_registers as regs
from max78k.simulator.peripherals import Block

_CTRL = regs.AES_CTRL
_EN, _START = _CTRL.field("EN").mask, _CTRL.field("START").mask
_INPUT_FLUSH, _OUTPUT_FLUSH = _CTRL.field("INPUT_FLUSH").mask, _CTRL.field("OUTPUT_FLUSH").mask
_FLAG = {field.name: field.mask for field in regs.AES_INTFL.fields}
_BLOCK_WORDS = 4


def _times(a: int, b: int) -> int:
    """Product of two bytes in the field of AES."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _substitutions() -> tuple[bytes, bytes]:
    forward = bytearray(256)
    for value in range(256):
        inverse = next((n for n in range(256) if _times(value, n) == 1), 0)
        word = inverse | inverse << 8
        forward[value] = (
            inverse ^ (word >> 7 ^ word >> 6 ^ word >> 5 ^ word >> 4) & 0xFF ^ 0x63
        )  # rotated left by 1 to 4
    backward = bytes(forward.index(value) for value in range(256))
    return bytes(forward), backward


class Cipher:
    """One key of 16, 24 or 32 bytes."""

    _tables: tuple[bytes, bytes] | None = None

    def __init__(self, key: bytes) -> None:
        if Cipher._tables is None:
            Cipher._tables = _substitutions()
        self._forward, self._backward = Cipher._tables
        self._keys = self._expand(key)

    def _expand(self, key: bytes) -> list[bytes]:
        size, constant = len(key) // 4, 1
        words = [key[4 * n : 4 * n + 4] for n in range(size)]
        while len(words) < 4 * (size + 7):
            word = words[-1]
            if len(words) % size == 0:
                turned = (word[1:] + word[:1]).translate(self._forward)
                word = bytes([turned[0] ^ constant]) + turned[1:]
                constant = _times(constant, 2)
            elif size > 6 and len(words) % size == 4:
                word = word.translate(self._forward)
            words.append(bytes(a ^ b for a, b in zip(word, words[-size], strict=True)))
        return [b"".join(words[n : n + 4]) for n in range(0, len(words), 4)]

    @staticmethod
    def _add(state: bytes, key: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(state, key, strict=True))

    @staticmethod
    def _mix(state: bytes, factors: tuple[int, int, int, int]) -> bytes:
        mixed = bytearray()
        for column in range(0, 16, 4):
            for row in range(4):
                value = 0
                for n in range(4):
                    value ^= _times(state[column + n], factors[(n - row) % 4])
                mixed.append(value)
        return bytes(mixed)

    def encrypt(self, block: bytes) -> bytes:
        """A block of 16 bytes."""
        state = self._add(block, self._keys[0])
        for key in self._keys[1:]:
            state = state.translate(self._forward)
            state = bytes(state[5 * n % 16] for n in range(16))  # shift of the rows
            if key is not self._keys[-1]:
                state = self._mix(state, (2, 3, 1, 1))
            state = self._add(state, key)
        return state

    def decrypt(self, block: bytes) -> bytes:
        """The reverse."""
        state = block
        for key in reversed(self._keys[1:]):
            state = self._add(state, key)
            if key is not self._keys[-1]:
                state = self._mix(state, (14, 11, 13, 9))
            state = bytes(state[13 * n % 16] for n in range(16))
            state = state.translate(self._backward)
        return self._add(state, self._keys[0])


class AesKeys(Block):
    """The key registers: the least significant word first."""

    def __init__(self) -> None:
        super().__init__("AES keys")

    def key(self, size: int) -> bytes:
        """The key of ``size`` bytes."""
        words = [self.words.get(4 * n, 0) for n in range(size // 4)]
        return b"".join(word.to_bytes(4, "big") for word in reversed(words))


class AesUnit(Block):
    """A block is done at once when its four words are there; the result is read in their order.

    Attributes:
        on_level: called when a FIFO's level has changed.
    """

    def __init__(self, keys: AesKeys, set_irq: Callable[[bool], None]) -> None:
        super().__init__("AES")
        self._keys = keys
        self._set_irq = set_irq
        self.on_level: Callable[[], None] = lambda: None
        self._in: list[int] = []
        self._out: deque[int] = deque()
        self.readers[regs.AES_FIFO.offset] = self._read_fifo
        self.readers[regs.AES_STATUS.offset] = self._status
        self.writers |= {
            _CTRL.offset: self._write_ctrl,
            regs.AES_FIFO.offset: self._write_fifo,
            regs.AES_INTFL.offset: self._clear_flags,
            regs.AES_INTEN.offset: self._write_enables,
        }

    def reset(self) -> None:
        """FIFOs empty."""
        super().reset()
        self._in.clear()
        self._out.clear()
        self._set_irq(False)

    def wants_receive_dma(self) -> bool:
        """Request line for words of a result."""
        fields = _CTRL.unpack(self.words.get(_CTRL.offset, 0))
        return bool(fields["DMA_RX_EN"] and self._out)

    def wants_transmit_dma(self) -> bool:
        """Request line for words of a block."""
        fields = _CTRL.unpack(self.words.get(_CTRL.offset, 0))
        return bool(fields["DMA_TX_EN"]) and not self._out

    def _status(self) -> int:
        return regs.AES_STATUS.pack(
            INPUT_EM=not self._in, OUTPUT_EM=not self._out, OUTPUT_FULL=len(self._out) >= 4
        )

    def _write_ctrl(self, value: int) -> None:
        if value & _INPUT_FLUSH:
            self._in.clear()
        if value & _OUTPUT_FLUSH:
            self._out.clear()
        self.words[_CTRL.offset] = value & ~(_START | _INPUT_FLUSH | _OUTPUT_FLUSH)
        if value & _START and self._in:
            self._in += [0] * (_BLOCK_WORDS - len(self._in))
            self._compute()
        self.on_level()

    def _write_fifo(self, value: int) -> None:
        if not self.words.get(_CTRL.offset, 0) & _EN:
            return
        self._in.append(value)
        if len(self._in) == _BLOCK_WORDS:
            self._compute()

    def _read_fifo(self) -> int:
        return self._out.popleft() if self._out else 0

    def _compute(self) -> None:
        fields = _CTRL.unpack(self.words[_CTRL.offset])
        cipher = Cipher(self._keys.key(16 + 8 * min(fields["KEY_SIZE"], 2)))
        block = b"".join(word.to_bytes(4, "big") for word in reversed(self._in))
        self._in.clear()
        result = cipher.decrypt(block) if fields["TYPE"] else cipher.encrypt(block)
        self._out.extend(int.from_bytes(result[n : n + 4], "big") for n in (12, 8, 4, 0))
        self.words[regs.AES_INTFL.offset] = self.words.get(regs.AES_INTFL.offset, 0) | _FLAG["DONE"]
        self._update_irq()
        self.on_level()

    def _clear_flags(self, value: int) -> None:
        flags = self.words.get(regs.AES_INTFL.offset, 0) & ~value
        self.words[regs.AES_INTFL.offset] = flags
        self._update_irq()

    def _write_enables(self, value: int) -> None:
        self.words[regs.AES_INTEN.offset] = value
        self._update_irq()

    def _update_irq(self) -> None:
        words = self.words
        enables = words.get(regs.AES_INTEN.offset, 0)
        self._set_irq(bool(words.get(regs.AES_INTFL.offset, 0) & enables))
