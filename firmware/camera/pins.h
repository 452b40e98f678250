/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PINS_H
#define PINS_H

#include <stdint.h>

enum pin_function { PIN_GPIO, PIN_ALTERNATE_1, PIN_ALTERNATE_2 };

/* Gives the pins of mask, on a port that has its clock, a function at 3.3 V, without pull
 * resistors. */
void pins_select(uint32_t port_base, uint32_t mask, enum pin_function function);

/* Inputs with a pull-up whose falling edges are remembered, see pins_take_edges. */
void pins_watch(uint32_t port_base, uint32_t mask);

/* The pins of mask that have fallen since the last call. */
uint32_t pins_take_edges(uint32_t port_base, uint32_t mask);

#endif
