// Bits that start something and are waited for; random words by interrupt.
#include "board.h"
#define TRNG(offset) REG(0x4004D000 + (offset))
volatile uint32_t finished, words[4], taken;
void trng_handler(void)
{
    words[taken++] = TRNG(8);
    if (taken == 4) TRNG(0) &= ~2u;
}
void program(void)
{
    GCR_PCLKDIS1 &= ~(1u << 2);
    REG(0x40000000) |= 1u << 6;  // flush the cache
    while (REG(0x40000000) & 1u << 6) {}
    REG(0x40000000) |= 1u << 13;  // check the ROM
    while (REG(0x40000000) & 1u << 13) {}
    TRNG(0) |= 1u << 3;  // make a key
    while (TRNG(0) & 1u << 3) {}
    irq_enable(4);
    TRNG(0) |= 2;
    while (taken < 4) WFI();
    finished = 1;
}
