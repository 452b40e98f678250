"""A small image made by hand: one layer, three channels in, two wide values out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from max78k.chip import addresses
from max78k.chip import cnn_registers as cr
from max78k.compiler.image import Image, InputRun, KernelBlock, MemoryBlock, OutputRun, Write


def tiny_image(**changes: object) -> Image:
    """Three 2x2 channels; the register values mean something, the kernels do not."""
    generator = np.random.default_rng(7)
    quadrant = addresses.quadrant(0)
    layer = [
        (cr.RCNT, cr.RCNT.pack(COUNT=3, PAD=1)),
        (cr.CCNT, cr.CCNT.pack(COUNT=3, PAD=1)),
        (cr.LCTL0, cr.LCTL0.pack(ALWAYS_5=1, MAX_POOL=1, GLOBAL_WPTR=1, WIDE=1)),
        (cr.EN, cr.EN.pack(PROCESSORS=7, KERNELS=7)),
    ]
    image = Image(
        name="tiny",
        quadrants=(0,),
        init=(Write(quadrant, cr.INIT_CTL, "quadrant 0"), Write(quadrant + 4, cr.SRAM_VALUE)),
        kernels=tuple(
            KernelBlock(processor, 4, generator.integers(0, 256, (3, 9), dtype=np.uint8))
            for processor in range(3)
        ),
        bias=(np.array([1, -2, 127, -128], np.int8), *(np.zeros(0, np.int8),) * 3),
        configure=tuple(
            Write(addresses.layer_register(0, register.offset, 0), value, f"conv: {register.doc}")
            for register, value in layer
        ),
        start=(Write(quadrant, cr.INIT_CTL | cr.CTL.pack(EN=1), "go"),),
        input_runs=(InputRun(addresses.data_memory(0), 0, 3, 0, 1, 4),),
        output_runs=tuple(
            OutputRun(addresses.data_memory(0) + 0x2000 + 4 * n, 0, 4, 1, 32) for n in range(2)
        ),
        sample_input=np.arange(-6, 6, dtype=np.int8).reshape(3, 2, 2),
        expected=(
            MemoryBlock(addresses.data_memory(0) + 0x2000, np.array([5, 2**32 - 9], np.uint32)),
        ),
        expected_output=np.array([5, -9], np.int64),
        layer_cycles={"conv": 1234},
    )
    return replace(image, **changes)
