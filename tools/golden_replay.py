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
from max78k.simulator.accelerator import Accelerator

WRITE, OR, AND, WAIT, VERIFY, COPY, FILL = range(7)
_ALL_QUADRANTS = (1 << limits.QUADRANTS) - 1
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
    """One case, replayed access by access."""

    def __init__(self, folder: Path) -> None:
        self.outcome = Outcome(folder.name)
        self._meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
        with np.load(folder / "image.npz", allow_pickle=False) as archive:
            self._image: dict[str, NDArray[Any]] = dict(archive)
        self._model = Accelerator(self._found)
        self._model.on_start = self._started

    def run(self) -> Outcome:
        """Set up, load, start, complete and compare."""
        self._model.set_power(_ALL_QUADRANTS, _ALL_QUADRANTS, 0, 0)
        for name in _SETUP:
            self._events(name)
            if name == "cnn_load_weights":
                self._kernels()
        self._words("in")
        self._events("cnn_start")
        self._fifos()
        self._model.run()
        self._compare()
        return self.outcome

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
        model = self._model
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
        self._model.write(base + 4 * column + 1, 1, 1)
        content += bytes(-len(content) % 4)
        for offset in range(0, len(content), 4):
            self._model.write(base + offset, int.from_bytes(content[offset : offset + 4], "big"))

    def _plain(self, address: int, content: bytes) -> None:
        for start in range(0, len(content), limits.COLUMN_BYTES):
            column = content[start : start + limits.COLUMN_BYTES]
            parts = (column[:1], column[1:5], column[5:], b"")
            for n, part in enumerate(parts):
                self._model.write(address + 4 * n, int.from_bytes(part, "big"))
            address += addresses.KERNEL_COLUMN_STRIDE

    def _words(self, kind: str) -> None:
        for address, word in self._blocks(kind):
            self._model.write(address, word)

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
                self._model.write(port["addr"], word)

    def _compare(self) -> None:
        image = self._image
        if not self._model.interrupt:
            self._fail("the run did not end")
            return
        if self.outcome.cycles != self._meta["latency_total_est"]:
            expected = self._meta["latency_total_est"]
            self._fail(f"{self.outcome.cycles} cycles, expected {expected}")
        masks = np.repeat(image["out_mask"], image["out_len"]).tolist()
        wrong = [
            (address, expected, self._model.read(address) & mask)
            for (address, expected), mask in zip(self._blocks("out"), masks, strict=True)
            if (self._model.read(address) ^ expected) & mask
        ]
        if wrong:
            address, expected, got = wrong[0]
            self._fail(
                f"{len(wrong)} of {len(masks)} words differ, first at 0x{address:08X}: "
                f"0x{got:08X}, expected 0x{expected:08X}"
            )


def replay(corpus: Path, names: Sequence[str]) -> Iterator[Outcome]:
    """Replay cases one after the other."""
    for name in names:
        yield Replay(corpus / name).run()
