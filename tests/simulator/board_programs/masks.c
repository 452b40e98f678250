// An interrupt held back by PRIMASK or BASEPRI is taken before the next instruction but one.
#include "board.h"
volatile uint32_t taken, late;
void tmr0_handler(void) { taken++; }
void program(void)
{
    NVIC_IPR(5) = 0x80;
    irq_enable(5);
    for (uint32_t i = 0; i < 300; i++) {
        const uint32_t before = taken;
        if (i % 3 == 0) __asm volatile("cpsid i" ::: "memory");
        else if (i % 3 == 1) __asm volatile("msr basepri, %0" ::"r"(0x40) : "memory");
        else __asm volatile("cpsid f" ::: "memory");
        NVIC_ISPR(0) = 1u << 5;
        BARRIER();
        late += taken != before;
        if (i % 3 == 0) __asm volatile("cpsie i\n isb\n cpsid i" ::: "memory");
        else if (i % 3 == 1) __asm volatile("msr basepri, %0\n isb\n cpsid i" ::"r"(0) : "memory");
        else __asm volatile("cpsie f\n isb\n cpsid i" ::: "memory");
        late += taken != before + 1;
        __asm volatile("cpsie i" ::: "memory");
    }
}
