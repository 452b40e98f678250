/* SPDX-License-Identifier: Apache-2.0 */
/* Oscillators and the instruction cache. */

#include "clock.h"

#include "max78000.h"

#define WAIT_POLLS 100000U

bool clock_wait_bits(const volatile uint32_t *reg32, uint32_t mask, bool set)
{
    for (uint32_t poll = 0; poll < WAIT_POLLS; poll++) {
        if ((*reg32 & mask) == (set ? mask : 0U)) {
            return true;
        }
    }
    return false;
}

void clock_spend_cycles(uint32_t cycles)
{
    uint32_t loops = cycles / 3U + 1U; /* subtract: 1 cycle, taken branch: 2 */
    __asm volatile("1: subs %0, %0, #1\n bne 1b" : "+l"(loops) : : "cc");
}

static void cache_init(void)
{
    ICC0_CTRL &= ~ICC0_CTRL_EN;
    ICC0_INVALIDATE = 1U;
    clock_wait_bits(&ICC0_CTRL, ICC0_CTRL_RDY, true);
    ICC0_CTRL |= ICC0_CTRL_EN;
    clock_wait_bits(&ICC0_CTRL, ICC0_CTRL_RDY, true);
}

uint32_t clock_init(void)
{
    cache_init();
    GCR_CLKCTRL |= GCR_CLKCTRL_IPO_EN | GCR_CLKCTRL_IBRO_EN;
    clock_wait_bits(&GCR_CLKCTRL, GCR_CLKCTRL_IBRO_RDY, true);
    if (!clock_wait_bits(&GCR_CLKCTRL, GCR_CLKCTRL_IPO_RDY, true)) {
        return ISO_HZ;
    }
    const uint32_t fields = GCR_CLKCTRL_SYSCLK_SEL_MASK | GCR_CLKCTRL_SYSCLK_DIV_MASK;
    GCR_CLKCTRL = (GCR_CLKCTRL & ~fields) | GCR_CLKCTRL_SYSCLK_SEL(CLOCK_SOURCE_IPO);
    clock_wait_bits(&GCR_CLKCTRL, GCR_CLKCTRL_SYSCLK_RDY, true);
    return IPO_HZ;
}
