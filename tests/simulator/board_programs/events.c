// WFE ended by an interrupt, then SLEEPONEXIT: only the handler runs from then on.
#include "board.h"
volatile uint32_t ticks, stage, woken;
void systick_handler(void) { ticks++; }
void program(void)
{
    SYST_RVR = 59999;
    SYST_CVR = 0;
    SYST_CSR = 7;
    __asm volatile("wfe" ::: "memory");
    woken = ticks;
    stage = 2;
    REG(0xE000ED10) = 1u << 1;
    WFI();
    stage = 3;
}
