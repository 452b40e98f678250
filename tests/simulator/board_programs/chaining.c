// Two interrupts at once: the second handler follows the first without a return between.
#include "board.h"
volatile uint32_t at[4], entered;
void tmr0_handler(void) { at[1] = DWT_CYCCNT; }
void tmr1_handler(void) { at[2] = DWT_CYCCNT; }
void uart0_handler(void) { entered = DWT_CYCCNT; }
void program(void)
{
    DEMCR = 1u << 24;
    DWT_CTRL = 1;
    irq_enable(5); irq_enable(6); irq_enable(14);
    __asm volatile("cpsid i");
    NVIC_ISPR(0) = 3u << 5;
    at[0] = DWT_CYCCNT;
    __asm volatile("cpsie i\n isb");
    at[3] = DWT_CYCCNT;
    const uint32_t before = DWT_CYCCNT;
    NVIC_ISPR(0) = 1u << 14;
    BARRIER();
    entered -= before;
}
