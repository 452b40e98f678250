"""Registers of the blocks for signals and ciphers: SPI, ADC, I2S, 1-Wire, AES.

Sources as in :mod:`max78k.chip.mcu_registers`.
"""

from __future__ import annotations

from max78k.chip.registers import Field, Register


def _bits(names: str) -> tuple[Field, ...]:
    pairs = (item.split(":") for item in names.split())
    return tuple(Field(name, int(bit)) for name, bit in pairs)


# --- SPI0-1
_SPI_EVENTS = _bits(
    "TX_THD:0 TX_EM:1 RX_THD:2 RX_FULL:3 SSA:4 SSD:5 FAULT:8 ABORT:9 MST_DONE:11 TX_OV:12 TX_UN:13 "
    "RX_OV:14 RX_UN:15"
)
SPI_FIFO = Register("FIFO", 0x00, "Data, 1, 2 or 4 bytes")
SPI_CTRL0 = Register(
    "CTRL0",
    0x04,
    "Control",
    (*_bits("EN:0 MST_MODE:1 SS_IO:4 START:5 SS_CTRL:8"), Field("SS_ACTIVE", 16, 4)),
)
SPI_CTRL1 = Register(
    "CTRL1", 0x08, "Characters", (Field("TX_NUM_CHAR", 0, 16), Field("RX_NUM_CHAR", 16, 16))
)
SPI_CTRL2 = Register(
    "CTRL2",
    0x0C,
    "Format",
    (
        *_bits("CLKPHA:0 CLKPOL:1"),
        Field("NUMBITS", 8, 4, "bits of a character, 0: 16"),
        Field("DATA_WIDTH", 12, 2, "0 one line, 1 two, 2 four"),
        Field("THREE_WIRE", 15),
        Field("SS_POL", 16, 8, "1 where a select line is active high"),
    ),
)
SPI_CLKCTRL = Register(
    "CLKCTRL", 0x14, "Clock", (Field("LO", 0, 8), Field("HI", 8, 8), Field("CLKDIV", 16, 4))
)
SPI_DMA = Register(
    "DMA",
    0x1C,
    "FIFOs and DMA",
    (
        Field("TX_THD_VAL", 0, 5),
        *_bits("TX_FIFO_EN:6 TX_FLUSH:7"),
        Field("TX_LVL", 8, 6),
        Field("DMA_TX_EN", 15),
        Field("RX_THD_VAL", 16, 5),
        *_bits("RX_FIFO_EN:22 RX_FLUSH:23"),
        Field("RX_LVL", 24, 6),
        Field("DMA_RX_EN", 31),
    ),
)
SPI_INTFL = Register("INTFL", 0x20, "Flags, cleared by writing 1", _SPI_EVENTS)
SPI_INTEN = Register("INTEN", 0x24, "Interrupt enable", _SPI_EVENTS)
SPI_STAT = Register("STAT", 0x30, "Status", (Field("BUSY", 0),))
SPI_FIFO_BYTES = 32
DMA_REQUESTS_SPI_RX = (0x0F, 0x01)  # SPI0, SPI1
DMA_REQUESTS_SPI_TX = (0x2F, 0x21)

# --- ADC: 10 bits
ADC_CTRL = Register(
    "CTRL",
    0x00,
    "Control",
    (
        *_bits("START:0 PWR:1 REFBUF_PWR:3 REF_SEL:4 REF_SCALE:8 SCALE:9 CLK_EN:11"),
        Field("CH_SEL", 12, 5),
        Field("ADC_DIVSEL", 17, 2, "input divided by n + 1"),
        Field("DATA_ALIGN", 20),
    ),
)
ADC_STATUS = Register("STATUS", 0x04, "Status", _bits("ACTIVE:0 AFE_PWR_UP_ACTIVE:2 OVERFLOW:3"))
ADC_DATA = Register("DATA", 0x08, "Result", (Field("DATA", 0, 16),))
ADC_INTR = Register(
    "INTR",
    0x0C,
    "Enables, and flags that are cleared by writing 1",
    _bits(
        "DONE_IE:0 REF_READY_IE:1 HI_LIMIT_IE:2 LO_LIMIT_IE:3 OVERFLOW_IE:4 DONE_IF:16 "
        "REF_READY_IF:17 HI_LIMIT_IF:18 LO_LIMIT_IF:19 OVERFLOW_IF:20 PENDING:22"
    ),
)
ADC_LIMITS = tuple(
    Register(
        f"LIMIT{n}",
        0x10 + 4 * n,
        "Limits of a channel",
        (
            Field("LO_LIMIT", 0, 10),
            Field("HI_LIMIT", 12, 10),
            Field("CH_SEL", 24, 5),
            *_bits("LO_LIMIT_EN:29 HI_LIMIT_EN:30"),
        ),
    )
    for n in range(4)
)
ADC_REFERENCE_VOLTS = 1.22

