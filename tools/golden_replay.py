"""Replay the recorded bus accesses of a case on the accelerator model, without our compiler."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.simulator.accelerator import Accelerator

WRITE, OR, AND, WAIT, VERIFY, COPY, FILL = range(7)
_TRANSPOSER_WRITE, _TRANSPOSER_READ = 0, 2
_ALL_QUADRANTS = (1 << limits.QUADRANTS) - 1
_STATUS = addresses.CNN_FIFO + cr.FIFO_STAT.offset
_FAST_STATUS = addresses.FAST_FIFO + 4
_SETUP = ("cnn_init", "cnn_load_weights", "cnn_load_bias", "cnn_configure")


@dataclass
class Outcome:
    """Result of one case: what differs (nothing if it passed), findings of the model, cycles."""

    case: str
    differences: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    cycles: int = 0

    @property
    def passed(self) -> bool:
        """Whether the output was as recorded."""
        return not self.differences


class Replay:
    """One case, replayed access by access on ``model``."""

    def __init__(self, folder: Path) -> None:
        self.outcome = Outcome(folder.name)
        self._meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
        with np.load(folder / "image.npz", allow_pickle=False) as archive:
            self._image: dict[str, NDArray[Any]] = dict(archive)
        self.model = Accelerator(self._found)
        self.model.on_start = self._started
        self._cycle = 0

    def run(self) -> Outcome:
        """Set up, load, start, complete and compare; then once more, held in between."""
        self.start()
        self.model.run()
        self._compare()
        if self.outcome.passed:
            self._again()
        return self.outcome

    def start(self) -> None:
        """Set up, load and start."""
        self.model.set_power(_ALL_QUADRANTS, _ALL_QUADRANTS, 0, 0)
        for name in _SETUP:
            self._events(name)
            if name == "cnn_load_weights":
                self._kernels()
        if "--verify-kernels" in self._meta["options"]:
            self._verify_kernels()
        self._words("in")
        self._events("cnn_start")
        self._fifos()

    def _again(self) -> None:
        """Acknowledge, start, stop and continue; FIFOs now have a clock and are polled."""
        self._events("CNN_ISR" if "CNN_ISR" in self._meta["functions"] else "__attribute__")
        if self.model.interrupt:
            self._fail("the interrupt handler does not clear the interrupt")
        self.model.runs.now = lambda: self._cycle
        self._words("in")
        self._events("cnn_start")
        self._events("cnn_stop")
        self.model.complete()
        if self.model.interrupt:
            self._fail("a run that was stopped has ended")
        self._events("cnn_continue")
        self._fifos()
        self.model.complete()
        self._compare()
        if "ml_op" in self._image:
            self._transpose()

    def _found(self, message: str, address: int) -> None:
        self.outcome.findings.append(f"{message} (0x{address:08X})")

    def _started(self, cycles: int) -> None:
        self.outcome.cycles = cycles

    def _fail(self, text: str) -> None:
        self.outcome.differences.append(text)

    def _events(self, function: str) -> None:
        image = self._image
        if function not in self._meta["functions"]:
            return
        chosen = image["ev_fn"] == self._meta["functions"].index(function)
        columns = (image[f"ev_{name}"][chosen].tolist() for name in ("op", "addr", "val", "mask"))
        for op, address, value, mask in zip(*columns, strict=True):
            self._event(op, address, value, mask)

    def _event(self, op: int, address: int, value: int, mask: int) -> None:
        model = self.model
        if op == WRITE:
            model.write(address, value)
        elif op == OR:
            model.write(address, model.read(address) | value)
        elif op == AND:
            model.write(address, model.read(address) & value)
        elif op in (WAIT, VERIFY):
            if model.read(address) & mask != value:
                self._fail(f"0x{address:08X} reads 0x{model.read(address):08X}, not 0x{value:08X}")
        elif op == FILL:
            for offset in range(0, mask, 4):
                model.write(address + offset, value)
        elif op == COPY and address in self._bias_blocks():
            for entry, byte in enumerate(self._bias_blocks()[address].tolist()):
                model.write(address + 4 * entry, byte)

    def _bias_blocks(self) -> dict[int, NDArray[Any]]:
        blocks = self._meta.get("bias_addr", {})
        return {address: self._image[f"bias_q{q}"] for q, address in blocks.items()}

    def _kernels(self) -> None:
        image = self._image
        if "kern_bytes" not in image:
            return
        express = self._meta["kernel_format"] == "mexpress"
        row = 0
        for address, columns in zip(
            image["kern_block_addr"].tolist(), image["kern_block_len"].tolist(), strict=True
        ):
            content = image["kern_bytes"][row : row + columns].tobytes()
            row += columns
            if express:
                self._express(address, content)
            else:
                self._plain(address, content)

    def _express(self, address: int, content: bytes) -> None:
        """``address`` is that of the block's first column on the plain path."""
        base = address & -addresses.KERNEL_STRIDE
        column = (address - base) // addresses.KERNEL_COLUMN_STRIDE
        self.model.write(base + 4 * column + 1, 1, 1)
        content += bytes(-len(content) % 4)
        for offset in range(0, len(content), 4):
            self.model.write(base + offset, int.from_bytes(content[offset : offset + 4], "big"))

    def _plain(self, address: int, content: bytes) -> None:
        for start in range(0, len(content), limits.COLUMN_BYTES):
            column = content[start : start + limits.COLUMN_BYTES]
            parts = (column[:1], column[1:5], column[5:], b"")
            for n, part in enumerate(parts):
                self.model.write(address + 4 * n, int.from_bytes(part, "big"))
            address += addresses.KERNEL_COLUMN_STRIDE

    def _verify_kernels(self) -> None:
        """Read the kernels back, in the layout of the plain path."""
        image, row = self._image, 0
        for address, columns in zip(
            image["kern_block_addr"].tolist(), image["kern_block_len"].tolist(), strict=True
        ):
            for column in range(columns):
                place = address + column * addresses.KERNEL_COLUMN_STRIDE
                words = [self.model.read(place + 4 * n) for n in range(3)]
                content = b"".join(word.to_bytes(4, "big") for word in words)[3:]
                if content != image["kern_bytes"][row].tobytes():
                    self._fail(f"the kernel at 0x{place:08X} reads back as {content.hex()}")
                row += 1

    def _transpose(self) -> None:
        """Unload through the byte transposer, channel by channel.

        The recorded pointers lack the place of the output; they are used where this is all that
        they lack: one output pass, pixel after pixel.
        """
        image = self._image
        lengths, lanes = set(image["out_len"].tolist()), limits.PROCESSORS_PER_INSTANCE
        if min(lengths) < lanes or len(lengths) > 1:
            return
        words = image["out_words"].astype("<u4").view(np.uint8)
        planes = words.reshape(len(image["out_addr"]), -1, lanes).transpose(0, 2, 1)
        channel, got = -1, list[int]()
        for op, address, value in zip(
            *(image[f"ml_{name}"].tolist() for name in ("op", "addr", "val")), strict=True
        ):
            if op != _TRANSPOSER_WRITE:
                word = self.model.read(address)
                got += [word] if op == _TRANSPOSER_READ else []
                full = 4 * len(got) == planes.shape[2]
                expected = planes[channel // lanes, channel % lanes].tobytes()
                if full and np.array(got, "<u4").tobytes() != expected:
                    self._fail(f"channel {channel} differs when read through the byte transposer")
                continue
            if address == addresses.layer_register(0, cr.WPTR_BASE.offset, 0):
                channel, got = channel + 1, []
                value += _pointer(int(image["out_addr"][channel // lanes]))
            self.model.write(address, value)

    def _words(self, kind: str) -> None:
        for address, word in self._blocks(kind):
            self.model.write(address, word)

    def _blocks(self, kind: str) -> Iterator[tuple[int, int]]:
        """Address and value of every word of ``in`` or ``out``."""
        image = self._image
        if f"{kind}_addr" not in image:
            return
        words = iter(image[f"{kind}_words"].tolist())
        for start, length in zip(
            image[f"{kind}_addr"].tolist(), image[f"{kind}_len"].tolist(), strict=True
        ):
            for n in range(length):
                yield start + 4 * n, next(words)

    def _fifos(self) -> None:
        order = self._meta.get("fifo_order", [])
        streams = [self._image[f"fifo_in_{port['fifo']}"].tolist() for port in order]
        for step in zip(*streams, strict=True):
            for port, word in zip(order, step, strict=True):
                while self._full():
                    self._cycle += max(1, self.model.runs.cycles_to_room)
                self.model.write(port["addr"], word)

    def _full(self) -> bool:
        """Whether a FIFO that software has to wait for is full."""
        fast = self._meta["fifo_order"][0]["addr"] == addresses.FAST_FIFO_DATA
        return bool(self.model.read(_FAST_STATUS if fast else _STATUS))

    def _compare(self) -> None:
        image = self._image
        if not self.model.interrupt:
            self._fail("the run did not end")
            return
        cycles, expected = self._cycle + self.outcome.cycles, self._meta["latency_total_est"]
        if cycles < expected or (cycles > expected and not self._cycle):
            self._fail(f"{cycles} cycles, expected {expected}")
        masks = np.repeat(image["out_mask"], image["out_len"]).tolist()
        wrong = [
            (address, expected, self.model.read(address) & mask)
            for (address, expected), mask in zip(self._blocks("out"), masks, strict=True)
            if (self.model.read(address) ^ expected) & mask
        ]
        if wrong:
            address, expected, got = wrong[0]
            self._fail(
                f"{len(wrong)} of {len(masks)} words differ, first at 0x{address:08X}: "
                f"0x{got:08X}, expected 0x{expected:08X}"
            )


def _pointer(address: int) -> int:
    """The 17-bit word address of a data word on the bus."""
    quadrant, inside = divmod(address - addresses.quadrant(0), addresses.QUADRANT_STRIDE)
    inside += quadrant * addresses.DATA_STRIDE * limits.INSTANCES // limits.QUADRANTS
    return (inside - addresses.DATA_OFFSET) // 4


def replay(corpus: Path, names: Sequence[str]) -> Iterator[Outcome]:
    """Replay cases one after the other."""
    for name in names:
        yield Replay(corpus / name).run()
