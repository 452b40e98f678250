// Starts the accelerator twice: waits in WFI for its interrupt, then by polling without it.
#include "board.h"
#ifndef DIVIDER
#define DIVIDER 4
#endif
#define CTL REG(0x50100000)
volatile uint32_t interrupts, ticks[2];
void cnn_handler(void) { CTL = 0; interrupts++; }
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    GCFR(3) = 0xF; GCFR(1) = 1; GCFR(0) = 1; GCFR(2) = 0xE; GCFR(3) = 0;
    GCR_PCLKDIV = DIVIDER << 14;
    GCR_PCLKDIS0 &= ~(1u << 25);
    irq_enable(101);
    uint32_t begin = TMR_CNT(0);
    CTL = 9;
    while (!interrupts) WFI();
    ticks[0] = TMR_CNT(0) - begin;
    REG(0xE000E180 + 12) = 1u << 5;
    begin = TMR_CNT(0);
    CTL = 9;
    while (!(CTL & 1u << 12)) {}
    ticks[1] = TMR_CNT(0) - begin;
    CTL = 0;
}
