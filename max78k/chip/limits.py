"""Sizes and limits of the MAX78000 CNN accelerator.

Source of the figures: the vendor's public synthesizer documentation, "Limitations of MAX78000
Networks", and the register field widths in :mod:`max78k.chip.cnn_registers`.
"""

from __future__ import annotations

QUADRANTS = 4
PROCESSORS_PER_QUADRANT = 16
PROCESSORS = QUADRANTS * PROCESSORS_PER_QUADRANT
PROCESSORS_PER_INSTANCE = 4  # four processors share one data-memory instance, a byte lane each
INSTANCES = PROCESSORS // PROCESSORS_PER_INSTANCE

LAYERS = 32
STREAMING_LAYERS = 8
CHANNELS = 1024  # per layer, input or output
BIAS_CHANNELS = 512  # a layer's bias lies in one quadrant's bias memory
DIMENSION = 1023  # rows or columns: a 10-bit field holds dimension - 1 + 2 * pad
FRAME = 1 << 21  # width * height * input passes must stay below

INSTANCE_BYTES = 32 * 1024
INSTANCE_WORDS = INSTANCE_BYTES // 4
DATA_BYTES = INSTANCES * INSTANCE_BYTES

KERNEL_COLUMNS = 768  # per processor; one column holds 72 bits
COLUMN_BYTES = 9
KERNEL_BYTES = PROCESSORS * KERNEL_COLUMNS * COLUMN_BYTES  # 442,368
KERNEL_ALIGNMENT = 4  # columns; a layer's first column is a multiple of this

BIAS_BYTES_PER_QUADRANT = 512
BIAS_BYTES = QUADRANTS * BIAS_BYTES_PER_QUADRANT

LINE_ENTRY = 4095  # highest line-buffer entry at which a streaming layer may begin

WEIGHT_BITS = (1, 2, 4, 8)
SHIFT = 15  # total output shift lies in -15 ... +15
PADDING = 2
CONV2D_KERNELS = ((1, 1), (3, 3))
CONV1D_KERNEL = 9
FOLDED_KERNEL = 3  # taps of a 1-D kernel that is dilated further and run as a 3x3 one
FIFO_PLANES = 4  # CHW channels that the FIFOs feed, one each
FIFO_CHANNELS = 16  # HWC channels that the FIFOs feed, four each
POOL_SIZE = 16
POOL_STRIDE = 16
FLATTEN_STEPS = 256  # height * width * input passes of a flattened input
FLATTEN_INPUTS = 16384
ELTWISE_OPERANDS = 16
BIAS_UNIT = 128  # one bias step in accumulator units

CNN_CLOCK_HZ = 50_000_000  # PCLK with the core at 100 MHz, CNN clock divider 1
CORE_CLOCK_HZ = 100_000_000
