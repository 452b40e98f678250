/* SPDX-License-Identifier: Apache-2.0 */
/* The sensor's control bus, moved bit by bit on P0.30 (clock) and P0.31 (data). */
#ifndef SCCB_H
#define SCCB_H

#include <stdbool.h>
#include <stdint.h>

void sccb_init(void);

/* Addresses have seven bits; false if nobody acknowledges. */
bool sccb_answers(uint8_t address);
bool sccb_write(uint8_t address, uint8_t number, uint8_t value);
bool sccb_read(uint8_t address, uint8_t number, uint8_t *value);

#endif
