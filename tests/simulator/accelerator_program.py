"""Bus writes for single layers, made here by hand from the register facts, and what must come out.

Nothing is shared with the compiler or with the model: the writes follow the register description,
the expectation comes from plain loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from max78k.simulator.accelerator import Accelerator

IntArray = NDArray[np.int64]

QUADRANT, STEP = 0x5010_0000, 0x40_0000
RCNT, CCNT, ONED, PRCNT, PCCNT, STRIDE = 0x10, 0x90, 0x110, 0x190, 0x210, 0x290
WPTR, TOFFS, MOFFS, CHOFFS, RPTR, LCTL0 = 0x310, 0x390, 0x410, 0x490, 0x510, 0x590
MCNT, TPTR, EN, POST, STRM0, LCTL1 = 0x610, 0x690, 0x710, 0x790, 0x810, 0xA10
IFRM = 0x990
WIDTH_CODE = {8: 0, 4: 3, 2: 2, 1: 1}
OUT_WORD = 0x1000


def data_address(processor: int, word: int) -> int:
    """Bus address of a data word of the instance that serves ``processor``."""
    instance = processor // 4
    return 0x5040_0000 + instance // 4 * STEP + instance % 4 * 0x8000 + 4 * word


def kernel_address(processor: int) -> int:
    """Bus address of column 0."""
    return QUADRANT + processor // 16 * STEP + 0x8_0000 + processor % 16 * 0x4000


@dataclass
class Conv:
    """A convolution (or linear) layer, 1 x 1, 3 x 3 or 1-D (columns 1, any kernel height).

    ``x`` is (channels, rows, columns), ``weights`` (outputs, channels, kh, kw).
    """

    x: IntArray
    weights: IntArray
    bias: IntArray | None = None
    pad: int = 0
    pool: tuple[int, int] = (1, 1)
    stride: int = 1
    average: bool = False
    shift: int = 0
    relu: bool = False
    absolute: bool = False
    wide: bool = False
    bits: int = 8
    transposed: bool = False
    gap: int = 0
    flatten: bool = False
    big_data: bool = False
    number: int = 0

    @property
    def one_d(self) -> bool:
        """1-D convolution: everything in one column."""
        return self.x.shape[2] == 1 and self.weights.shape[2] > 1

    @property
    def passes(self) -> int:
        """Input passes of up to 64 channels."""
        return -(-len(self.x) // 64)

    @property
    def out_passes(self) -> int:
        """Output passes of up to 64 channels."""
        return 1 if self.flatten else -(-len(self.weights) // 64)

    def _per_pass(self, channels: int) -> int:
        passes = -(-channels // 64)
        share = -(-channels // passes)
        return share if passes == 1 else -(-share // 4) * 4

    @property
    def processors(self) -> list[int]:
        """Enabled processors: from 0, or the first of each group of four for CHW data."""
        count = self._per_pass(len(self.x))
        return [4 * n for n in range(count)] if self.big_data else list(range(count))

    @property
    def slots(self) -> int:
        """Output slots of a pass."""
        return len(self.weights) if self.flatten else self._per_pass(len(self.weights))

    @property
    def quadrants(self) -> list[int]:
        """Quadrants that take part."""
        return list(range(self.processors[-1] // 16 + 1))

    def kernels(self) -> dict[int, list[IntArray]]:
        """Kernels of each processor in the order in which the counter meets them."""
        share = self._per_pass(len(self.x))
        outputs, channels = self.weights.shape[:2]
        size = self.weights.shape[2] * self.weights.shape[3]
        result: dict[int, list[IntArray]] = {}
        for n, processor in enumerate(self.processors):
            found = result.setdefault(processor, [])
            if self.flatten:  # weights are (outputs, channels, rows, columns)
                for m in range(outputs):
                    found += [self.weights[m, n].reshape(-1)[i : i + 1] for i in range(size)]
                continue
            for m in range(self.slots * self.out_passes):
                for j in range(self.passes):
                    c = j * share + n
                    here = m < outputs and c < channels
                    found.append(
                        self.weights[m, c].reshape(-1) if here else np.zeros(size, np.int64)
                    )
        return result

    def columns(self, processor: int) -> list[bytes]:
        """Kernel memory from column 0: nine bytes each, most significant first."""
        stream = bytearray()
        lanes = 8 // self.bits
        found = self.kernels()[processor]
        for group in range(0, len(found), lanes):
            for tap in reversed(range(len(found[0]))):
                byte = 0
                for lane, kernel in enumerate(found[group : group + lanes]):
                    byte |= (int(kernel[tap]) & ((1 << self.bits) - 1)) << (lane * self.bits)
                stream.append(byte)
        stream += bytes(-len(stream) % 9)
        return [bytes(stream[i : i + 9][::-1]) for i in range(0, len(stream), 9)]

    def registers(self) -> dict[int, dict[int, int]]:
        """Words by quadrant and offset (of layer 0)."""
        _, rows, columns = self.x.shape
        kh, kw = self.weights.shape[2:]
        kernel_rows = kh if not self.flatten else 1
        count = len(self.kernels()[0])
        scale = 2 if self.transposed else 1
        pad_columns = 0 if self.one_d else self.pad
        pooled = (columns + self.stride - self.pool[1]) // self.stride * scale
        flat = self.flatten
        steps = rows * columns if flat else self.passes
        shared = {
            RCNT: 0 if flat else (scale * rows - 1 + 2 * self.pad) | self.pad << 16,
            CCNT: 0 if flat else (scale * columns - 1 + 2 * pad_columns) | pad_columns << 16,
            PRCNT: self.pool[0] - 1,
            PCCNT: self.pool[1] - 1,
            STRIDE: self.stride - 1,
            WPTR: OUT_WORD,
            MOFFS: 0x2000,
            CHOFFS: (4 if self.wide else 1) * (self.gap + 1) if self.out_passes > 1 else 0,
            MCNT: (count - 1) * self.bits,
            LCTL1: ((self.slots - 1) * self.bits) << 8
            | (self.out_passes * (self.gap + 1) - 1) << 4
            | (steps - 1) & 15,
        }
        if self.one_d:
            shared[ONED] = 1 << 12 | kernel_rows << 8
        elif kernel_rows == 1:
            shared[ONED] = 1 << 8
            shared[TOFFS] = 1
        else:
            shared[TPTR] = max(0, pooled + 2 * pad_columns - kw)
        lctl0 = 1 << 5 | self.big_data << 6 | (self.pool != (1, 1)) << 7 | (not self.average) << 8
        lctl0 |= self.relu << 9 | 1 << 11 | self.wide << 16
        post = abs(self.shift) << 13 | (self.shift < 0) << 17 | WIDTH_CODE[self.bits] << 22
        post |= self.absolute << 26 | self.transposed << 28
        if flat and steps > 16:
            post |= 1 << 27 | (steps - 1) >> 4 << 18
            shared[TPTR] = (steps - 1) << 16 | (2 * steps - 1)
        result = {}
        for q in self.quadrants:
            enabled = sum(1 << (p - 16 * q) for p in self.processors if p // 16 == q)
            result[q] = shared | {
                LCTL0: lctl0 | (sum(1 << t for t in self.quadrants[1:]) << 12 if q == 0 else 0),
                POST: post | (1 << 12 if q == 0 and self.bias is not None else 0),
                EN: enabled << 16 | enabled,
            }
        return result

    def expected(self) -> IntArray:
        """Output by plain loops: (outputs, rows, columns)."""
        x = pooled_by_loops(self.x, self.pool, self.stride, self.average)
        if self.flatten:
            x, weights = x.reshape(-1, 1, 1), self.weights.reshape(len(self.weights), -1, 1, 1)
        else:
            weights = self.weights
        before = after = self.pad
        if self.transposed:
            stuffed = np.zeros((len(x), 2 * x.shape[1] - 1, 2 * x.shape[2] - 1), np.int64)
            stuffed[:, ::2, ::2] = x
            x, after = stuffed, self.pad + 1
        across = (0, 0) if self.one_d else (before, after)
        x = np.pad(x, ((0, 0), (before, after), across))
        kh, kw = weights.shape[2:]
        rows, columns = x.shape[1] - kh + 1, x.shape[2] - kw + 1
        result = np.zeros((len(weights), rows, columns), np.int64)
        for m in range(len(weights)):
            for r in range(rows):
                for c in range(columns):
                    total = int((x[:, r : r + kh, c : c + kw] * weights[m]).sum())
                    total += 0 if self.bias is None else 128 * int(self.bias[m])
                    result[m, r, c] = total if self.wide else self._finish(total)
        return result

    def _finish(self, total: int) -> int:
        value = (total * 2 ** (self.shift + 15) + (1 << 21)) >> 22
        value = max(-128, min(127, value))
        if self.relu:
            return max(value, 0)
        return min(abs(value), 127) if self.absolute else value


def pooled_by_loops(
    x: IntArray, pool: tuple[int, int], stride: int, average: bool, rounding: bool = False
) -> IntArray:
    """Maximum or mean of every window."""
    rows = (x.shape[1] + stride - pool[0]) // stride
    columns = (x.shape[2] + stride - pool[1]) // stride
    result = np.zeros((len(x), rows, columns), np.int64)
    for index in np.ndindex(*result.shape):
        c, r, k = index
        part = x[c, r * stride : r * stride + pool[0], k * stride : k * stride + pool[1]]
        if average:
            exact = abs(int(part.sum())) / part.size
            size = int(exact + 0.5) if rounding else int(exact)
            result[index] = size if part.sum() >= 0 else -size
        else:
            result[index] = part.max()
    return result


class Board:
    """An accelerator with power, and the findings that it reported."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.model = Accelerator(lambda message, _address: self.findings.append(message))
        self.model.set_power(0xF, 0xF, 0, 0)

    def setup(self, quadrants: list[int], last_layer: int = 0, control: int = 0x10_0008) -> None:
        """Control registers before anything is loaded."""
        for q in quadrants:
            self.model.write(QUADRANT + q * STEP, control)
            self.model.write(QUADRANT + q * STEP + 8, last_layer)

    def load_columns(self, processor: int, columns: list[bytes], express: bool = True) -> None:
        """Kernel memory from column 0."""
        base = kernel_address(processor)
        if not express:
            for n, column in enumerate(columns):
                for word, part in enumerate((column[:1], column[1:5], column[5:], b"")):
                    self.model.write(base + 16 * n + 4 * word, int.from_bytes(part, "big"))
            return
        self.model.write(base + 1, 1, 1)
        content = b"".join(columns)
        content += bytes(-len(content) % 4)
        for i in range(0, len(content), 4):
            self.model.write(base + i, int.from_bytes(content[i : i + 4], "big"))

    def load_input(self, layer: Conv) -> None:
        """Data from word 0 of the instances: words of four channels, or bytes of one (CHW)."""
        channels, rows, columns = layer.x.shape
        pixels = layer.x.reshape(channels, -1)
        if layer.big_data:
            for processor, values in zip(layer.processors, pixels, strict=True):
                content = (values & 0xFF).astype(np.uint8).tobytes()
                content += bytes(-len(content) % 4)
                for i in range(0, len(content), 4):
                    word = int.from_bytes(content[i : i + 4], "little")
                    self.model.write(data_address(processor, i // 4), word)
            return
        share = len(layer.processors)
        for first in range(0, share, 4):
            for pixel in range(rows * columns):
                for j in range(layer.passes):
                    word = 0
                    for lane in range(4):
                        c = j * share + first + lane
                        if first + lane < share and c < channels:
                            word |= (int(pixels[c, pixel]) & 0xFF) << (8 * lane)
                    self.model.write(data_address(first, pixel * layer.passes + j), word)

    def load(self, layer: Conv, express: bool = True) -> None:
        """Kernels, bias, registers and input of a layer."""
        for processor in layer.processors:
            self.load_columns(processor, layer.columns(processor), express)
        for n, value in enumerate([] if layer.bias is None else layer.bias.tolist()):
            self.model.write(QUADRANT + 0x8000 + 4 * n, value & 0xFF)
        self.configure(layer.registers(), layer.number)
        self.load_input(layer)

    def configure(self, registers: dict[int, dict[int, int]], number: int = 0) -> None:
        """Layer registers."""
        for q, words in registers.items():
            for offset, value in words.items():
                self.model.write(QUADRANT + q * STEP + offset + 4 * number, value)

    def start(self, quadrants: list[int], control: int = 0x10_0008) -> None:
        """Slaves first, the master (0) last."""
        for q in quadrants:
            self.model.write(QUADRANT + q * STEP, control | 0x800 | (q != 0))
        self.model.write(QUADRANT, control | 1)

    def output(self, layer: Conv) -> IntArray:
        """What lies at the layer's output, as (outputs, rows, columns)."""
        shape = layer.expected().shape
        result = np.zeros(shape, np.int64)
        width = 4 if layer.wide else 1
        for m, pixel in np.ndindex(shape[0], shape[1] * shape[2]):
            output_pass, slot = divmod(m, layer.slots)
            word = (pixel * layer.out_passes + output_pass) * width * (layer.gap + 1)
            word += OUT_WORD + (slot % 4 if layer.wide else 0)
            value = self.model.read(data_address(slot, word))
            if layer.wide:
                value -= (value >> 31) << 32
            else:
                value = value >> (8 * (slot % 4)) & 0xFF
                value -= (value >> 7) << 8
            result[m].reshape(-1)[pixel] = value
        return result


def run(layer: Conv, express: bool = True, extra_control: int = 0) -> tuple[IntArray, Board]:
    """Run a layer on a fresh accelerator; its output and the board."""
    board = Board()
    control = (0x10_0008 if express else 8) | extra_control
    board.setup(layer.quadrants, control=control)
    board.load(layer, express)
    board.start(layer.quadrants, control)
    board.model.run()
    return board.output(layer), board


def values(seed: int, *shape: int, bits: int = 8) -> IntArray:
    """Random signed integers of ``bits`` bits."""
    half = 1 << (bits - 1)
    return np.random.default_rng(seed).integers(-half, half, shape)
