/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GPIO_H
#define GPIO_H

#include <stdbool.h>

/* The board's three-colour LED on P2.0 ... P2.2. */
enum led { LED_RED, LED_GREEN, LED_BLUE };

/* Clocks of the ports on, LEDs off, P0.0 and P0.1 to the console UART. */
void gpio_init(void);

void gpio_set_led(enum led led, bool on);

#endif