# --- I2S
I2S_CTRL0 = Register(
    "CTRL0CH0",
    0x00,
    "Control",
    (
        *_bits("LSB_FIRST:1 PDM_FILT:2 PDM_EN:3 USEDDR:4 PDM_INV:5"),
        Field("CH_MODE", 6, 2),
        *_bits("WS_POL:8 MSB_LOC:9 ALIGN:10 EXT_SEL:11"),
        Field("STEREO", 12, 2, "0 stereo, 2 left, 3 right"),
        Field("WSIZE", 14, 2, "0 byte, 1 half-word, 2 word"),
        *_bits("TX_EN:16 RX_EN:17 FLUSH:18 RST:19 FIFO_LSB:20"),
        Field("RX_THD_VAL", 24, 8),
    ),
)
I2S_CTRL1 = Register(
    "CTRL1CH0",
    0x10,
    "Control",
    (
        Field("BITS_WORD", 0, 5),
        Field("EN", 8),
        Field("SMP_SIZE", 9, 5),
        Field("ADJUST", 15),
        Field("CLKDIV", 16, 16),
    ),
)
I2S_DMA = Register(
    "DMACH0",
    0x30,
    "FIFOs and DMA",
    (
        Field("TX_THD_VAL", 0, 7),
        Field("DMA_TX_EN", 7),
        Field("RX_THD_VAL", 8, 7),
        Field("DMA_RX_EN", 15),
        Field("TX_LVL", 16, 8),
        Field("RX_LVL", 24, 8),
    ),
)
I2S_FIFO = Register("FIFOCH0", 0x40, "Data")
_I2S_EVENTS = _bits("RX_OV:0 RX_THD:1 TX_OB:2 TX_HE:3")
I2S_INTFL = Register("INTFL", 0x50, "Flags, cleared by writing 1", _I2S_EVENTS)
I2S_INTEN = Register("INTEN", 0x54, "Interrupt enable", _I2S_EVENTS)
I2S_FIFO_WORDS = 8
I2S_CLOCK_HZ = 12_288_000  # the board's oscillator for audio
DMA_REQUEST_I2S_RX, DMA_REQUEST_I2S_TX = 0x1E, 0x3E

# --- OWM: 1-Wire master
OWM_CFG = Register("CFG", 0x00, "Control", _bits("SINGLE_BIT_MODE:5 OVERDRIVE:6"))
OWM_CTRL_STAT = Register(
    "CTRL_STAT", 0x08, "Reset and status", _bits("START_OW_RESET:0 OW_INPUT:3 PRESENCE_DETECT:7")
)
OWM_DATA = Register("DATA", 0x0C, "Data", (Field("TX_RX", 0, 8),))
_OWM_EVENTS = _bits(
    "OW_RESET_DONE:0 TX_DATA_EMPTY:1 RX_DATA_READY:2 LINE_SHORT:3 LINE_LOW:4"
)  # fmt: skip
OWM_INTFL = Register("INTFL", 0x10, "Flags, cleared by writing 1", _OWM_EVENTS)
OWM_INTEN = Register("INTEN", 0x14, "Interrupt enable", _OWM_EVENTS)

# --- AES
AES_CTRL = Register(
    "CTRL",
    0x00,
    "Control",
    (
        *_bits("EN:0 DMA_RX_EN:1 DMA_TX_EN:2 START:3 INPUT_FLUSH:4 OUTPUT_FLUSH:5"),
        Field("KEY_SIZE", 6, 2, "0: 128 bits, 1: 192, 2: 256"),
        Field("TYPE", 8, 2, "0 encrypt, 1 decrypt"),
    ),
)
AES_STATUS = Register(
    "STATUS", 0x04, "Status", _bits("BUSY:0 INPUT_EM:1 INPUT_FULL:2 OUTPUT_EM:3 OUTPUT_FULL:4")
)
_AES_EVENTS = _bits("DONE:0 KEY_CHANGE:1 KEY_ZERO:2 OV:3")
AES_INTFL = Register("INTFL", 0x08, "Flags, cleared by writing 1", _AES_EVENTS)
AES_INTEN = Register("INTEN", 0x0C, "Interrupt enable", _AES_EVENTS)
AES_FIFO = Register("FIFO", 0x10, "Data, the least significant word of a block first")
DMA_REQUEST_AES_RX, DMA_REQUEST_AES_TX = 0x10, 0x30
DMA_REQUEST_CRC_TX = 0x2C
