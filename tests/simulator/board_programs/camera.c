// PCIF: a picture word by word by the core, the next by DMA with the interrupt at its end.
#include "board.h"
#define PCIF(offset) REG(0x4000E000 + (offset))
#define CHANNEL(offset) REG(0x40028100 + (offset))
#define WORDS 64
volatile uint32_t first[WORDS], second[WORDS], taken, done;
void pcif_handler(void) { PCIF(0x10) = 1; done++; }
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS1 &= ~(1u << 18);
    GCR_PCLKDIS0 &= ~(1u << 5);
    PCIF(0x10) = 0xF;
    PCIF(0x08) = 1u << 31 | 1u << 30 | 2u << 2 | 8u << 5 | 1;
    while (!(PCIF(0x10) & 1u) || PCIF(0x10) & 8u)
        if (PCIF(0x10) & 8u && taken < WORDS) first[taken++] = PCIF(0x30);
    PCIF(0x10) = 1;
    irq_enable(91);
    PCIF(0x0C) = 1;
    CHANNEL(0x0C) = (uint32_t)second;
    CHANNEL(0x10) = sizeof second / 2;  // two bytes per pixel without the third channel
    CHANNEL(0x00) = 3u << 24 | 1u << 22 | 2u << 20 | 2u << 16 | 0x0Du << 4 | 1;
    PCIF(0x08) = 1u << 31 | 1u << 17 | 1u << 16 | 1;
    while (!done || CHANNEL(0x04) & 1u) WFI();
}
