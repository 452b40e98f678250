// NVIC registers; a line that stays high; an exception on a stack pointer that is not a multiple of 8.
#include "board.h"
volatile uint32_t enabled, pending, priority, entries, handler_sp, icsr;
volatile uint32_t sp_before, sp_after;
__attribute__((naked)) void svc_handler(void)
{
    __asm volatile("ldr r0, =handler_sp\n mov r1, sp\n str r1, [r0]\n bx lr");
}
void gpio0_handler(void)
{
    if (++entries == 3) REG(0x40008048) = 1u << 2;  // the flag is cleared at the third time alone
}
void program(void)
{
    NVIC_ISER(1) = 1u << 2;
    NVIC_ISER(1) = 1u << 5;
    NVIC_IPR(34) = 0xFF;
    NVIC_IPR(35) = 0x40;
    enabled = NVIC_ISER(1);
    NVIC_ISPR(1) = 1u << 7;
    pending = NVIC_ISPR(1);
    icsr = ICSR;
    priority = REG(0xE000E420);
    __asm volatile("sub sp, #4\n mov %0, sp\n svc #0\n mov %1, sp\n add sp, #4"
                   : "=&r"(sp_before), "=&r"(sp_after)::"memory");
    GCR_PCLKDIS0 &= ~1u;
    REG(0x40008028) |= 4;
    REG(0x40008038) = 4;
    irq_enable(24);
}
