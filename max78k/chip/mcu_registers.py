"""Registers of the microcontroller's own blocks, as far as firmware and virtual board need them.

Offsets are from the block's base in :mod:`max78k.chip.addresses`. Sources: the vendor's public
2021 SDK header files and the open-source models of the part; where the SVD file differs from the
headers, the headers are right.
"""

from __future__ import annotations

from max78k.chip.registers import Field, Register


def _bits(names: str) -> tuple[Field, ...]:
    """One-bit fields written as ``NAME:bit NAME:bit ...``."""
    pairs = (item.split(":") for item in names.split())
    return tuple(Field(name, int(bit)) for name, bit in pairs)


# --- GCR: clocks, resets
GCR_SYSCTRL = Register(
    "SYSCTRL",
    0x00,
    "System control",
    (
        *_bits("BSTAPEN:1 FLASH_PAGE_FLIP:4 ICC0_FLUSH:6 ROMDONE:12 CCHK:13 SWD_DIS:14 CHKRES:15"),
        Field("OVR", 16, 2),
    ),
)
GCR_RST0 = Register(
    "RST0",
    0x04,
    "Reset of blocks: write 1, reads 1 while busy",
    _bits(
        "DMA:0 WDT0:1 GPIO0:2 GPIO1:3 TMR0:5 TMR1:6 TMR2:7 TMR3:8 UART0:11 UART1:12 SPI1:13 "
        "I2C0:16 RTC:17 SMPHR:22 TRNG:24 CNN:25 ADC:26 UART2:28 SOFT:29 PERIPH:30 SYS:31"
    ),
)
GCR_CLKCTRL = Register(
    "CLKCTRL",
    0x08,
    "Oscillators and system clock",
    (
        Field("SYSCLK_DIV", 6, 3, "division by 2^n"),
        Field("SYSCLK_SEL", 9, 3, "0 ISO, 3 INRO, 4 IPO, 5 IBRO, 6 ERTCO, 7 external"),
        *_bits(
            "SYSCLK_RDY:13 ERTCO_EN:17 ISO_EN:18 IPO_EN:19 IBRO_EN:20 IBRO_VS:21 ERTCO_RDY:25 "
            "ISO_RDY:26 IPO_RDY:27 IBRO_RDY:28 INRO_RDY:29"
        ),
    ),
)
GCR_PM = Register(
    "PM",
    0x0C,
    "Power mode",
    (
        Field("MODE", 0, 4, "0 active, 1 sleep, 2 standby, 4 backup, 8 LPM, 9 UPM, 10 power-down"),
        *_bits("GPIO_WE:4 RTC_WE:5 WUT_WE:7 AINCOMP_WE:9 ISO_PD:15 IPO_PD:16 IBRO_PD:17"),
    ),
)
GCR_PCLKDIV = Register(
    "PCLKDIV",
    0x18,
    "Peripheral clock dividers",
    (
        Field("ADCFRQ", 10, 3),
        Field("CNNCLKDIV", 14, 3, "0 /2, 1 /4, 2 /8, 3 /16, 4 /1"),
        Field("CNNCLKSEL", 17, 1, "0 PCLK, 1 ISO"),
    ),
)
GCR_PCLKDIS0 = Register(
    "PCLKDIS0",
    0x24,
    "1: clock of the block is off",
    _bits(
        "GPIO0:0 GPIO1:1 DMA:5 SPI1:6 UART0:9 UART1:10 I2C0:13 TMR0:15 TMR1:16 TMR2:17 TMR3:18 "
        "ADC:23 CNN:25 I2C1:28 PT:29"
    ),
)
GCR_MEMCTRL = Register(
    "MEMCTRL",
    0x28,
    "Memory control",
    (Field("FWS", 0, 3, "flash wait states, 5 after reset"), Field("SYSRAM0ECC", 16)),
)
GCR_MEMZ = Register(
    "MEMZ",
    0x2C,
    "Write 1 to zero a memory",
    _bits("RAM0:0 RAM1:1 RAM2:2 RAM3:3 RAM0ECC:4 ICC0:5 ICC1:6"),
)
GCR_SYSST = Register("SYSST", 0x40, "System status", (Field("ICELOCK", 0),))
GCR_RST1 = Register(
    "RST1",
    0x44,
    "Reset of blocks: write 1, reads 1 while busy",
    _bits("I2C1:0 PT:1 OWM:7 CRC:9 AES:10 SPI0:11 SMPHR:16 I2S:19 I2C2:20 DVS:24 SIMO:25 CPU1:31"),
)
GCR_PCLKDIS1 = Register(
    "PCLKDIS1",
    0x48,
    "1: clock of the block is off",
    _bits(
        "UART2:1 TRNG:2 SMPHR:9 OWM:13 CRC:14 AES:15 SPI0:16 PCIF:18 I2S:23 I2C2:24 WDT0:27 CPU1:31"
    ),
)
GCR_REVISION = Register("REVISION", 0x50, "Chip revision", (Field("REVISION", 0, 16),))
GCR_SYSIE = Register("SYSIE", 0x54, "System interrupt enable")
GCR_ECCERR = Register("ECCERR", 0x64, "Memory errors that could not be corrected")
GCR_ECCCED = Register("ECCCED", 0x68, "Memory errors that were corrected")
GCR_ECCIE = Register("ECCIE", 0x6C, "Memory error interrupt enable")
GCR_ECCADDR = Register("ECCADDR", 0x70, "Address of a memory error")
GCR_GPR = Register("GPR", 0x80, "General purpose")

