"""The data of a project for the vendor's SDK: ``weights.h``, ``sampledata.h``, ``sampleoutput.h``.

Each is a header of macros that stand for the content of an array.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses, limits
from max78k.chip import cnn_registers as cr
from max78k.codegen import c_text
from max78k.codegen.layer_lines import bias_parts, kernel_owners
from max78k.codegen.msdk_options import MsdkOptions
from max78k.codegen.msdk_text import layer_comments, title
from max78k.codegen.output_places import block_text, output_places
from max78k.compiler.image import Image, InputRun, KernelBlock, MemoryBlock
from max78k.compiler.memory import input_words
from max78k.network import Network

_PER_LINE = 8
_GAP_WORDS = 16  # operands of an element-wise operation share a block: zeros go in between


@dataclass(frozen=True, eq=False)
class InputBlock:
    """Consecutive words of the sample input; ``name`` follows ``SAMPLE_INPUT_``.

    ``address`` is that of the first word, or of the data register of the FIFO that takes them all.
    """

    name: str
    address: int
    words: npt.NDArray[np.uint32]
    remark: str


def weights(image: Image, network: Network, options: MsdkOptions) -> str:
    """Text of ``weights.h``.

    ``KERNELS`` is a list of {address, number of words, words}, ended by 0. With express loading
    the address is kernel memory + 4 * column and the words are columns without gaps; otherwise it
    is that of the first column, of which each has three words.
    """
    lines = [*title(network, "Weights and biases"), *layer_comments(image, network), ""]
    lines += ["#ifndef WEIGHTS_H", "#define WEIGHTS_H", ""]
    parts = [
        (f"{owner}processor {block.processor}, {len(block.columns)} columns from {block.column}",
         _kernel_words(block, options.express))
        for owner, block in zip(kernel_owners(image), image.kernels, strict=True)
    ]  # fmt: skip
    lines += [*_macro("KERNELS", [*parts, ("end", np.zeros(1, np.uint32))]), ""]
    for quadrant, entries in enumerate(image.bias):
        if len(entries):
            named = [
                (part.text(), entries[part.start : part.stop])
                for part in bias_parts(image, quadrant)
            ]
            lines += [*_bytes_macro(f"BIAS_{quadrant}", named), ""]
    return "\n".join([*lines, "#endif", ""])


def sample_data(image: Image, network: Network) -> str:
    """Text of ``sampledata.h``: the sample input as words of data memory."""
    lines = [*title(network, "Sample input"), "#ifndef SAMPLEDATA_H", "#define SAMPLEDATA_H", ""]
    for block in input_blocks(image):
        remark = f"{block.remark}, at {c_text.word(block.address)}"
        lines += [*_macro(f"SAMPLE_INPUT_{block.name}", [(remark, block.words)]), ""]
    return "\n".join([*lines, "#endif", ""])


def sample_output(image: Image, network: Network, most: int | None = None) -> str:
    """Text of ``sampleoutput.h``: what must be in memory after the sample, and what is where.

    ``SAMPLE_OUTPUT`` is a list of {address, mask, number of words, words}, ended by 0.
    ``SAMPLE_OUTPUT_MAP`` has a row per output channel: layer name, layer, channel, columns,
    address, values, words from one value to the next, first bit, bits. ``most`` words are compared,
    all if None.
    """
    places = output_places(network)
    lines = [*title(network, "Expected output"), "#ifndef SAMPLEOUTPUT_H"]
    lines += ["#define SAMPLEOUTPUT_H", ""]
    parts = []
    for block in _first_words(image, most):
        head = np.array([block.address, block.mask, len(block.words)], np.uint32)
        content = np.concatenate([head, block.words & np.uint32(block.mask)])
        parts.append((block_text(image, places, block), content))
    lines += [*_macro("SAMPLE_OUTPUT", [*parts, ("end", np.zeros(1, np.uint32))]), ""]
    rows = []
    for place, run in zip(places, image.output_runs, strict=True):
        bit = 0 if run.width == 32 else 8 * run.lane
        values = (
            c_text.string(place.layer), place.index, place.channel, place.columns,
            c_text.word(run.address), run.count, run.step, bit, run.width,
        )  # fmt: skip
        rows.append("{" + ", ".join(map(str, values)) + "},")
    lines += [*_continued("SAMPLE_OUTPUT_MAP", rows), ""]
    return "\n".join([*lines, "#endif", ""])


def _first_words(image: Image, most: int | None) -> Iterator[MemoryBlock]:
    """The expected output in the order of its comparison, no more than ``most`` words of it."""
    left = output_words(image) if most is None else most
    for block in sorted(image.expected, key=lambda block: (block.mask, block.address)):
        if left > 0:
            yield replace(block, words=block.words[:left])
        left -= len(block.words)


def output_words(image: Image) -> int:
    """Words of memory that the sample's whole output takes."""
    return sum(len(block.words) for block in image.expected)


