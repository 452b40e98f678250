/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

/* Starts TMR0 as a free-running 32-bit counter of the peripheral clock, and SysTick as a wake-up
 * every TIMER_WAKE_MS so that no wait for an interrupt lasts for ever. */
void timer_init(uint32_t core_hz);

#define TIMER_WAKE_MS 100U

/* Lets the next wake-up come after so many core cycles, or after TIMER_WAKE_MS if that is sooner;
 * those that follow come at the usual distance. */
void timer_wake_after(uint32_t cycles);

/* Ticks per second. */
uint32_t timer_hz(void);

/* Ticks; wraps after 2^32 (86 s at 50 MHz), differences of two readings are right until then. */
uint32_t timer_now(void);

/* Ticks in so many microseconds, at most 80 s. */
uint32_t timer_ticks(uint32_t microseconds);

void timer_wait(uint32_t microseconds);

#endif
