/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GPIO_H
#define GPIO_H

#include <stdbool.h>

/* The board's three-colour LED on P2.0 ... P2.2. */
enum led { LED_RED, LED_GREEN, LED_BLUE };

/* What the board does, for a current meter with digital inputs: D0 is P2.6, D1 is P2.7. From one
 * state to the next a single pin changes. */
enum mark { MARK_WAITING = 0, MARK_LOAD = 1, MARK_RUN = 3, MARK_AFTER = 2 };

/* Clocks of the ports on, LEDs off, marks low, P0.0 and P0.1 to the console UART. */
void gpio_init(void);

void gpio_mark(enum mark mark);

void gpio_set_led(enum led led, bool on);

#endif
