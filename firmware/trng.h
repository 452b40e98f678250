/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRNG_H
#define TRNG_H

#include <stdbool.h>
#include <stdint.h>

/* One random word; returns false if the generator does not deliver. */
bool trng_read(uint32_t *word);

#endif
