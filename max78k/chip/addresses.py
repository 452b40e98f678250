"""Address map of the MAX78000: memories, peripherals and the CNN accelerator's windows."""

from __future__ import annotations

from max78k.chip import limits

FLASH_BASE = 0x1000_0000
FLASH_BYTES = 512 * 1024
FLASH_PAGE_BYTES = 0x2000
SRAM_BASE = 0x2000_0000
SRAM_BYTES = 128 * 1024

GCR = 0x4000_0000
SIR = 0x4000_0400
FCR = 0x4000_0800
WDT0 = 0x4000_3000
SIMO = 0x4000_4400
TRIMSIR = 0x4000_5400
GCFR = 0x4000_5800  # power, RAM power, isolation and reset of the CNN quadrants
RTC = 0x4000_6000
AES = 0x4000_7400
AES_KEYS = 0x4000_7800
WUT = 0x4000_6400
PWRSEQ = 0x4000_6800
MCR = 0x4000_6C00
GPIO0 = 0x4000_8000
GPIO1 = 0x4000_9000
GPIO2 = 0x4008_0400
PCIF = 0x4000_E000
CRC = 0x4000_F000
TMR0 = 0x4001_0000
TMR1 = 0x4001_1000
TMR2 = 0x4001_2000
TMR3 = 0x4001_3000
I2C0 = 0x4001_D000
I2C1 = 0x4001_E000
I2C2 = 0x4001_F000
DMA = 0x4002_8000
FLC = 0x4002_9000
ICC0 = 0x4002_A000
ADC = 0x4003_4000
PTG = 0x4003_C000
OWM = 0x4003_D000
SEMA = 0x4003_E000
UART0 = 0x4004_2000
UART1 = 0x4004_3000
UART2 = 0x4004_4000
SPI1 = 0x4004_6000
TRNG = 0x4004_D000
I2S = 0x4006_0000
LPGCR = 0x4008_0000
WDT1 = 0x4008_0800
TMR4 = 0x4008_0C00
TMR5 = 0x4008_1000
UART3 = 0x4008_1400
SPI0 = 0x400B_E000

# Cortex-M4 external interrupt numbers.
IRQ_WDT0 = 1
IRQ_RTC = 3
IRQ_TRNG = 4
IRQ_TMR0 = 5
IRQ_TMR4 = 9
IRQ_I2C0 = 13
IRQ_UART0 = 14
IRQ_UART1 = 15
IRQ_SPI1 = 16
IRQ_ADC = 20
IRQ_FLC = 23
IRQ_GPIO0 = 24
IRQ_DMA0 = 28
IRQ_UART2 = 34
IRQ_I2C1 = 36
IRQ_WUT = 53
IRQ_GPIO_WAKE = 54
IRQ_SPI0 = 56
IRQ_WDT1 = 57
IRQ_I2C2 = 62
IRQ_SEMA = 63
IRQ_OWM = 67
IRQ_UART3 = 88
IRQ_PCIF = 91
IRQ_AES = 97
IRQ_I2S = 99
IRQ_CNN_FIFO = 100
IRQ_CNN = 101
IRQ_COUNT = 104

# The accelerator. All its memories take aligned 32-bit accesses alone, except the one byte write
# that sets the column pointer of the express kernel loader.
CNN_FIFO = 0x5000_0000
FAST_FIFO = 0x400C_0400  # reached by the RISC-V core alone; feeds quadrant 0
FAST_FIFO_DATA = FAST_FIFO + 0x10
CNN_AON = 0x5000_1000
CNN_BASE = 0x5000_0000
CNN_BYTES = 0x0102_0000
QUADRANT_BASE = 0x5010_0000
QUADRANT_STRIDE = 0x0040_0000
LAYER_REGISTERS_OFFSET = 0x10
LAYER_REGISTER_STRIDE = 0x80
BIAS_OFFSET = 0x8000
TRAM_OFFSET = 0x1_0000
TRAM_STRIDE = 0x4000
KERNEL_OFFSET = 0x8_0000
KERNEL_STRIDE = 0x4000
KERNEL_COLUMN_STRIDE = 16
DATA_OFFSET = 0x30_0000
DATA_STRIDE = 0x8000


def quadrant(index: int) -> int:
    """Base address of quadrant ``index`` (0-3)."""
    return QUADRANT_BASE + index * QUADRANT_STRIDE


def kernel_memory(processor: int) -> int:
    """Address of column 0 of a processor's kernel memory; ``processor`` is 0-63."""
    q, n = divmod(processor, limits.PROCESSORS_PER_QUADRANT)
    return quadrant(q) + KERNEL_OFFSET + n * KERNEL_STRIDE


def bias_memory(quadrant_index: int) -> int:
    """Address of the first bias entry of a quadrant."""
    return quadrant(quadrant_index) + BIAS_OFFSET


def data_memory(instance: int) -> int:
    """Address of word 0 of data-memory instance 0-15 (processors 4 * instance and up)."""
    q, n = divmod(instance, limits.INSTANCES // limits.QUADRANTS)
    return quadrant(q) + DATA_OFFSET + n * DATA_STRIDE


def layer_register(quadrant_index: int, offset: int, layer: int) -> int:
    """Address of a per-layer register; ``offset`` is that of layer 0 inside the quadrant."""
    return quadrant(quadrant_index) + offset + 4 * layer
