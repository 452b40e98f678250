/* SPDX-License-Identifier: Apache-2.0 */
/* The last output of the accelerator, value by value. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

/* Fetches the output from the accelerator. */
void output_take(void);

/* Whether there is an output since output_forget. */
bool output_there(void);
void output_forget(void);

/* Writes count values from number first on as little-endian int32. */
void output_values(uint32_t first, uint32_t count, uint8_t *bytes);

/* The first of the largest values, LINK_NO_CLASS if the output is no list of scores. */
uint16_t output_class(void);

#endif
