// A stack that grows into a region which the protection unit closes.
#include "board.h"
volatile uint32_t sink;
__attribute__((noinline)) uint32_t deeper(uint32_t n)
{
    volatile uint8_t pad[8];
    pad[n & 7] = (uint8_t)n;
    for (volatile uint32_t i = 0; i < 100; i++) {}
    return n ? deeper(n - 1) + pad[n & 7] : 0;
}
#define MPU(n) REG(0xE000ED90 + (n))
volatile uint32_t where, why;
__attribute__((naked)) void hard_fault(void) { __asm volatile("ldr sp, =__stack_top\n b overflowed"); }
__attribute__((used)) void overflowed(void) { where = REG(0xE000ED34); why = CFSR; finish(); }
void program(void)
{
    extern uint32_t __stack_limit[];
    MPU(0x8) = 0;
    MPU(0xC) = (uint32_t)__stack_limit;
    MPU(0x10) = 4u << 1 | 1u;  // 32 bytes, no access
    MPU(0x4) = 5;
    BARRIER();
    sink = deeper(500);
}
