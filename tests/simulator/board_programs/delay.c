// Delays by counting down, measured with the cycle counter; then a flag, and a long sleep.
#include "board.h"
volatile uint32_t cycles[4], flag, ticks;
static uint32_t spend(uint32_t loops)
{
    const uint32_t before = DWT_CYCCNT;
    __asm volatile("1: nop\n subs %0, %0, #1\n bne 1b" : "+l"(loops) : : "cc");
    return DWT_CYCCNT - before;
}
void systick_handler(void) { ticks++; }
void program(void)
{
    clock_100mhz();
    DEMCR = 1u << 24;
    DWT_CTRL = 1;
    cycles[0] = spend(100000000);
    cycles[1] = spend(1);
    cycles[2] = spend(1000);
    SYST_RVR = 99999;
    SYST_CVR = 0;
    SYST_CSR = 7;
    cycles[3] = spend(1000000);
    SYST_RVR = 9999999;
    SYST_CVR = 0;
    flag = 1;
}
