"""Registers of the blocks that move data or keep time beside the timers: DMA, I2C, camera, RTC.

Sources as in :mod:`max78k.chip.mcu_registers`.
"""

from __future__ import annotations

from max78k.chip.registers import Field, Register


def _bits(names: str) -> tuple[Field, ...]:
    pairs = (item.split(":") for item in names.split())
    return tuple(Field(name, int(bit)) for name, bit in pairs)


# --- DMA: four channels; the channel registers are offsets from the channel's base
DMA_CHANNELS = 4
DMA_INTEN = Register("INTEN", 0x00, "Interrupt enable, bit n is channel n")
DMA_INTFL = Register("INTFL", 0x04, "Interrupt pending, read only")
DMA_CHANNEL_BASE, DMA_CHANNEL_STRIDE = 0x100, 0x20
DMA_CTRL = Register(
    "CTRL",
    0x00,
    "Control",
    (
        *_bits("EN:0 RLDEN:1"),
        Field("PRI", 2, 2),
        Field("REQUEST", 4, 6, "0 memory to memory"),
        Field("TO_WAIT", 10),
        Field("TO_PER", 11, 3),
        Field("TO_CLKDIV", 14, 2),
        Field("SRCWD", 16, 2, "0 byte, 1 half-word, 2 word"),
        Field("SRCINC", 18),
        Field("DSTWD", 20, 2),
        Field("DSTINC", 22),
        Field("BURST", 24, 5, "bytes per request - 1"),
        *_bits("DIS_IE:30 CTZ_IE:31"),
    ),
)
DMA_STATUS = Register(
    "STATUS",
    0x04,
    "Status, flags cleared by writing 1",
    _bits("RUNNING:0 IPEND:1 CTZ:2 RLD:3 BUS_ERR:4 TO:6"),
)
DMA_SRC = Register("SRC", 0x08, "Source address")
DMA_DST = Register("DST", 0x0C, "Destination address")
DMA_CNT = Register("CNT", 0x10, "Bytes left", (Field("CNT", 0, 24),))
DMA_SRCRLD = Register("SRCRLD", 0x14, "Source to reload")
DMA_DSTRLD = Register("DSTRLD", 0x18, "Destination to reload")
DMA_CNTRLD = Register("CNTRLD", 0x1C, "Count to reload", (Field("CNT", 0, 24), Field("EN", 31)))
DMA_CHANNEL_REGISTERS = (
    DMA_CTRL, DMA_STATUS, DMA_SRC, DMA_DST, DMA_CNT, DMA_SRCRLD, DMA_DSTRLD, DMA_CNTRLD,
)  # fmt: skip
DMA_REQUEST_MEMORY = 0
DMA_REQUEST_PCIF = 0x0D
DMA_REQUESTS_UART_RX = (0x04, 0x05, 0x0E)  # UART0-2
DMA_REQUESTS_UART_TX = (0x24, 0x25, 0x2E)

# --- I2C0-2
_I2C_EVENTS = (
    *_bits(
        "DONE:0 IRXM:1 GC:2 ADDR_MATCH:3 RX_THD:4 TX_THD:5 STOP:6 ADDR_ACK:7 ARB_ERR:8 TO_ERR:9 "
        "ADDR_NACK_ERR:10 DATA_ERR:11 DNR_ERR:12 START_ERR:13 STOP_ERR:14 TX_LOCKOUT:15"
    ),
    Field("MAMI", 16, 6),
    *_bits("RD_ADDR:22 WR_ADDR:23"),
)
I2C_CTRL = Register(
    "CTRL",
    0x00,
    "Control",
    _bits(
        "EN:0 MST_MODE:1 GC_ADDR_EN:2 IRXM_EN:3 IRXM_ACK:4 SCL_OUT:6 SDA_OUT:7 SCL:8 SDA:9 "
        "BB_MODE:10 READ:11 CLKSTR_DIS:12 ONE_MST_MODE:13 HS_EN:15"
    ),
)
I2C_STATUS = Register(
    "STATUS", 0x04, "Status", _bits("BUSY:0 RX_EM:1 RX_FULL:2 TX_EM:3 TX_FULL:4 MST_BUSY:5")
)
I2C_INTFL0 = Register("INTFL0", 0x08, "Flags, cleared by writing 1", _I2C_EVENTS)
I2C_INTEN0 = Register("INTEN0", 0x0C, "Interrupt enable", _I2C_EVENTS)
I2C_INTFL1 = Register("INTFL1", 0x10, "Flags, cleared by writing 1", _bits("RX_OV:0 TX_UN:1"))
I2C_INTEN1 = Register("INTEN1", 0x14, "Interrupt enable", _bits("RX_OV:0 TX_UN:1"))
I2C_FIFOLEN = Register("FIFOLEN", 0x18, "FIFO sizes", (Field("RX", 0, 8), Field("TX", 8, 8)))
I2C_RXCTRL0 = Register(
    "RXCTRL0", 0x1C, "Receiver", (Field("DNR", 0), Field("FLUSH", 7), Field("THD", 8, 4))
)
I2C_RXCTRL1 = Register(
    "RXCTRL1", 0x20, "Receiver", (Field("CNT", 0, 8, "0: 256"), Field("LVL", 8, 4))
)
I2C_TXCTRL0 = Register("TXCTRL0", 0x24, "Transmitter", (Field("FLUSH", 7), Field("THD", 8, 4)))
I2C_TXCTRL1 = Register("TXCTRL1", 0x28, "Transmitter", (Field("LVL", 8, 4),))
I2C_FIFO = Register("FIFO", 0x2C, "Data", (Field("DATA", 0, 8),))
I2C_MSTCTRL = Register("MSTCTRL", 0x30, "Master", _bits("START:0 RESTART:1 STOP:2 EX_ADDR:7"))
I2C_CLKLO = Register("CLKLO", 0x34, "Clock low time - 1", (Field("LO", 0, 9),))
I2C_CLKHI = Register("CLKHI", 0x38, "Clock high time - 1", (Field("HI", 0, 9),))
I2C_REGISTERS = (
    I2C_CTRL, I2C_STATUS, I2C_INTFL0, I2C_INTEN0, I2C_FIFOLEN, I2C_RXCTRL0, I2C_RXCTRL1,
    I2C_TXCTRL0, I2C_TXCTRL1, I2C_FIFO, I2C_MSTCTRL, I2C_CLKLO, I2C_CLKHI,
)  # fmt: skip
I2C_FIFO_BYTES = 8

