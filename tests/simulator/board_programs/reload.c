// DMA without a gap: the channel is given the next place whenever it has taken up the last one.
#include "board.h"
#define CHANNEL(offset) REG(0x40028100 + (offset))
volatile uint32_t copied[5][4], reloads;
static const uint32_t words[4] = {1, 2, 3, 4};
void dma0_handler(void)
{
    CHANNEL(4) = CHANNEL(4);
    reloads++;
    if (reloads < 4) {
        CHANNEL(0x14) = (uint32_t)words;
        CHANNEL(0x18) = (uint32_t)copied[reloads + 1];
        CHANNEL(0x1C) = 1u << 31 | 16;
    }
}
void program(void)
{
    GCR_PCLKDIS0 &= ~(1u << 5);
    irq_enable(28);
    REG(0x40028000) = 1;
    CHANNEL(0x08) = (uint32_t)words;
    CHANNEL(0x0C) = (uint32_t)copied[0];
    CHANNEL(0x10) = 16;
    CHANNEL(0x14) = (uint32_t)words;
    CHANNEL(0x18) = (uint32_t)copied[1];
    CHANNEL(0x1C) = 16;
    // bytes, so that the handler is in time
    CHANNEL(0) = 1u << 31 | 1u << 22 | 1u << 18;
    CHANNEL(0) |= 3;
}
