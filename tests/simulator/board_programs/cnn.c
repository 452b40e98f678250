// Brings the accelerator up, and writes and reads a word of its memory; VARIANT is the mistake.
#include "board.h"
#ifndef VARIANT
#define VARIANT 0
#endif
#define WORD REG(0x50400000)
volatile uint32_t value, write_ticks;
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CTRL0(0) = 1u << 14 | 1;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) |= 1u << 15;
    if (VARIANT != 1) {
        GCFR(3) = 0xF; GCFR(1) = 1; GCFR(0) = 1; GCFR(2) = 0xE; GCFR(3) = 0;
    }
    GCR_PCLKDIV = 4u << 14;
    if (VARIANT != 2) GCR_PCLKDIS0 &= ~(1u << 25);
    WORD = 0x12345678;
    if (VARIANT == 3) *(volatile uint8_t *)0x50400001 = 0xFF;
    value = WORD;
    const uint32_t begin = TMR_CNT(0);
    for (uint32_t i = 0; i < 1000; i++) REG(0x50400000 + 4 * i) = i;
    write_ticks = TMR_CNT(0) - begin;
}
