/* SPDX-License-Identifier: Apache-2.0 */
/* TMR0 as a stop-watch; SysTick as the longest sleep. */

#include "timer.h"

#include "clock.h"
#include "cortex_m4.h"

#define SHORTEST_WAKE_CYCLES 500U

static uint32_t ticks_per_second = IPO_HZ / PCLK_DIVISOR;
static uint32_t usual_wake_cycles;
static volatile bool wakes_early;

static void count_down(uint32_t cycles)
{
    SYST_RVR = cycles - 1U;
    SYST_CVR = 0U; /* any value: begin anew */
}

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    if (wakes_early) { /* otherwise there is nothing to do: the interrupt has ended a sleep */
        wakes_early = false;
        count_down(usual_wake_cycles);
    }
}

void timer_wake_after(uint32_t cycles)
{
    if (cycles < usual_wake_cycles) {
        wakes_early = true;
        count_down(cycles > SHORTEST_WAKE_CYCLES ? cycles : SHORTEST_WAKE_CYCLES);
    }
}

void timer_init(uint32_t core_hz)
{
    ticks_per_second = core_hz / PCLK_DIVISOR;
    GCR_PCLKDIS0 &= ~GCR_PCLKDIS0_TMR0;
    TMR_CTRL0(TMR0_BASE) = 0U;
    TMR_CTRL1(TMR0_BASE) = TMR_CTRL1_CASCADE; /* clock select 0: the peripheral clock */
    TMR_CTRL0(TMR0_BASE) = TMR_CTRL0_MODE_A(TMR_MODE_CONTINUOUS) | TMR_CTRL0_CLKEN_A;
    clock_wait_bits(&TMR_CTRL1(TMR0_BASE), TMR_CTRL1_CLKRDY_A, true);
    TMR_INTFL(TMR0_BASE) = TMR_INTFL_WRDONE_A;
    TMR_CNT(TMR0_BASE) = 1U;
    clock_wait_bits(&TMR_INTFL(TMR0_BASE), TMR_INTFL_WRDONE_A, true);
    TMR_CMP(TMR0_BASE) = 0xFFFFFFFFU;
    TMR_CTRL0(TMR0_BASE) |= TMR_CTRL0_EN_A;
    clock_wait_bits(&TMR_CTRL1(TMR0_BASE), TMR_CTRL1_CLKEN_A, true);

    usual_wake_cycles = core_hz / 1000U * TIMER_WAKE_MS; /* 10^7: fits the 24 bits */
    count_down(usual_wake_cycles);
    SYST_CSR = SYST_CSR_CLKSOURCE_CORE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
}

uint32_t timer_hz(void)
{
    return ticks_per_second;
}

uint32_t timer_now(void)
{
    (void)TMR_CNT(TMR0_BASE); /* the first read may return the value of the read before it */
    return TMR_CNT(TMR0_BASE);
}

uint32_t timer_ticks(uint32_t microseconds)
{
    return microseconds * (ticks_per_second / 1000000U);
}

void timer_wait(uint32_t microseconds)
{
    const uint32_t start = timer_now();
    const uint32_t ticks = timer_ticks(microseconds);
    const uint32_t chunk = microseconds < 100U ? 1U : 100U;
    /* Bounded by chunks as well: a timer that stands still must not stop the firmware. */
    for (uint32_t spent = 0; spent < 2U * microseconds; spent += chunk) {
        if (timer_now() - start >= ticks) {
            return;
        }
        clock_spend_cycles(chunk * (ticks_per_second / 1000000U) * PCLK_DIVISOR);
    }
}
