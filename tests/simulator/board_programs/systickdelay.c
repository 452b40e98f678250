// A delay of two seconds as vendors' drivers make it: SysTick overflows, then its value, polled.
#include "board.h"
volatile uint32_t ticks, done;
static void delay_us(uint32_t us)
{
    const uint64_t cycles = (uint64_t)us * 100;
    uint32_t overflows = (uint32_t)(cycles >> 24);
    const uint32_t end = 0xFFFFFF - (uint32_t)(cycles & 0xFFFFFF);
    SYST_CSR = 0;
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0xFFFFFF;
    SYST_CSR = 5;
    while (overflows > 0)
        if (SYST_CSR & 1u << 16) overflows--;
    while (SYST_CVR > end) {}
    SYST_CSR = 0;
}
void program(void)
{
    clock_100mhz();
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    const uint32_t before = TMR_CNT(0);
    delay_us(2000000);
    ticks = TMR_CNT(0) - before;
    done = 1;
}