GCR_REGISTERS = (
    GCR_SYSCTRL, GCR_RST0, GCR_CLKCTRL, GCR_PM, GCR_PCLKDIV, GCR_PCLKDIS0, GCR_MEMCTRL, GCR_MEMZ,
    GCR_SYSST, GCR_RST1, GCR_PCLKDIS1, GCR_REVISION, GCR_SYSIE, GCR_ECCERR, GCR_ECCCED, GCR_ECCIE,
    GCR_ECCADDR, GCR_GPR,
)  # fmt: skip

# Reset values as far as they are known from public models of the part.
GCR_RESET_VALUES = {
    "SYSCTRL": 0x0002_1002,
    "CLKCTRL": 0x3E14_0008,
    "PCLKDIS0": 0xFFFF_FFFF,
    "PCLKDIS1": 0xFFFF_FFFF,
    "MEMCTRL": 0x5,
    "REVISION": 0xA1,
}

# Values of CLKCTRL.SYSCLK_SEL, and the frequency behind each of them.
CLOCK_SOURCE_ISO = 0
CLOCK_SOURCE_INRO = 3
CLOCK_SOURCE_IPO = 4
CLOCK_SOURCE_IBRO = 5
CLOCK_SOURCE_ERTCO = 6
CLOCK_SOURCE_EXT = 7
ISO_HZ = 60_000_000
INRO_HZ = 8_000
IPO_HZ = 100_000_000
IBRO_HZ = 7_372_800
ERTCO_HZ = 32_768
CLOCK_SOURCE_HZ = {
    CLOCK_SOURCE_ISO: ISO_HZ,
    CLOCK_SOURCE_INRO: INRO_HZ,
    CLOCK_SOURCE_IPO: IPO_HZ,
    CLOCK_SOURCE_IBRO: IBRO_HZ,
    CLOCK_SOURCE_ERTCO: ERTCO_HZ,
}
PCLK_DIVISOR = 2  # the peripheral clock is the system clock divided by this

# Values of PCLKDIV.CNNCLKDIV, and the division each stands for.
CNN_CLOCK_DIVISOR = {0: 2, 1: 4, 2: 8, 3: 16, 4: 1}

# --- LPGCR: clocks and resets of the low-power peripherals
_LP_BLOCKS = _bits("GPIO2:0 WDT1:1 TMR4:2 TMR5:3 UART3:4 LPCOMP:6")
LPGCR_RST = Register("RST", 0x08, "Reset of blocks: write 1, reads 1 while busy", _LP_BLOCKS)
LPGCR_PCLKDIS = Register("PCLKDIS", 0x0C, "1: clock of the block is off", _LP_BLOCKS)

LPGCR_REGISTERS = (LPGCR_RST, LPGCR_PCLKDIS)

