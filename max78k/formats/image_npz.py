"""An Image as plain arrays, so that any other model of the chip can replay it.

Arrays of the ``.npz`` file (addresses are bus addresses, all words little-endian 32 bits):

* ``ev_fn, ev_op, ev_addr, ev_val, ev_mask``: accesses in order. ``ev_fn`` indexes ``functions`` of
  ``meta``, ``ev_op`` is 0 for a write and 5 for the copy of a block (``ev_val`` counts the blocks:
  first the biases in the order of the quadrants, then the input's).
* ``kern_block_addr, kern_block_len, kern_bytes``: address and number of the 72-bit columns of each
  block of kernel memory, and all columns one after another, most significant byte first. They are
  in place before the function ``cnn_load_bias``.
* ``bias_q0`` ... ``bias_q3``: bias entries of the quadrants that have some.
* ``in_addr, in_len, in_words``: the sample input, as blocks of consecutive words.
* ``fifo_in_<n>``: where FIFOs deliver the input, the words of FIFO n; after ``cnn_start`` one word
  of each goes to its data register in turn, in the order of ``fifo_order`` of ``meta``.
* ``out_addr, out_mask, out_len, out_words``: the output that is expected in memory.
* ``ul_dst, ul_addr, ul_shift, ul_bytes``: byte ``ul_dst`` and on of the output buffer are
  ``ul_bytes`` bytes of the word at ``ul_addr``, shifted right by ``ul_shift``.
* ``input``, ``output``: the sample input and the expected output as values.
* ``meta``: UTF-8 JSON with the names of functions and operations and the bias addresses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from max78k.chip.addresses import CNN_FIFO, KERNEL_COLUMN_STRIDE, bias_memory, kernel_memory
from max78k.chip.cnn_registers import FIFO_DATA
from max78k.compiler.image import Image, InputRun, Write
from max78k.compiler.memory import fifo_words
from max78k.files import atomic_write

_WRITE, _COPY = 0, 5
_FUNCTIONS = ("cnn_init", "cnn_load_bias", "cnn_configure", "load_input", "cnn_start")
_ALL = 0xFFFF_FFFF

Words = npt.NDArray[np.uint32]
Arrays = dict[str, npt.NDArray[Any]]


def write_image(image: Image, path: Path) -> None:
    """Write ``image`` as an ``.npz`` file (no pickles; whole or not at all)."""
    arrays = image_arrays(image)
    with atomic_write(Path(path)) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def image_arrays(image: Image) -> Arrays:
    """The arrays that :func:`write_image` stores, by name."""
    biases = {q: entries for q, entries in enumerate(image.bias) if entries.size}
    blocks = input_blocks(image.input_runs, image.sample_input)
    arrays: Arrays = {f"bias_q{q}": entries.view(np.uint8) for q, entries in biases.items()}
    arrays.update(_events(image, list(biases), [address for address, _ in blocks]))
    arrays.update(_kernels(image))
    arrays.update(_blocks("in", blocks))
    ports = fifo_words(image.fifo_runs, image.sample_input)
    numbers = {address: _fifo_number(address) for address, _ in ports}
    arrays.update({f"fifo_in_{numbers[address]}": words for address, words in ports})
    expected = [(block.address, block.words) for block in image.expected]
    arrays.update(_blocks("out", expected))
    arrays["out_mask"] = np.array([block.mask for block in image.expected], np.uint32)
    arrays.update(_unload(image))
    arrays["input"] = image.sample_input
    arrays["output"] = image.expected_output
    meta = {
        "name": image.name,
        "functions": list(_FUNCTIONS),
        "ev_ops": {str(_WRITE): "write", str(_COPY): "block copy (val=index into blocks)"},
        "bias_addr": {str(q): bias_memory(q) for q in biases},
        "quadrants": list(image.quadrants),
        "fifo_order": [{"addr": address, "fifo": numbers[address]} for address, _ in ports],
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    return arrays


def _fifo_number(address: int) -> int:
    """The standard FIFO at a data register; the fast one feeds quadrant 0."""
    offsets = [register.offset for register in FIFO_DATA]
    offset = address - CNN_FIFO
    return offsets.index(offset) if offset in offsets else 0


def input_blocks(runs: Sequence[InputRun], sample: npt.NDArray[np.int8]) -> list[tuple[int, Words]]:
    """Memory words that hold an int8 input: (address, consecutive words), ascending."""
    words: dict[int, int] = {}
    for run in runs:
        values = _planar(run, sample) if run.planar else _interleaved(run, sample)
        step = 4 if run.planar else 4 * run.step
        for index, value in enumerate(values.tolist()):
            address = run.address + step * index
            words[address] = words.get(address, 0) | value
    addresses = np.array(sorted(words), np.int64)
    values = np.array([words[address] for address in addresses.tolist()], np.uint32)
    cuts = np.flatnonzero(np.diff(addresses) != 4) + 1
    pieces = zip(np.split(addresses, cuts), np.split(values, cuts), strict=True)
    return [(int(piece[0]), part) for piece, part in pieces if len(piece)]


def _interleaved(run: InputRun, sample: npt.NDArray[np.int8]) -> Words:
    first = run.channel * run.pixels
    values = sample.reshape(-1)[first : first + run.channels * run.pixels]
    planes = values.reshape(run.channels, run.pixels)
    lanes = np.zeros((run.pixels, 4), np.uint8)
    lanes[:, run.lane : run.lane + run.channels] = planes.view(np.uint8).T
    return lanes.view("<u4").ravel().astype(np.uint32)


def _planar(run: InputRun, sample: npt.NDArray[np.int8]) -> Words:
    plane = sample.reshape(-1, run.pixels)[run.channel].view(np.uint8)
    padded = np.zeros(-(-run.pixels // 4) * 4, np.uint8)
    padded[: run.pixels] = plane
    return padded.view("<u4").astype(np.uint32)


def _events(image: Image, quadrants: list[int], inputs: list[int]) -> Arrays:
    rows: list[tuple[int, int, int, int, int]] = []

    def writes(function: str, items: Sequence[Write]) -> None:
        number = _FUNCTIONS.index(function)
        rows.extend((number, _WRITE, item.address, item.value, _ALL) for item in items)

    def copies(function: str, addresses: Sequence[int], first: int) -> None:
        number = _FUNCTIONS.index(function)
        rows.extend(
            (number, _COPY, address, block, 0) for block, address in enumerate(addresses, first)
        )

    writes("cnn_init", image.init)
    copies("cnn_load_bias", [bias_memory(q) for q in quadrants], 0)
    writes("cnn_configure", (*image.configure, *image.clear))
    copies("load_input", inputs, len(quadrants))
    writes("cnn_start", image.start)
    columns = np.array(rows, np.uint32).reshape(-1, 5).T
    names = ("ev_fn", "ev_op", "ev_addr", "ev_val", "ev_mask")
    types = (np.uint8, np.uint8, np.uint32, np.uint32, np.uint32)
    return {
        name: column.astype(kind) for name, column, kind in zip(names, columns, types, strict=True)
    }


def _kernels(image: Image) -> Arrays:
    addresses = [
        kernel_memory(block.processor) + block.column * KERNEL_COLUMN_STRIDE
        for block in image.kernels
    ]
    lengths = [len(block.columns) for block in image.kernels]
    columns = [np.zeros((0, 9), np.uint8), *(block.columns for block in image.kernels)]
    return {
        "kern_block_addr": np.array(addresses, np.uint32),
        "kern_block_len": np.array(lengths, np.uint32),
        "kern_bytes": np.concatenate(columns),
    }


def _blocks(prefix: str, blocks: Sequence[tuple[int, Words]]) -> Arrays:
    words = [np.zeros(0, np.uint32), *(part for _, part in blocks)]
    return {
        f"{prefix}_addr": np.array([address for address, _ in blocks], np.uint32),
        f"{prefix}_len": np.array([len(part) for _, part in blocks], np.uint32),
        f"{prefix}_words": np.concatenate(words).astype(np.uint32),
    }


def _unload(image: Image) -> Arrays:
    addresses, shifts, sizes = [], [], []
    for run in image.output_runs:
        wide = run.width == 32
        addresses.append(run.address + 4 * run.step * np.arange(run.count))
        shifts.append(np.full(run.count, 0 if wide else 8 * run.lane))
        sizes.append(np.full(run.count, 4 if wide else 1))
    size = np.concatenate([np.zeros(0, np.int64), *sizes])
    return {
        "ul_dst": (np.cumsum(size) - size).astype(np.uint32),
        "ul_addr": np.concatenate([np.zeros(0, np.int64), *addresses]).astype(np.uint32),
        "ul_shift": np.concatenate([np.zeros(0, np.int64), *shifts]).astype(np.uint8),
        "ul_bytes": size.astype(np.uint8),
    }