def constant_bytes(image: Image, options: MsdkOptions) -> int:
    """Bytes of flash that weights, biases, sample input and expected output take."""
    words = sum(len(_kernel_words(block, options.express)) for block in image.kernels)
    words += sum(len(block.words) for block in input_blocks(image))
    if options.check:
        words += min(output_words(image), options.checked_words or output_words(image))
    return 4 * words + sum(len(entries) for entries in image.bias)


def input_blocks(image: Image) -> list[InputBlock]:
    """The sample input as one block per FIFO, or per run of words in a data-memory instance."""
    if image.fifo_runs:
        return [_fifo_block(run, image.sample_input) for run in image.fifo_runs]
    words = input_words(image.input_runs, image.sample_input)
    blocks: list[InputBlock] = []
    used: set[str] = set()
    for run in _consecutive(sorted(words)):
        content = np.zeros((run[-1] - run[0]) // 4 + 1, np.uint32)
        for address in run:
            content[(address - run[0]) // 4] = words[address]
        processor = _first_processor(run[0])
        name = str(processor) if str(processor) not in used else f"{processor}_{run[0]:x}"
        used.add(name)
        blocks.append(InputBlock(name, run[0], content, _channels(image, run[0], run[-1])))
    return blocks


def fifo_number(register: int) -> int:
    """Number of the FIFO whose data register lies at an address."""
    return (register - addresses.CNN_FIFO - cr.FIFO_DATA[0].offset) // 4


def _fifo_block(run: InputRun, sample: npt.NDArray[np.int8]) -> InputBlock:
    """What one FIFO delivers, in order, as words of a memory that begins at 0."""
    words = input_words((replace(run, address=0, step=1),), sample)
    content = np.array([words[address] for address in sorted(words)], np.uint32)
    processor = fifo_number(run.address) * limits.PROCESSORS_PER_QUADRANT
    return InputBlock(str(processor), run.address, content, _channel_text([run]))


def _consecutive(ordered: Sequence[int]) -> Iterator[list[int]]:
    """Addresses in ascending order, cut at instance borders and at larger gaps."""
    part: list[int] = []
    for address in ordered:
        if part and (
            address - part[-1] > 4 * _GAP_WORDS
            or _first_processor(address) != _first_processor(part[-1])
        ):
            yield part
            part = []
        part.append(address)
    if part:
        yield part


def _first_processor(address: int) -> int:
    quadrant, inside = divmod(address - addresses.QUADRANT_BASE, addresses.QUADRANT_STRIDE)
    instance = (inside - addresses.DATA_OFFSET) // addresses.DATA_STRIDE
    per_instance = limits.PROCESSORS_PER_INSTANCE
    return int(quadrant * limits.PROCESSORS_PER_QUADRANT + instance * per_instance)


def _channels(image: Image, first: int, last: int) -> str:
    return _channel_text([run for run in image.input_runs if first <= run.address <= last])


def _channel_text(every: Sequence[InputRun]) -> str:
    runs = [run for run in every if run.channels]
    if not runs:
        return "no channel"
    low = min(run.channel for run in runs)
    high = max(run.channel + run.channels - 1 for run in runs)
    return f"channel {low}" if low == high else f"channels {low} to {high}"


def _kernel_words(block: KernelBlock, express: bool) -> npt.NDArray[np.uint32]:
    base = addresses.kernel_memory(block.processor)
    if express:
        address, content = base + 4 * block.column, block.express_words()
    else:
        address = base + addresses.KERNEL_COLUMN_STRIDE * block.column
        padded = np.zeros((len(block.columns), 12), np.uint8)
        padded[:, 3:] = block.columns
        content = padded.reshape(-1).view(">u4").astype(np.uint32)
    return np.concatenate([np.array([address, len(content)], np.uint32), content])


def _macro(name: str, parts: Iterable[tuple[str, npt.NDArray[np.uint32]]]) -> list[str]:
    rows = []
    for remark, content in parts:
        rows.append(f"/* {c_text.comment(remark)} */")
        texts = [f"0x{value:08x}," for value in content.tolist()]
        rows += [" ".join(texts[n : n + _PER_LINE]) for n in range(0, len(texts), _PER_LINE)]
    return _continued(name, rows)


def _bytes_macro(name: str, parts: Iterable[tuple[str, npt.NDArray[np.int8]]]) -> list[str]:
    rows = []
    for remark, content in parts:
        rows.append(f"/* {c_text.comment(remark)} */")
        texts = [f"0x{value:02x}," for value in content.view(np.uint8).tolist()]
        rows += [" ".join(texts[n : n + 16]) for n in range(0, len(texts), 16)]
    return _continued(name, rows)


def _continued(name: str, rows: Sequence[str]) -> list[str]:
    """A macro for the content of an array, in braces."""
    return [f"#define {name} {{ \\", *(f"    {row} \\" for row in rows), "}"]