# --- GCFR: power of the CNN quadrants; bit n is quadrant n
GCFR_REG0 = Register("REG0", 0x0, "Power of the quadrants", (Field("POWER", 0, 4),))
GCFR_REG1 = Register("REG1", 0x4, "Power of the quadrants' memories", (Field("RAM_POWER", 0, 4),))
GCFR_REG2 = Register("REG2", 0x8, "Isolation of the quadrants", (Field("ISOLATION", 0, 4),))
GCFR_REG3 = Register("REG3", 0xC, "Reset of the quadrants", (Field("RESET", 0, 4),))

GCFR_REGISTERS = (GCFR_REG0, GCFR_REG1, GCFR_REG2, GCFR_REG3)

# --- ICC: instruction cache
ICC_INFO = Register("INFO", 0x000, "Cache identification")
ICC_SZ = Register("SZ", 0x004, "Sizes", (Field("CACHE", 0, 16), Field("MEMORY", 16, 16)))
ICC_CTRL = Register("CTRL", 0x100, "Control", (Field("EN", 0), Field("RDY", 16)))
ICC_INVALIDATE = Register("INVALIDATE", 0x700, "Any write invalidates the cache")

ICC_REGISTERS = (ICC_INFO, ICC_SZ, ICC_CTRL, ICC_INVALIDATE)

# --- UART0-2
_UART_EVENTS = _bits("RX_FERR:0 RX_PAR:1 CTS_EV:2 RX_OV:3 RX_THD:4 TX_HE:6")  # fmt: skip
UART_CTRL = Register(
    "CTRL",
    0x00,
    "Control",
    (
        Field("RX_THD_VAL", 0, 4, "receive threshold"),
        *_bits("PAR_EN:4 PAR_EO:5 PAR_MD:6 CTS_DIS:7 TX_FLUSH:8 RX_FLUSH:9"),
        Field("CHAR_SIZE", 10, 2, "3: 8 bits"),
        *_bits("STOPBITS:12 HFC_EN:13 RTSDC:14 BCLKEN:15"),
        Field("BCLKSRC", 16, 2, "0 PCLK, 1 external, 2 IBRO"),
        *_bits("DPFE_EN:18 BCLKRDY:19 UCAGM:20 FDM:21 DESM:22"),
    ),
)
UART_STATUS = Register(
    "STATUS",
    0x04,
    "Status",
    (
        *_bits("TX_BUSY:0 RX_BUSY:1 RX_EM:4 RX_FULL:5 TX_EM:6 TX_FULL:7"),
        Field("RX_LVL", 8, 4),
        Field("TX_LVL", 12, 4),
    ),
)
UART_INT_EN = Register("INT_EN", 0x08, "Interrupt enable", _UART_EVENTS)
UART_INT_FL = Register("INT_FL", 0x0C, "Interrupt flags, cleared by writing 1", _UART_EVENTS)
UART_CLKDIV = Register("CLKDIV", 0x10, "clock / baud, rounded", (Field("CLKDIV", 0, 20),))
UART_OSR = Register("OSR", 0x14, "Oversampling", (Field("OSR", 0, 3),))
UART_TXPEEK = Register("TXPEEK", 0x18, "Next byte to be sent", (Field("DATA", 0, 8),))
UART_PNR = Register("PNR", 0x1C, "Flow control pins", _bits("CTS:0 RTS:1"))
UART_FIFO = Register("FIFO", 0x20, "Data", (Field("DATA", 0, 8), Field("RX_PAR", 8)))
UART_DMA = Register(
    "DMA",
    0x30,
    "DMA",
    (
        Field("TX_THD_VAL", 0, 4),
        Field("TX_EN", 4),
        Field("RX_THD_VAL", 5, 4),
        Field("RX_EN", 9),
    ),
)
UART_WKEN = Register("WKEN", 0x34, "Wake-up enable", _bits("RX_NE:0 RX_FULL:1 RX_THD:2"))
UART_WKFL = Register("WKFL", 0x38, "Wake-up flags", _bits("RX_NE:0 RX_FULL:1 RX_THD:2"))

