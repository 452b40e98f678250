// A watchdog with a window: fed in time, then too early for the interrupt, then for the reset.
#include "board.h"
__attribute__((section(".noinit"))) volatile uint32_t magic, starts, interrupts;
volatile uint32_t flag, cause;
static void feed(void) { WDT_RST = 0xA5; WDT_RST = 0x5A; }
static void wait(uint32_t ticks)
{
    const uint32_t begin = TMR_CNT(0);
    while (TMR_CNT(0) - begin < ticks) {}
}
void wdt_handler(void) { flag = WDT_CTRL >> 9 & 9; WDT_CTRL &= ~(1u << 9 | 1u << 12); interrupts++; }
void program(void)
{
    if (magic != 0xC0FFEE) { magic = 0xC0FFEE; starts = interrupts = 0; }
    cause = WDT_CTRL >> 30;
    if (starts++) return;
    GCR_PCLKDIS1 &= ~(1u << 27);
    GCR_PCLKDIS0 &= ~(1u << 15);
    TMR_CTRL1(0) = 1u << 31;
    TMR_CMP(0) = 0xFFFFFFFF;
    TMR_CTRL0(0) = 1u << 15 | 1u << 14 | 1;
    irq_enable(1);
    // late: 2^20 and 2^21 clocks; early: interrupt before 2^17, reset before 2^16
    WDT_CTRL = 11u | 10u << 4 | 14u << 16 | 15u << 20 | 1u << 29;
    feed();
    WDT_CTRL |= 1u << 10 | 1u << 11 | 1u << 8;
    wait(150000);
    feed();
    wait(100000);
    feed();  // interrupt
    wait(100);
    feed();  // reset
    for (;;) {}
}
