// TMR0 on PCLK at two core clocks, then on the 7.3728 MHz oscillator; TMR1 as two halves.
#include "board.h"
volatile uint32_t ticks[3], done, halves;
void systick_handler(void) { done = 1; }
static uint32_t count_for(uint32_t cycles)
{
    done = 0;
    SYST_RVR = cycles - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
    const uint32_t begin = TMR_CNT(0);
    while (!done) WFI();
    SYST_CSR = 0;
    return TMR_CNT(0) - begin;
}
void program(void)
{
    GCR_PCLKDIS0 &= ~(3u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    ticks[0] = count_for(60000);
    clock_100mhz();
    ticks[1] = count_for(100000);
    TMR_CTRL0(0) = 0;
    TMR_CTRL1(0) = 1u << 31 | 2;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    ticks[2] = count_for(100000);
    TMR_CNT(1) = 0;
    TMR_CMP(1) = 0xFFFFFFFF;
    TMR_CTRL1(1) = 0;
    TMR_CTRL0(1) = (1u << 14 | 1) | (1u << 14 | 1) << 16;
    TMR_CNT(1) = 0x00030002;
    halves = TMR_CNT(1);  // not enabled yet: they stand still
}