UART_REGISTERS = (
    UART_CTRL, UART_STATUS, UART_INT_EN, UART_INT_FL, UART_CLKDIV, UART_OSR, UART_TXPEEK, UART_PNR,
    UART_FIFO, UART_DMA, UART_WKEN, UART_WKFL,
)  # fmt: skip
UART_FIFO_BYTES = 8
UART_OVERSAMPLING = 5
UART_CLOCK_SOURCE_IBRO = 2

# --- TMR0-5
TMR_CNT = Register("CNT", 0x00, "Count")
TMR_CMP = Register("CMP", 0x04, "Compare")
TMR_PWM = Register("PWM", 0x08, "Pulse width or captured value")
TMR_INTFL = Register(
    "INTFL",
    0x0C,
    "Interrupt and handshake flags, cleared by writing 1",
    _bits("IRQ_A:0 WRDONE_A:8 WR_DIS_A:9 IRQ_B:16 WRDONE_B:24 WR_DIS_B:25"),
)
_TMR_CTRL0_HALF = (
    ("MODE", 0, 4, "0 one-shot, 1 continuous, 2 counter, 3 PWM, 4 capture, 5 compare"),
    ("CLKDIV", 4, 4, "division by 2^n, n at most 12"),
    ("POL", 8, 1, ""),
    ("PWMSYNC", 9, 1, ""),
    ("NOLHPOL", 10, 1, ""),
    ("NOLLPOL", 11, 1, ""),
    ("PWMCKBD", 12, 1, ""),
    ("RST", 13, 1, ""),
    ("CLKEN", 14, 1, ""),
    ("EN", 15, 1, ""),
)
TMR_CTRL0 = Register(
    "CTRL0",
    0x10,
    "Control",
    tuple(
        Field(f"{name}_{half}", lsb + shift, width, doc)
        for half, shift in (("A", 0), ("B", 16))
        for name, lsb, width, doc in _TMR_CTRL0_HALF
    ),
)
TMR_NOLCMP = Register("NOLCMP", 0x14, "Non-overlapping compare")
_TMR_CTRL1_HALF = (
    ("CLKSEL", 0, 2, "0 PCLK, 1 ISO, 2 IBRO, 3 ERTCO (TMR0-3)"),
    ("CLKEN", 2, 1, ""),
    ("CLKRDY", 3, 1, ""),
    ("EVENT_SEL", 4, 3, ""),
    ("NEGTRIG", 7, 1, ""),
    ("IE", 8, 1, ""),
    ("CAPEVENT_SEL", 9, 2, ""),
    ("SW_CAPEVENT", 11, 1, ""),
    ("WE", 12, 1, ""),
)
TMR_CTRL1 = Register(
    "CTRL1",
    0x18,
    "Control 1",
    (
        *(
            Field(f"{name}_{half}", lsb + shift, width, doc)
            for half, shift in (("A", 0), ("B", 16))
            for name, lsb, width, doc in _TMR_CTRL1_HALF
        ),
        *_bits("OUTEN_A:13 OUTBEN_A:14"),
        Field("CASCADE", 31, doc="both halves form one 32-bit timer"),
    ),
)
TMR_WKFL = Register("WKFL", 0x1C, "Wake-up flags", _bits("A:0 B:16"))

TMR_REGISTERS = (
    TMR_CNT, TMR_CMP, TMR_PWM, TMR_INTFL, TMR_CTRL0, TMR_NOLCMP, TMR_CTRL1, TMR_WKFL,
)  # fmt: skip
TMR_MODE_ONE_SHOT = 0
TMR_MODE_CONTINUOUS = 1

