"""The Image: every word that must be in the accelerator to run a network, and what comes out.

Pure data. It is read by code generation, by the accelerator model (as bus writes) and by the
known-answer test, so that all three use the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Write:
    """One 32-bit bus write."""

    address: int
    value: int
    comment: str = ""


@dataclass(frozen=True, eq=False)
class KernelBlock:
    """Consecutive 72-bit columns of one processor's kernel memory.

    ``columns`` is uint8 [n, 9], bytes B0 (most significant) to B8.
    """

    processor: int
    column: int
    columns: npt.NDArray[np.uint8]

    def express_words(self) -> npt.NDArray[np.uint32]:
        """The block for the express loader: B0 ... B8, column after column, in big-endian words."""
        stream = np.ascontiguousarray(self.columns, np.uint8).reshape(-1)
        padded = np.concatenate([stream, np.zeros(-len(stream) % 4, np.uint8)])
        return padded.view(">u4").astype(np.uint32)


@dataclass(frozen=True)
class InputRun:
    """How one data-memory instance (HWC) or one channel (CHW) is filled from an int8 input.

    The input is channel-planar: byte ``c * pixels + p`` is pixel p (row-major) of channel c.

    HWC: the word of pixel p is at ``address + 4 * step * p``; its byte lane ``lane + i`` holds
    channel ``channel + i`` for i < ``channels``, other lanes are 0. ``channels`` may be 0:
    the words of a last pass that has fewer channels are set to 0.
    CHW (``planar``): word w at ``address + 4 * w`` holds pixels 4w...4w+3 of ``channel``,
    little-endian, the last word filled with zeros.
    """

    address: int
    channel: int
    channels: int
    lane: int
    step: int
    pixels: int
    planar: bool = False


@dataclass(frozen=True)
class OutputRun:
    """How one output channel is read back.

    Value p of the channel is at ``address + 4 * step * p``: the whole word for ``width`` 32, the
    signed byte ``lane`` of it for ``width`` 8. The network's output is its runs one after another.
    """

    address: int
    lane: int
    step: int
    count: int
    width: int


@dataclass(frozen=True, eq=False)
class MemoryBlock:
    """Consecutive words; ``mask`` says which bits of each word count in a comparison."""

    address: int
    words: npt.NDArray[np.uint32]
    mask: int = 0xFFFF_FFFF


@dataclass(frozen=True, eq=False)
class Image:
    """Everything the accelerator needs for one network.

    Attributes:
        name: the network's name.
        quadrants: used quadrants, in ascending order; the first is the master.
        init: control writes before anything is loaded (also selects express kernel loading).
        kernels: kernel memory contents.
        bias: four arrays of bias entries (int8), one per quadrant; empty where none is used.
        configure: per-layer registers.
        start: control writes that start a run, in order; the last one lets it go.
        input_runs: how an input gets into data memory; empty where FIFOs deliver it.
        fifo_runs: what each FIFO delivers, in the order of the writes: after ``start``, one word
            of every run in turn. ``address`` is the FIFO's data register, ``step`` 0.
        output_runs: how the output comes out of it.
        sample_input: int8 [*input_shape], the known-answer test's input.
        expected: the sample's expected output as memory words, with the bits that count.
        expected_output: the same as values, int64 [n], in the order of ``output_runs``.
        clear: writes of 0 to what is kept between inferences, before the first one.
        layer_cycles: estimated accelerator cycles of each layer, by name.
    """

    name: str
    quadrants: tuple[int, ...]
    init: tuple[Write, ...]
    kernels: tuple[KernelBlock, ...]
    bias: tuple[npt.NDArray[np.int8], ...]
    configure: tuple[Write, ...]
    start: tuple[Write, ...]
    input_runs: tuple[InputRun, ...]
    output_runs: tuple[OutputRun, ...]
    sample_input: npt.NDArray[np.int8]
    expected: tuple[MemoryBlock, ...]
    expected_output: npt.NDArray[np.int64]
    layer_cycles: dict[str, int]
    fifo_runs: tuple[InputRun, ...] = ()
    clear: tuple[Write, ...] = ()
