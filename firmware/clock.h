/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Turns on the instruction cache and the 100 MHz oscillator; returns the core clock in Hz. If the
 * oscillator does not become ready the core stays on the 60 MHz one it started with. */
uint32_t clock_init(void);

/* Waits until all bits of mask are set (or, with set = false, clear); returns false if that does
 * not happen within some milliseconds, so that a dead block never stops the firmware. */
bool clock_wait_bits(const volatile uint32_t *reg32, uint32_t mask, bool set);

/* Spends about this many core clock cycles without touching the bus. */
void clock_spend_cycles(uint32_t cycles);

#endif
