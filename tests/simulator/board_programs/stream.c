// Bytes by DMA, in and out, while the core does something else and looks at chosen moments.
#include "board.h"
#define CHANNEL(n, offset) REG(0x40028100 + 0x20 * (n) + (offset))
volatile uint32_t looks[8], turns, sent_at, flags;
volatile uint8_t into[64];
static const uint8_t text[] = "forty bytes that leave the chip by DMA..";
void dma0_handler(void) { CHANNEL(0, 4) = 0x5E; turns++; CHANNEL(0, 0x1C) = 1u << 31 | 64; }
void dma1_handler(void) { CHANNEL(1, 4) = 0x5E; sent_at = TMR_CNT(0); }
void program(void)
{
    clock_100mhz();
    uart_init();
    GCR_PCLKDIS0 &= ~(1u << 5 | 1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    REG(0x40028000) = 3;
    irq_enable(28);
    irq_enable(29);
    CHANNEL(0, 0x0C) = CHANNEL(0, 0x18) = (uint32_t)into;
    CHANNEL(0, 0x10) = CHANNEL(0, 0x1C) = 64;
    CHANNEL(0, 0) = 1u << 31 | 1u << 22 | 4u << 4 | 3u;
    CHANNEL(1, 0x08) = (uint32_t)text;
    CHANNEL(1, 0x10) = 40;
    CHANNEL(1, 0) = 1u << 31 | 1u << 18 | 0x24u << 4 | 1u;
    TMR_CNT(0) = 0;
    REG(0x40042030) = 1u << 9 | 1u << 5 | 1u << 4 | 2;
    for (uint32_t look = 0; look < 8; look++) {
        while (TMR_CNT(0) < 40000 * (look + 1)) {}  // 0.8 ms: 9.2 bytes at 115200 baud
        looks[look] = CHANNEL(0, 0x0C) - (uint32_t)into;
    }
    flags = UART_INT_FL;
}
