"""Registers of the CNN accelerator: global control per quadrant, and the per-layer set.

Names are those used in the public discussion of the register map; the vendor does not document
all of them. Offsets are from the quadrant's base; a per-layer register of layer n lies 4 * n
bytes further.
"""

from __future__ import annotations

from max78k.chip.registers import Field, Register

CTL = Register(
    "CTL",
    0x000,
    "Control and status of a quadrant",
    (
        Field("EN", 0, doc="run enable; slave quadrants first, the master last"),
        Field("RDY_SEL", 1, 2, "memory wait states"),
        Field("CLK_EN", 3, doc="quadrant clock; set in every write"),
        Field("EXT_RDY", 4),
        Field("APBCLK", 7),
        Field("ONESHOT", 8, doc="stop after every layer"),
        Field("MASTER", 9, 2, "number of the master quadrant"),
        Field("EXT_SYNC", 11, doc="wait for / follow the master"),
        Field("IRQ", 12, doc="set at the end of a run; cleared by writing 0"),
        Field("AVG_ROUND", 13, doc="1: average pooling rounds, 0: truncates toward zero"),
        Field("STREAM", 14, doc="some layer is streaming"),
        Field("FIFO_EN", 15, doc="standard FIFO feeds the network"),
        Field("MLAT_EN", 16, doc="byte transposer read mode"),
        Field("MLAT_BYTE", 17, 2, "byte lane that the byte transposer collects"),
        Field("FIFO_STREAM", 19, doc="FIFO and streaming both in use"),
        Field("MEXPRESS", 20, doc="express kernel loading"),
        Field("SIMPLE1B", 21),
        Field("FASTFIFO_EN", 22, doc="fast FIFO feeds this quadrant"),
        Field("FIFO_GROUP", 23),
        Field("QUPAC", 31),
    ),
)
SRAM = Register("SRAM", 0x004, "SRAM control; fields are not public, 0x40E is always written")
SRAM_VALUE = 0x40E
LCNT_MAX = Register("LCNT_MAX", 0x008, "Layers to run", (Field("LAST", 0, 8), Field("FIRST", 8, 8)))
SRAM_TEST = Register("SRAM_TEST", 0x00C, "Built-in self test and zeroing of the memories")
IFRM = Register("IFRM", 0x990, "Input frame size in FIFO mode", (Field("SIZE", 0, 20),))
MLAT = Register("MLAT", 0x1000, "Byte transposer read port")

GLOBAL_REGISTERS = (CTL, SRAM, LCNT_MAX, SRAM_TEST, IFRM, MLAT)

_COUNT_FIELDS = (Field("COUNT", 0, 10, "dimension - 1 + 2 * pad"), Field("PAD", 16, 2))