# --- GPIO0-2; bit n of a register is pin n
GPIO_REGISTERS = (
    Register("EN0", 0x00, "1: the pin is a GPIO, 0: an alternate function"),
    Register("EN0_SET", 0x04, "Set bits of EN0"),
    Register("EN0_CLR", 0x08, "Clear bits of EN0"),
    Register("OUTEN", 0x0C, "Output enable"),
    Register("OUTEN_SET", 0x10, "Set bits of OUTEN"),
    Register("OUTEN_CLR", 0x14, "Clear bits of OUTEN"),
    Register("OUT", 0x18, "Output level"),
    Register("OUT_SET", 0x1C, "Set bits of OUT"),
    Register("OUT_CLR", 0x20, "Clear bits of OUT"),
    Register("IN", 0x24, "Input level, read only"),
    Register("INTMODE", 0x28, "0 level, 1 edge"),
    Register("INTPOL", 0x2C, "Interrupt polarity"),
    Register("INEN", 0x30, "Input buffer enable"),
    Register("INTEN", 0x34, "Interrupt enable"),
    Register("INTEN_SET", 0x38, "Set bits of INTEN"),
    Register("INTEN_CLR", 0x3C, "Clear bits of INTEN"),
    Register("INTFL", 0x40, "Interrupt flags, read only"),
    Register("INTFL_CLR", 0x48, "Clear bits of INTFL"),
    Register("WKEN", 0x4C, "Wake-up enable"),
    Register("WKEN_SET", 0x50, "Set bits of WKEN"),
    Register("WKEN_CLR", 0x54, "Clear bits of WKEN"),
    Register("DUALEDGE", 0x5C, "Interrupt on both edges"),
    Register("PADCTRL0", 0x60, "Pull resistor, low bit"),
    Register("PADCTRL1", 0x64, "Pull resistor, high bit"),
    Register("EN1", 0x68, "Alternate function, low bit"),
    Register("EN1_SET", 0x6C, "Set bits of EN1"),
    Register("EN1_CLR", 0x70, "Clear bits of EN1"),
    Register("EN2", 0x74, "Alternate function, high bit"),
    Register("EN2_SET", 0x78, "Set bits of EN2"),
    Register("EN2_CLR", 0x7C, "Clear bits of EN2"),
    Register("HYSEN", 0xA8, "Input hysteresis"),
    Register("SRSEL", 0xAC, "Slew rate"),
    Register("DS0", 0xB0, "Drive strength, low bit"),
    Register("DS1", 0xB4, "Drive strength, high bit"),
    Register("PS", 0xB8, "Pull strength, 1 strong"),
    Register("VSSEL", 0xC0, "0: VDDIO (1.8 V), 1: VDDIOH (3.3 V)"),
)

# --- SIMO, PWRSEQ, MCR: supplies
_VREGO_FIELDS = (Field("SET", 0, 7), Field("RANGE", 7))
SIMO_VREGO_A = Register("VREGO_A", 0x04, "Output A", _VREGO_FIELDS)
SIMO_VREGO_B = Register("VREGO_B", 0x08, "Output B", _VREGO_FIELDS)
SIMO_VREGO_C = Register("VREGO_C", 0x0C, "Output C, the CNN's core", _VREGO_FIELDS)
SIMO_VREGO_D = Register("VREGO_D", 0x10, "Output D", _VREGO_FIELDS)
SIMO_BUCK_OUT_READY = Register(
    "BUCK_OUT_READY", 0x40, "Outputs in regulation", (Field("READY", 0, 4),)
)

SIMO_REGISTERS = (SIMO_VREGO_A, SIMO_VREGO_B, SIMO_VREGO_C, SIMO_VREGO_D, SIMO_BUCK_OUT_READY)
SIMO_VREGO_C_CNN = 0x43  # what the vendor's board support writes before the CNN is used

PWRSEQ_LPCN = Register(
    "LPCN",
    0x00,
    "Low-power control",
    (
        Field("RAMRET", 0, 4, "RAM retention"),
        *_bits("LPMCLKSEL:8 LPMFAST:9 BG_DIS:11 LPWKST_CLR:31"),
    ),
)
PWRSEQ_REGISTERS = (
    PWRSEQ_LPCN,
    Register("LPWKST0", 0x04, "Wake-up status, port 0"),
    Register("LPWKEN0", 0x08, "Wake-up enable, port 0"),
    Register("LPWKST1", 0x0C, "Wake-up status, port 1"),
    Register("LPWKEN1", 0x10, "Wake-up enable, port 1"),
    Register("LPWKST2", 0x14, "Wake-up status, port 2"),
    Register("LPWKEN2", 0x18, "Wake-up enable, port 2"),
    Register("LPWKST3", 0x1C, "Wake-up status, port 3"),
    Register("LPWKEN3", 0x20, "Wake-up enable, port 3"),
    Register("LPPWST", 0x30, "Wake-up status of the peripherals"),
    Register("LPPWEN", 0x34, "Wake-up enable of the peripherals"),
)

