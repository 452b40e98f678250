"""Run an Image on the accelerator model, with bus writes and reads alone, as firmware does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from max78k.chip import addresses, limits
from max78k.chip.cnn_registers import CTL
from max78k.codegen.output_places import OutputPlace, value_text
from max78k.compiler import memory
from max78k.compiler.image import Image, OutputRun
from max78k.errors import MismatchError
from max78k.simulator.accelerator import Accelerator

_ALL_QUADRANTS = (1 << limits.QUADRANTS) - 1
_RUN_BITS = CTL.pack(EN=1, IRQ=1)  # what an interrupt handler clears


class ImageRunner:
    """An accelerator model with one network loaded.

    ``findings`` collects what the model reports (reads of words that nobody wrote, and the like);
    ``cycles`` is its estimate for the last run.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.findings: list[str] = []
        self.cycles = 0
        self._accelerator = Accelerator(
            lambda text, address: self.findings.append(f"{text} (0x{address:08x})")
        )
        self._accelerator.on_start = self._started
        self._accelerator.set_power(_ALL_QUADRANTS, _ALL_QUADRANTS, 0, 0)
        self._load()

    def _started(self, cycles: int) -> None:
        self.cycles = cycles

    def _load(self) -> None:
        write = self._accelerator.write
        for access in self.image.init:
            write(access.address, access.value)
        for block in self.image.kernels:
            base = addresses.kernel_memory(block.processor)
            write(base + 4 * block.column + 1, 1, 1)  # express loader: set the column pointer
            for word in block.express_words():
                write(base, int(word))
        for quadrant, entries in enumerate(self.image.bias):
            base = addresses.bias_memory(quadrant)
            for index, entry in enumerate(entries.tolist()):
                write(base + 4 * index, entry & 0xFF)
        for access in (*self.image.configure, *self.image.clear):
            write(access.address, access.value)

    def infer(self, inputs: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
        """The network's output values for one input of its shape, int64 [values]."""
        inputs = np.ascontiguousarray(inputs, np.int8)
        for address, word in memory.input_words(self.image.input_runs, inputs).items():
            self._accelerator.write(address, word)
        for access in self.image.start:
            self._accelerator.write(access.address, access.value)
        self._feed(inputs)
        self._accelerator.run()
        words: dict[int, int] = {}  # four channels share a word, which is read once
        parts = [self._read(run, words) for run in self.image.output_runs]
        self._acknowledge()
        return np.concatenate(parts)

    def _feed(self, inputs: npt.NDArray[np.int8]) -> None:
        """One word for each FIFO in turn, until the frame is complete."""
        streams = memory.fifo_words(self.image.fifo_runs, inputs)
        ports = [port for port, _ in streams]
        for step in zip(*(words.tolist() for _, words in streams), strict=True):
            for port, word in zip(ports, step, strict=True):
                self._accelerator.write(port, word)

    def _read(self, run: OutputRun, words: dict[int, int]) -> npt.NDArray[np.int64]:
        places = [run.address + 4 * run.step * p for p in range(run.count)]
        for address in places:
            if address not in words:
                words[address] = self._accelerator.read(address)
        array = np.array([words[address] for address in places], np.uint32)
        if run.width == 8:
            lane = (array >> np.uint32(8 * run.lane)).astype(np.uint8)
            return np.asarray(lane.view(np.int8), np.int64)
        return np.asarray(array.view(np.int32), np.int64)

    def _acknowledge(self) -> None:
        for quadrant in self.image.quadrants:
            address = addresses.quadrant(quadrant)
            self._accelerator.write(address, self._accelerator.read(address) & ~_RUN_BITS)


def run_image(
    image: Image,
    inputs: npt.NDArray[np.int8],
    progress: Callable[[int], None] = lambda steps: None,
) -> npt.NDArray[np.int64]:
    """Outputs for many inputs, int64 [N, values]."""
    runner = ImageRunner(image)
    rows = []
    for one in inputs:
        rows.append(runner.infer(one))
        progress(1)
    return np.stack(rows)


def check_known_answer(image: Image, places: Sequence[OutputPlace] = ()) -> None:
    """Run the Image's sample; raises MismatchError where the output differs from the expected.

    ``places``, layer and channel of every output run, let the error name the first difference.
    """
    runner = ImageRunner(image)
    got = runner.infer(image.sample_input)
    wrong = np.flatnonzero(got != image.expected_output)
    if len(wrong):
        first = int(wrong[0])
        where = value_text(image, places, first) if places else f"value {first}"
        raise MismatchError(
            "E-KAT-MODEL",
            f"network {image.name}: {len(wrong)} of {len(got)} output values of the accelerator "
            f"model differ from the integer reference; first {where}: {int(got[first])}, "
            f"expected {int(image.expected_output[first])}.",
            "this is a fault of max78k's compiler or of its model: please report the network.",
        )
    if runner.findings:
        raise MismatchError(
            "E-KAT-FINDINGS",
            f"network {image.name}: the model reports {'; '.join(runner.findings[:5])}.",
            "this is a fault of max78k's compiler or of its model: please report the network.",
        )