RCNT = Register("RCNT", 0x010, "Rows", _COUNT_FIELDS)
CCNT = Register("CCNT", 0x090, "Columns", _COUNT_FIELDS)
ONED = Register(
    "ONED",
    0x110,
    "1-D kernels and element-wise operation",
    (
        Field("TIME_SLOTS", 0, 4, "time slots - 1 of a pass-through layer"),
        Field("BYTE_START", 4, 4, "kernel bytes to skip in the first column"),
        Field("LENGTH", 8, 4, "1-D kernel length; 1 for a 1x1 kernel or one pass-through operand"),
        Field("ONE_D", 12, doc="1-D convolution"),
        Field("ELTWISE", 13, doc="more than one operand"),
        Field("FUNCTION", 14, 2, "0 subtract, 1 add, 2 or, 3 exclusive or"),
        Field("POOL_FIRST", 16, doc="pool each operand before the element-wise operation"),
        Field("ELTWISE_CONV", 17, doc="a convolution follows the element-wise operation"),
        Field("OPERANDS", 18, 4, "operands - 1"),
    ),
)
PRCNT = Register("PRCNT", 0x190, "Pooling rows", (Field("SIZE", 0, 4, "rows - 1"),))
PCCNT = Register("PCCNT", 0x210, "Pooling columns", (Field("SIZE", 0, 4, "columns - 1"),))
STRIDE = Register("STRIDE", 0x290, "Stride", (Field("STRIDE", 0, 4, "stride - 1"),))
WPTR_BASE = Register(
    "WPTR_BASE",
    0x310,
    "SRAM write pointer",
    (Field("WORD", 0, 13), Field("INSTANCE", 13, 4, "data-memory instance 0-15")),
)
WPTR_TOFFS = Register("WPTR_TOFFS", 0x390, "Write pointer time slot offset")
WPTR_MOFFS = Register("WPTR_MOFFS", 0x410, "Write pointer mask offset")
WPTR_CHOFFS = Register("WPTR_CHOFFS", 0x490, "Write pointer multi-pass channel offset")
RPTR_BASE = Register("RPTR_BASE", 0x510, "SRAM read pointer, words")
LCTL0 = Register(
    "LCTL0",
    0x590,
    "Layer control",
    (
        Field("ALWAYS_5", 5, doc="set in every layer; meaning not public"),
        Field("BIG_DATA", 6, doc="CHW input"),
        Field("POOL", 7, doc="pooling enabled"),
        Field("MAX_POOL", 8, doc="1: maximum or no pooling, 0: average"),
        Field("RELU", 9),
        Field("GLOBAL_WPTR", 11, doc="one write pointer for all quadrants"),
        Field("SOURCES", 12, 4, "master only: quadrants whose sums the master adds"),
        Field("WIDE", 16, doc="32-bit output"),
    ),
)
MCNT = Register(
    "MCNT",
    0x610,
    "Kernel start and end, in eighths of a kernel slot",
    (Field("MAX", 0, 16), Field("START", 16, 16)),
)
TPTR = Register(
    "TPTR", 0x690, "Line buffer end and start", (Field("MAX", 0, 16), Field("START", 16, 16))
)
EN = Register(
    "EN",
    0x710,
    "Processor and kernel-memory enables",
    (Field("PROCESSORS", 0, 16), Field("KERNELS", 16, 16)),
)
POST = Register(
    "POST",
    0x790,
    "Post-processing",
    (
        Field("BIAS_START", 0, 12),
        Field("BIAS_EN", 12),
        Field("SHIFT", 13, 4, "amount"),
        Field("SHIFT_RIGHT", 17, doc="1: right, 0: left"),
        Field("FLATTEN_HIGH", 18, 4, "upper bits of the flatten step count - 1"),
        Field("WEIGHT_WIDTH", 22, 2, "0: 8 bits, 3: 4, 2: 2, 1: 1"),
        Field("TIME_SLOTS", 24, doc="pass-through"),
        Field("PASS_1X1", 25, doc="pass-through of one operand"),
        Field("ABS", 26),
        Field("FLATTEN", 27),
        Field("TRANSPOSED", 28),
    ),
)
STRM0 = Register("STRM0", 0x810, "Stream processing start", (Field("START", 0, 14),))
STRM1 = Register(
    "STRM1",
    0x890,
    "Stream processing delta",
    (Field("INVOL", 0, 4), Field("DELTA1", 4, 5), Field("DELTA2", 16, 12)),
)
FBUF = Register("FBUF", 0x910, "Stream buffer rollover, words", (Field("WORDS", 0, 17),))
LCTL1 = Register(
    "LCTL1",
    0xA10,
    "Layer control 2",
    (
        Field("INPUT_PASSES", 0, 4, "input passes - 1"),
        Field("OUTPUT_STEP", 4, 4, "words per output pixel - 1"),
        Field("LAST_SLOT", 8, 9, "highest output slot * weight bits"),
    ),
)

LAYER_REGISTERS = (
    RCNT, CCNT, ONED, PRCNT, PCCNT, STRIDE, WPTR_BASE, WPTR_TOFFS, WPTR_MOFFS, WPTR_CHOFFS,
    RPTR_BASE, LCTL0, MCNT, TPTR, EN, POST, STRM0, STRM1, FBUF, LCTL1,
)  # fmt: skip

WEIGHT_WIDTH_CODE = {8: 0, 4: 3, 2: 2, 1: 1}

INIT_CTL = CTL.pack(CLK_EN=1, MEXPRESS=1)

FIFO_CTL = Register(
    "FIFO_CTL",
    0x0,
    "FIFO control",
    (
        Field("FULL", 2, 5, "almost-full threshold"),
        Field("EMPTY", 7, 4, "almost-empty threshold"),
        Field("CPL", 11, doc="always set"),
        Field("ENABLE", 12, 4, "bit n: FIFO n"),
    ),
)
FIFO_THRESHOLD = 2
FAST_FIFO_CONTROL = 0xA0  # asynchronous, threshold 10
FIFO_STAT = Register("FIFO_STAT", 0x4, "bit n: FIFO n is full")
FIFO_DATA = tuple(Register(f"FIFO_DATA{n}", 0x8 + 4 * n, f"Data of FIFO {n}") for n in range(4))