MCR_REGISTERS = (
    Register("ECCEN", 0x00, "Error correction of SRAM0", (Field("RAM0", 0),)),
    Register("IPO_MTRIM", 0x04, "Trim of the 100 MHz oscillator"),
    Register("OUTEN", 0x08, "Output enable", _bits("SQWOUT:0 PDOWN:1")),
    Register(
        "CTRL",
        0x10,
        "Control",
        _bits("INRO_EN:2 ERTCO_EN:3 SIMO_CLKSCL_EN:8 SIMO_RSTD:9"),
    ),
    Register(
        "GPIO3_CTRL",
        0x20,
        "Port 3",
        _bits("P30_DO:0 P30_OE:1 P30_PE:2 P30_IN:3 P31_DO:4 P31_OE:5 P31_PE:6 P31_IN:7"),
    ),
)

# --- TRNG
TRNG_CTRL = Register("CTRL", 0x0, "Control", _bits("RND_IE:1 KEYGEN:3 KEYWIPE:15"))
TRNG_STATUS = Register("STATUS", 0x4, "Status", (Field("RDY", 0),))
TRNG_DATA = Register("DATA", 0x8, "Random word; reading consumes it")

TRNG_REGISTERS = (TRNG_CTRL, TRNG_STATUS, TRNG_DATA)

# --- WDT0
WDT_CTRL = Register(
    "CTRL",
    0x0,
    "Control",
    (
        Field("INT_LATE_VAL", 0, 4, "2^(31 - n) clocks"),
        Field("RST_LATE_VAL", 4, 4, "2^(31 - n) clocks"),
        *_bits("EN:8 INT_LATE:9 INT_EN:10 RST_EN:11 INT_EARLY:12"),
        Field("INT_EARLY_VAL", 16, 4),
        Field("RST_EARLY_VAL", 20, 4),
        *_bits("CLKRDY_IE:27 CLKRDY:28 WIN_EN:29"),
        Field("RST_EARLY", 30, doc="the last reset came from feeding too early"),
        Field("RST_LATE", 31, doc="the last reset came from the watchdog's end"),
    ),
)
WDT_RST = Register("RST", 0x4, "Write 0xA5, then 0x5A", (Field("RESET", 0, 8),))
WDT_CLKSEL = Register("CLKSEL", 0x8, "Clock source", (Field("SOURCE", 0, 3),))
WDT_CNT = Register("CNT", 0xC, "Count, read only")

WDT_REGISTERS = (WDT_CTRL, WDT_RST, WDT_CLKSEL, WDT_CNT)

# --- FLC: flash controller
FLC_ADDR = Register("ADDR", 0x00, "Address to write or erase")
FLC_CLKDIV = Register("CLKDIV", 0x04, "System clock / 1 MHz", (Field("CLKDIV", 0, 8),))
FLC_CTRL = Register(
    "CTRL",
    0x08,
    "Control",
    (
        *_bits("WR:0 ME:1 PGE:2"),
        Field("WDTH", 4, doc="0: 128 bits"),
        Field("ERASE_CODE", 8, 8, "0x55 page, 0xAA all"),
        *_bits("PEND:24 LVE:25"),
        Field("UNLOCK", 28, 4, "2: unlocked"),
    ),
)
FLC_INTR = Register("INTR", 0x24, "Interrupts", _bits("DONE:0 AF:1 DONE_IE:8 AF_IE:9"))
FLC_DATA = tuple(Register(f"DATA{n}", 0x30 + 4 * n, f"Word {n} to write") for n in range(4))
FLC_ACTRL = Register("ACTRL", 0x40, "Access to the information block")

FLC_WELR = tuple(
    Register(f"WELR{n}", 0x80 + 8 * n, f"Bit n protects page {32 * n} + n until a reset")
    for n in range(2)
)

FLC_REGISTERS = (FLC_ADDR, FLC_CLKDIV, FLC_CTRL, FLC_INTR, *FLC_DATA, FLC_ACTRL, *FLC_WELR)
FLC_RESET_VALUES = {"CLKDIV": 0x64}
