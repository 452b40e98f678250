"""Runs an Image on the register-level model of the accelerator, over its bus alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.chip import addresses
from max78k.compiler import memory
from max78k.compiler.image import Image
from max78k.simulator.accelerator import Accelerator

__all__ = ["load_kernels", "replace", "run"]


def run(image: Image) -> tuple[list[str], list[str]]:
    """(words that differ from the expected ones, what the model reports)."""
    reports: list[str] = []
    chip = Accelerator(lambda message, address: reports.append(f"{message} ({address:#x})"))
    mask = sum(1 << q for q in image.quadrants)
    chip.set_power(mask, mask, 0xF & ~mask, 0)
    for write in image.init:
        chip.write(write.address, write.value)
    for block in image.kernels:
        load_kernels(chip, block.processor, block.column, block.columns)
    for quadrant, entries in enumerate(image.bias):
        for index, value in enumerate(entries.tolist()):
            chip.write(addresses.bias_memory(quadrant) + 4 * index, value & 0xFF)
    for write in image.configure:
        chip.write(write.address, write.value)
    for address, word in memory.input_words(image.input_runs, image.sample_input).items():
        chip.write(address, word)
    for write in image.start:
        chip.write(write.address, write.value)
    chip.run()
    wrong = []
    for expected in image.expected:
        for number, word in enumerate(expected.words.tolist()):
            address = expected.address + 4 * number
            got = chip.read(address)
            if (got ^ word) & expected.mask:
                wrong.append(f"{address:#x}: {got:#x}, expected {word:#x} & {expected.mask:#x}")
    return wrong, reports


def load_kernels(chip: Accelerator, processor: int, column: int, columns: np.ndarray) -> None:
    """Express loading: point to the column, then a big-endian byte stream."""
    base = addresses.kernel_memory(processor)
    chip.write(base + 4 * column + 1, 1, 1)
    stream = columns.tobytes()
    stream += bytes(-len(stream) % 4)
    for number, word in enumerate(np.frombuffer(stream, ">u4").tolist()):
        chip.write(base + 4 * number, word)
