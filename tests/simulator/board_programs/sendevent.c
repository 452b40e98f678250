// SEV before WFE; then WFE until an interrupt is pending that is not enabled.
#include "board.h"
volatile uint32_t passed, woken, handled, ticks;
void tmr0_handler(void) { handled = 1; }
void program(void)
{
    __asm volatile("sev\n wfe" ::: "memory");
    passed = 1;
#ifdef ASKED
    REG(0xE000ED10) = 1u << 4;
#endif
    GCR_PCLKDIS0 &= ~(3u << 15);
    TMR_CTRL1(1) = 1u << 31;
    TMR_CMP(1) = 0xFFFFFFFF;
    TMR_CTRL0(1) = 1u << 15 | 1u << 14 | 1;
    TMR_CTRL1(0) = 1u << 31 | 1u << 8;
    TMR_CMP(0) = 30000;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14;
    __asm volatile("wfe" ::: "memory");
    woken = 1;
    ticks = TMR_CNT(1);
}