# --- PCIF: parallel camera
_PCIF_EVENTS = _bits("IMG_DONE:0 FIFO_FULL:1 FIFO_THRESH:2 FIFO_NOT_EMPTY:3")
PCIF_CTRL = Register(
    "CTRL",
    0x08,
    "Control",
    (
        Field("READ_MODE", 0, 2, "0 off, 1 single, 2 continuous"),
        Field("DATA_WIDTH", 2, 2, "0 8, 1 10, 2 12 bits"),
        Field("DS_TIMING_EN", 4),
        Field("FIFO_THRSH", 5, 5),
        Field("RX_DMA", 16),
        Field("RX_DMA_THRSH", 17, 4),
        *_bits("THREE_CH_EN:30 PCIF_SYS:31"),
    ),
)
PCIF_INT_EN = Register("INT_EN", 0x0C, "Interrupt enable", _PCIF_EVENTS)
PCIF_INT_FL = Register("INT_FL", 0x10, "Flags, cleared by writing 1", _PCIF_EVENTS)
PCIF_FIFO_DATA = Register("FIFO_DATA", 0x30, "One word of the picture")
PCIF_REGISTERS = (PCIF_CTRL, PCIF_INT_EN, PCIF_INT_FL, PCIF_FIFO_DATA)

# --- PTG: pulse trains; the registers of train 0 follow the enables
PTG_ENABLE = Register("ENABLE", 0x00, "Bit n starts train n")
PTG_RATE_LENGTH0 = Register(
    "RATE_LENGTH0",
    0x20,
    "Train 0",
    (Field("RATE", 0, 27, "peripheral clocks a step"), Field("MODE", 27, 5, "1: square wave")),
)
PTG_REGISTERS = (PTG_ENABLE, PTG_RATE_LENGTH0)

# --- RTC
RTC_SEC = Register("SEC", 0x00, "Seconds")
RTC_SSEC = Register("SSEC", 0x04, "Parts of a second", (Field("SSEC", 0, 12),))
RTC_TODA = Register("TODA", 0x08, "Time of day alarm", (Field("SEC", 0, 20),))
RTC_SSECA = Register("SSECA", 0x0C, "Start of the sub-second alarm's counter")
RTC_CTRL = Register(
    "CTRL",
    0x10,
    "Control",
    (
        *_bits("EN:0 ADE:1 ASE:2 BUSY:3 RDY:4 RDYE:5 ALDF:6 ALSF:7 SQE:8 ACRE:14 WE:15"),
        Field("FT", 9, 2),
    ),
)
RTC_SSEC_HZ = 4096

# --- WUT: wake-up timer (layout of the vendor's header)
WUT_CNT = Register("CNT", 0x00, "Count")
WUT_CMP = Register("CMP", 0x04, "Compare")
WUT_INTFL = Register("INTFL", 0x0C, "Interrupt flag, cleared by writing 1", _bits("IRQ:0"))
WUT_CTRL = Register(
    "CTRL",
    0x10,
    "Control",
    (
        Field("MODE", 0, 3, "0 one-shot, 1 continuous, 5 compare"),
        Field("PRES", 3, 3, "division by 2^n, low bits of n"),
        *_bits("POL:6 EN:7 PRES3:8"),
    ),
)

# --- CRC (layout of the vendor's header)
CRC_CTRL = Register(
    "CTRL", 0x00, "Control", _bits("EN:0 DMA_EN:1 MSB:2 BYTE_SWAP_IN:3 BYTE_SWAP_OUT:4 BUSY:16")
)
CRC_DATAIN = Register("DATAIN", 0x04, "Data in, 1, 2 or 4 bytes")
CRC_POLY = Register("POLY", 0x08, "Polynomial")
CRC_VAL = Register("VAL", 0x0C, "Remainder")

# --- SEMA
SEMA_COUNT = 8
SEMA_IRQ0 = Register("IRQ0", 0x40, "Interrupt of the M4", _bits("EN:0 CM4_IRQ:16"))
SEMA_STATUS = Register("STATUS", 0x100, "Which semaphores are taken")
