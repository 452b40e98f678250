// TMR0 continuous at 1 kHz with its interrupt, waited for with WFI; SysTick; a delay by polling.
#include "board.h"
volatile uint32_t ticks, systicks, elapsed, cycles, polled, one_shot_left;
void tmr0_handler(void) { TMR_INTFL(0) = 1; ticks++; }
void systick_handler(void) { systicks++; }
static void start(int n, uint32_t mode, uint32_t compare)
{
    TMR_CTRL0(n) = 0;
    TMR_CTRL1(n) = 1u << 31 | 1u << 8;
    TMR_CTRL0(n) = 1u << 14 | mode;
    while (!(TMR_CTRL1(n) & 1u << 3)) {}
    TMR_CNT(n) = 1;
    while (!(TMR_INTFL(n) & 1u << 8)) {}
    TMR_CMP(n) = compare;
    TMR_CTRL0(n) |= 1u << 15;
    while (!(TMR_CTRL1(n) & 1u << 2)) {}
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(3u << 15);
    DEMCR = 1u << 24;
    DWT_CYCCNT = 0;
    DWT_CTRL = 1;
    start(1, 1, 0xFFFFFFFF);
    start(0, 1, 50000);
    irq_enable(5);
    const uint32_t before = TMR_CNT(1);
    while (ticks < 10) WFI();
    elapsed = TMR_CNT(1) - before;
    cycles = DWT_CYCCNT;
    TMR_CTRL0(0) = 0;
    SYST_RVR = 99999;
    SYST_CVR = 0;
    SYST_CSR = 7;
    while (systicks < 5) WFI();
    SYST_CSR = 5;
    const uint32_t begin = TMR_CNT(1);
    while (TMR_CNT(1) - begin < 5000000) {}
    polled = TMR_CNT(1) - begin;
    start(0, 0, 1000);
    while (TMR_CTRL0(0) & 1u << 15) {}
    one_shot_left = TMR_CNT(0);
}
